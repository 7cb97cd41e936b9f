"""Jobs: what to make, in which pieces, and how the pieces become files."""
