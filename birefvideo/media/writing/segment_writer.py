"""Writing one segment of one output: frames in, a part without sound out."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import av

from birefvideo.errors import OutputError
from birefvideo.frames import Frame, VideoInfo
from birefvideo.media.output_format import Format
from birefvideo.media.writing.composer import Composer, EncodeSettings, make_composer
from birefvideo.media.writing.proxy import SOURCE_PROXY, ReviewComposer, proxy_info
from birefvideo.media.writing.sinks import Sink, open_sink


class Writer:
    """Checks the frames of one segment, makes pictures of them and hands these on, with their own times.

    A part's clock starts at the source's first frame (`info.start`), so that no time is negative, and goes on through
    the segments. A context manager; an exception inside leaves an unfinished part at its path and nowhere else.
    """

    def __init__(self, info: VideoInfo, composer: Composer, sink: Sink) -> None:
        self.frames_written = 0
        """Number of frames so far."""
        self._info, self._composer, self._sink = info, composer, sink
        self._last_pts: int | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._composer.close()
            self._sink.abandon()

    def write(self, frame: Frame) -> None:
        """Encode one frame of the segment's core.

        Raises:
            OutputError: the frame has another size than the clip, is not later than the one before, lies beyond the
                longest animation, or the encoder or the disk refuses it.
        """
        size = (frame.picture.width, frame.picture.height)
        if size != (self._info.width, self._info.height):
            raise OutputError(
                f"frame at {float(frame.seconds):.3f} s is {size[0]}x{size[1]}, "
                f"the clip {self._info.width}x{self._info.height}: re-encode the input at one size"
            )
        pts = frame.pts - self._info.start
        if pts < 0 or (self._last_pts is not None and pts <= self._last_pts):
            raise OutputError(f"frame at {float(frame.seconds):.3f} s is out of order: remux the input to repair it")
        try:
            picture = self._composer.compose(frame)
        except av.FFmpegError as error:  # swscale's, which are partly OSErrors and no matter of the disk
            at, why = f"{float(frame.seconds):.3f} s", error.strerror or error
            raise OutputError(
                f"frame at {at} cannot be converted for the output ({why}): choose another format"
            ) from error
        picture.pts, picture.time_base = pts, self._info.time_base
        self._last_pts = pts
        self._sink.write(picture, frame.duration)
        self.frames_written += 1

    def close(self) -> None:
        """Flush the encoder and finish the part.

        Raises:
            OutputError: the encoder or the disk refuses.
        """
        self._composer.close()
        self._sink.close(self._composer.coverage)


def open_writer(path: Path, format: Format, info: VideoInfo, settings: EncodeSettings) -> Writer:
    """Return a writer of one segment's part at `path`, without sound: a file, or a folder of pictures.

    Raises:
        InputError: the background cannot be read.
        OutputError: the part cannot be made.
    """
    return _opened(info, make_composer(format, info, settings), path, format, info, settings)


def open_review_writer(path: Path, format: Format, info: VideoInfo, settings: EncodeSettings) -> Writer:
    """Return a writer of a part of the review page's small copy, `MATTE_PROXY` or `SOURCE_PROXY`.

    Of the settings, the page has its own but for threads and spill.

    Raises:
        OutputError: the part cannot be made.
    """
    small = proxy_info(info)
    # The page's source shows the wall's light: only its matte is despilled.
    settings = EncodeSettings(threads=settings.threads, despilled=settings.despilled and format is not SOURCE_PROXY)
    composer = ReviewComposer(make_composer(format, small, settings), format, small, settings)
    return _opened(info, composer, path, format, small, settings)


def _opened(
    info: VideoInfo, composer: Composer, path: Path, format: Format, shown: VideoInfo, settings: EncodeSettings
) -> Writer:
    try:
        return Writer(info, composer, open_sink(path, format, shown, settings.threads))
    except BaseException:
        composer.close()
        raise
