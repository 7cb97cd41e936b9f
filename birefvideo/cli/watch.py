"""`--watch`: inputs that come into a folder while the command runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from birefvideo.cli.inputs import Inputs
from birefvideo.cli.printing import print_error
from birefvideo.errors import BirefvideoError
from birefvideo.media.endings import VIDEO_SUFFIXES

LOOKS_EVERY = 1.0
"""Seconds between two looks at a folder."""
SETTLED = 5.0
"""Seconds for which a file has to stay as it is before it is taken: a copy over a network may pause."""

Signature = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of files."""


class Watch:
    """Gives the inputs of folders as they come.

    Args:
        look: searches the folders.
        refused: takes an input that cannot be opened, and the reason: it may not be whole. It is taken when it has
            changed and opens.
        stop: ends it, from any thread.
    """

    def __init__(
        self,
        look: Callable[[], Inputs],
        refused: Callable[[Path, BirefvideoError], object],
        stop: threading.Event,
    ) -> None:
        self._stop = stop
        self._look = look
        self._refused = refused
        self._taken: dict[Path, Signature] = {}
        self._growing: dict[Path, tuple[Signature, float]] = {}
        self._trouble = ""

    def __iter__(self) -> Iterator[dict[Path, Path]]:
        """Yield inputs that have come or changed and no longer grow, as `Inputs.clips`."""
        while not self._stop.is_set():
            ready = {clip: below for clip, below in self._seen().items() if self._is_ready(clip)}
            if ready:
                yield ready
            else:
                self._stop.wait(LOOKS_EVERY)

    def _seen(self) -> Mapping[Path, Path]:
        try:
            found = self._look().clips  # a folder in which there is nothing yet is no error
        except (BirefvideoError, OSError) as error:  # unmounted, or renamed: it may come back
            trouble = error.for_terminal() if isinstance(error, BirefvideoError) else str(error)
            if trouble != self._trouble:
                print_error(trouble)
            self._trouble = trouble
            return {}
        self._trouble = ""
        return found

    def _is_ready(self, clip: Path) -> bool:
        """Whether an input is new or has changed, has been as it is for long enough, and opens."""
        own = _signature([clip] if clip.is_file() else _pictures(clip))
        if not own or self._taken.get(clip) == own:
            return False
        # A picture may be the first of a series that is still being copied.
        is_video = clip.suffix.lower() in VIDEO_SUFFIXES and clip.is_file()
        whole = own if is_video or clip.is_dir() else own + _signature(_pictures(clip.parent))
        before, since = self._growing.get(clip, ((), 0.0))
        if before != whole:
            self._growing[clip] = whole, time.monotonic()
            return False
        if time.monotonic() - since < SETTLED:
            return False
        del self._growing[clip]
        self._taken[clip] = own
        return self._opens(clip)

    def _opens(self, clip: Path) -> bool:
        from birefvideo.media.reading.probe import probe

        try:
            probe(clip)
        except BirefvideoError as error:
            self._refused(clip, error)
            return False
        return True


def _pictures(folder: Path) -> list[Path]:
    from birefvideo.media.reading.numbered_pictures import photos_in

    try:
        return photos_in(folder)
    except OSError:
        return []


def _signature(files: list[Path]) -> Signature:
    """Return by what a change of files shows; () where there is none."""
    try:
        found = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)
