"""Reading: a clip as frames with their times, in the clip's own codes, upright."""
