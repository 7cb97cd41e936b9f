"""What scripts/torture.py is made of: ways to spoil a file, and the commands that are to bear it."""
