"""Making interlaced pictures progressive, one picture a frame: both fields are brought to the moment of the first.

The filter is FFmpeg's bwdif (BBC R&D's weave and w3fdif interpolation, chosen by yadif's motion check): lines of the
first field stay as they are, where nothing moves the other lines too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import TypeVar, cast

import av

_T = TypeVar("_T")
_Planar = Callable[[av.VideoFrame], av.VideoFrame]


def deinterlaced(
    pictures: Iterator[tuple[av.VideoFrame, _T]], planar: _Planar
) -> Generator[tuple[av.VideoFrame, _T], None, None]:
    """Yield each picture with what came with it; one that is flagged interlaced as a progressive picture instead.

    The result depends on a picture and on the ones directly before and after it, and on nothing else: so reading from
    the picture before on gives the same. Pictures that are flagged progressive are passed on themselves. One picture
    is read ahead.

    Args:
        pictures: (picture, anything) in order of time.
        planar: gives a picture in one of bwdif's own formats, at its own size; a picture that is so already itself.
            The filter would convert others on its own, and colours with them.
    """
    weaver: _Weaver | None = None
    before: av.VideoFrame | None = None
    current = next(pictures, None)
    while current is not None:
        following = next(pictures, None)
        picture, beside = current
        if picture.interlaced_frame:
            if weaver is None:
                weaver = _Weaver(planar(picture), before and planar(before))
            result = weaver.next(following and planar(following[0]))
            result.pts, result.dts, result.duration = picture.pts, picture.dts, picture.duration
            if picture.time_base is not None:  # as of a damaged one
                result.time_base = picture.time_base
            if weaver.is_done:
                weaver = None
            yield result, beside
        else:
            weaver = None
            yield current
        before, current = picture, following


class _Weaver:
    """A filter that has been given a picture and the one before it; a neighbour of another size counts as none."""

    def __init__(self, picture: av.VideoFrame, before: av.VideoFrame | None) -> None:
        self.is_done = False
        self._size = (picture.width, picture.height)
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
        )
        # All pictures that come in are filtered, whatever their flags: what is made of the first one is thrown away.
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=all")
        self._graph.link_nodes(source, bwdif, self._graph.add("buffersink")).configure()
        if self._fits(before):
            self._graph.push(before)
        self._graph.push(picture)

    def next(self, following: av.VideoFrame | None) -> av.VideoFrame:
        """Return the picture pushed last as a progressive one, and take the following one, if there is any."""
        self.is_done = not self._fits(following)
        self._graph.push(None if self.is_done else following)
        # The first picture is filtered without a neighbour before it, and the second needs the third.
        *_, result = self._pulled()
        return result

    def _fits(self, picture: av.VideoFrame | None) -> bool:
        return picture is not None and (picture.width, picture.height) == self._size

    def _pulled(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                yield cast(av.VideoFrame, self._graph.pull())
            except (av.BlockingIOError, EOFError):
                return
