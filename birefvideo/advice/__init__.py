"""Which variant for this picture: a look at a few frames, what was measured on them, and the rules."""
