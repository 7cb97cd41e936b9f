"""Proving that the file of one picture says the colour space that its codes are in."""

from __future__ import annotations

from pathlib import Path

import av

from birefvideo.frames import VideoInfo
from birefvideo.media.expected import wrong
from birefvideo.media.output_format import Format, output_colour
from birefvideo.media.profiles import keeps_profile
from birefvideo.media.reading.picture_tags import read_picture_tags


def check_profile(output: Path, format: Format, info: VideoInfo) -> None:
    """Compare the colour profile of a file of one picture with the photo's.

    Raises:
        OutputError: it is missing or another one.
    """
    if not info.still or not keeps_profile(format, info):
        return
    tags = read_picture_tags(output)
    if tags is None or tags.profile != info.still.profile:
        raise wrong(output, "it has not the colour profile of the photo")


def check_still_tags(picture: av.VideoFrame, output: Path, format: Format, info: VideoInfo) -> None:
    """Compare the primaries and the transfer function that a PNG names with those of its codes.

    Raises:
        OutputError: they differ.
    """
    if not format.is_still or format.written_codec != "png" or keeps_profile(format, info):
        return
    colour = output_colour(format, info.colour)
    got, wanted = (picture.color_primaries, picture.color_trc), (colour.primaries, colour.transfer)
    if got != wanted:
        raise wrong(output, f"its primaries and transfer function are {got} instead of {wanted}")
