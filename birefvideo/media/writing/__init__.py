"""Writing: frames with alpha as files that editors and browsers take."""
