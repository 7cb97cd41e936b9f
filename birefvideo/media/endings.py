"""Endings by which files are taken for films before anything is read of them."""

from __future__ import annotations

_VIDEOS = ".mp4 .mov .m4v .mkv .webm .avi .mts .m2ts .ts .mpg .mpeg .wmv .flv .3gp .mxf .ogv .vob"
VIDEO_SUFFIXES = frozenset(_VIDEOS.split())
"""What a folder given as input is searched for."""
