"""Timeline files for editors: the source, the alpha clip above it, and markers, as data and as text."""
