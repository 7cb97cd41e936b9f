"""`python -m birefvideo`."""

from birefvideo.cli import main

main()
