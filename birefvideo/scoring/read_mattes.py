"""Reading mattes back: alpha from any file that can hold it, with its times, for scoring.

A matte is an alpha channel (ProRes 4444, VP9 in WebM, PNG, FFV1, QuickTime RLE …), or a grey picture: luma of either
range, gray, or RGB whose channels are equal. Pictures in colour without alpha are refused.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from numpy.typing import NDArray

from birefvideo.colour import FULL_RANGE
from birefvideo.errors import InputError
from birefvideo.frames import Alpha
from birefvideo.media.reading.alpha import (
    decoder_with_alpha,
    exact_alpha,
    has_alpha,
    hides_alpha,
    is_float,
    level,
    little_endian,
)
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.normalize import has_chroma, is_gray
from birefvideo.media.reading.open_input import check_refusal, open_input
from birefvideo.media.reading.orientation import orientation
from birefvideo.media.reading.packets import decode_packets, scan_packets
from birefvideo.media.reading.probe import probe, resolve_colour
from birefvideo.media.sequence_json import SIDECAR, read_sidecar
from birefvideo.planes import bit_depth, plane_array, to_444

RGB = NDArray[np.float32]
"""R'G'B' colours, float32 (height, width, 3) in [0, 1]."""

PICTURES = frozenset({".png", ".tif", ".tiff", ".exr"})
"""What a folder of pictures may hold: formats that lose nothing."""

_SIMPLER = {"pal8": "rgba", "monow": "gray", "monob": "gray"}
"""What formats are read as that have no plain samples: a palette may hold alpha."""
_COARSEST = Fraction(1, 200)
"""Half a tick of GIF's clock. Coarser ones count in pictures, whose times are exact as well."""
_GREY_TOLERANCE, _GREY_SHARE = 8 / 255, 1e-3
"""A picture is grey if no more than this share of its pixels is farther from grey than this; codecs blur a little."""


@dataclass(frozen=True)
class MatteVideo:
    """A video whose frames are mattes."""

    path: Path
    """The file."""
    times: tuple[Fraction, ...]
    """Presentation time of every frame in seconds, in order."""
    has_alpha: bool
    """Whether its pictures have an alpha channel, and so colours of their own."""
    slack: Fraction = Fraction(0)
    """Seconds by which its clock may miss a picture's true time."""

    def __len__(self) -> int:
        return len(self.times)

    def mattes(self) -> Iterator[Alpha]:
        """Yield every frame's alpha, upright, in order.

        Raises:
            InputError: a frame cannot be decoded or holds no matte.
        """
        with closing(_timed(self.path)) as pictures:
            expected = iter(self.times)
            for picture, shown in pictures:
                time = next(expected, None)
                if time is None or shown != time:
                    break
                yield _upright(matte_of(picture, self.path), picture, self.path)
            else:
                time = next(expected, None)
        if time is not None:
            raise InputError(f"{self.path}: the frame at {float(time):.3f} s cannot be decoded; make the file again")


@dataclass(frozen=True)
class MatteFolder:
    """A folder of pictures, one a frame, in the order of their names."""

    path: Path
    """The folder."""
    files: tuple[Path, ...]
    """The pictures."""
    times: tuple[Fraction, ...] | None
    """Presentation time of every picture in seconds, where the folder is an output of ours and says it."""
    has_alpha: bool = False
    """Their colours are not read."""
    slack: Fraction = Fraction(0)
    """Times are exact."""

    def __len__(self) -> int:
        return len(self.files)

    def mattes(self) -> Iterator[Alpha]:
        """Yield every picture's alpha, in order.

        Raises:
            InputError: a file is no picture or holds no matte.
        """
        for file in self.files:
            with open_input(file) as container:
                picture = next(
                    _pictures(container, stream := _stream(container, file), stream.codec_context, file), None
                )
            if picture is None:
                raise InputError(f"{file} holds no picture; make it again")
            yield matte_of(picture, file)


def open_mattes(path: Path) -> MatteVideo | MatteFolder:
    """Open a video or a folder of pictures; of a video every packet's time is read, and nothing decoded.

    Raises:
        InputError: it cannot be read or has no frame.
    """
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() in PICTURES]
        if not files:
            raise InputError(f"{path} holds no picture ({', '.join(sorted(PICTURES))}): name a video or such a folder")
        return MatteFolder(path, tuple(sorted(files, key=_natural)), _sidecar_times(path, len(files)))
    with open_input(path) as container:
        stream = _stream(container, path)
        format = stream.codec_context.format
        opaque = not (hides_alpha(stream) or any(part.is_alpha for part in (format.components if format else ())))
        try:
            scan = scan_packets(container.demux(stream), stream)
        except av.FFmpegError as error:
            raise InputError(f"{path} cannot be read to its end ({error.strerror}); make it again") from error
        times = tuple(pts * _time_base(stream) for pts, _ in scan.pictures)
    if not times:
        raise InputError(f"{path} has no frame with a time; make it again in another container")
    return MatteVideo(path, times, not opaque, min(_time_base(stream) / 2, _COARSEST))


def read_colours(path: Path) -> Iterator[tuple[Fraction, RGB]]:
    """Yield every frame's time in seconds and its straight colours, whatever its alpha.

    Raises:
        InputError: the file cannot be read.
    """
    info = probe(path)
    matrix = {6: 5, 10: 9}.get(info.colour.matrix, info.colour.matrix)
    for frame in read_frames(info):
        yield frame.seconds, _rgb_of(frame.picture, matrix, info.colour.range)


def _rgb_of(picture: av.VideoFrame, matrix: int, colour_range: int) -> RGB:
    plain = to_444(picture).reformat(format="rgb24", src_colorspace=matrix, src_color_range=colour_range, threads=1)
    colours: RGB = plain.to_ndarray() / np.float32(255)
    return colours


def matte_of(picture: av.VideoFrame, path: Path) -> Alpha:
    """Return a picture's matte, float32 (height, width) in [0, 1]: its alpha, or the level of its grey.

    Raises:
        InputError: the picture is in colour and has no alpha, or is in a format that is not read; `path` is named.
    """
    name = picture.format.name
    if name in _SIMPLER:
        name = _SIMPLER[name]
        picture = picture.reformat(format=name, threads=1)
    alpha = exact_alpha(picture)
    if alpha is not None:
        return alpha
    if has_alpha(picture) or is_float(picture) or bit_depth(picture) > 16:
        raise InputError(f"{path} is in {name}, whose alpha is not read here; convert it to ProRes 4444 or PNG")
    return _grey_level(little_endian(picture), path)


def _grey_level(picture: av.VideoFrame, path: Path) -> Alpha:
    """Return the level of a picture without alpha that is grey all over."""
    bits = bit_depth(picture)
    if is_gray(picture.format):
        return level(plane_array(picture, 0), bits, resolve_colour(picture).range)
    if has_chroma(picture.format) and picture.format.is_planar:
        middle = 1 << (bits - 1)
        for index in (1, 2):
            off = np.abs(plane_array(picture, index).astype(np.int32) - middle)
            _check_grey(off / (1 << bits), path)
        return level(plane_array(picture, 0), bits, resolve_colour(picture).range)
    deep = bits > 8
    rgb = picture.reformat(format="rgb48le" if deep else "rgb24", threads=1).to_ndarray()
    return _grey_of_rgb(rgb, path)


def _grey_of_rgb(rgb: NDArray[Any], path: Path) -> Alpha:
    spread = rgb.max(axis=2) - rgb.min(axis=2)
    _check_grey(spread / np.iinfo(rgb.dtype).max, path)
    return level(rgb[..., 1], rgb.itemsize * 8, FULL_RANGE)


def _check_grey(distance: NDArray[Any], path: Path) -> None:
    if float(np.mean(distance > _GREY_TOLERANCE)) > _GREY_SHARE:
        raise InputError(
            f"{path} has no alpha and its pictures are in colour; name the ProRes, WebM or matte output instead"
        )


def _sidecar_times(folder: Path, count: int) -> tuple[Fraction, ...] | None:
    """Return the times that `sequence.json` gives the pictures of a folder, or None without such a file."""
    sidecar = folder / SIDECAR
    if not sidecar.exists():
        return None
    try:
        times = read_sidecar(folder).times
    except ValueError as error:
        raise InputError(f"{sidecar} is damaged; remove it to pair pictures by their order") from error
    if len(times) != count:
        raise InputError(f"{sidecar} has {len(times)} times for {count} pictures; make the folder again")
    return times


def _natural(file: Path) -> list[tuple[int, str]]:
    """Sort key that counts: frame_9 comes before frame_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", file.name)]


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise InputError(f"{path} has no video track; name a video")
    return container.streams.video[0]


def _pictures(
    container: InputContainer, stream: VideoStream, decoder: VideoCodecContext, path: Path
) -> Iterator[av.VideoFrame]:
    try:
        yield from decode_packets(container.demux(stream), decoder)
    except av.FFmpegError as error:
        check_refusal(path, error)
        raise InputError(f"{path} cannot be decoded ({error.strerror}); make it again") from error


def _timed(path: Path) -> Generator[tuple[av.VideoFrame, Fraction | None], None, None]:
    """Yield every picture of a video with its time in seconds."""
    with open_input(path) as container:
        stream = _stream(container, path)
        decoder = decoder_with_alpha(stream) if hides_alpha(stream) else stream.codec_context
        decoder.thread_count = 1
        for picture in _pictures(container, stream, decoder, path):
            yield picture, _time(picture, stream)


def _time(picture: av.VideoFrame, stream: VideoStream) -> Fraction | None:
    pts = picture.dts if picture.pts is None else picture.pts
    return None if pts is None else pts * _time_base(stream)


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 90000)


def _upright(alpha: Alpha, picture: av.VideoFrame, path: Path) -> Alpha:
    turns, mirrored = orientation(picture, path)
    turned = np.rot90(alpha, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
