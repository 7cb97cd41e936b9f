"""`birefvideo serve`: a page for people and interfaces for programs, around one queue of jobs on this machine."""
