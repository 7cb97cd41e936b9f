"""A job that runs in a thread of its own: started, followed, cancelled and waited for, also from asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birefvideo.api import matte
from birefvideo.hints import possible_path
from birefvideo.jobs.arguments import MatteArguments
from birefvideo.jobs.progress import FrameProgress, cancelled, on_frame
from birefvideo.jobs.result import Result
from birefvideo.remote.places import shown

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack


class Job:
    """One clip that is matted into files in a thread; any number of jobs may run at once, best with one `Session`.

    A `with` block starts it, waits for its end, and cancels it where the block raises. `await job` starts it and waits
    without holding up the event loop; a task that is cancelled meanwhile cancels the job.

    Args:
        source: as of `birefvideo.matte`, and so are all others.
        out: likewise.
        to: likewise.
        **arguments: likewise; `progress` is called in the job's thread.

    Raises:
        OptionError: `progress` cannot be called; any other error comes with the result.
    """

    def __init__(
        self,
        source: str | PathLike[str],
        out: str | PathLike[str] | None = None,
        to: str | Sequence[str] | None = None,
        **arguments: Unpack[MatteArguments],
    ) -> None:
        self._tell = on_frame(arguments.get("progress"))
        self._progress: FrameProgress | None = None
        self._cancelled = threading.Event()
        self._future: Future[Result] = Future()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._arguments: MatteArguments = {**arguments, "progress": self._frame}
        self._source, self._out, self._to = source, out, to

    def __repr__(self) -> str:
        state = "done" if self.done else "running" if self._thread else "not started"
        return f"Job({shown(str(self._source))!r}, {state})"

    def start(self) -> Job:
        """Begin, unless it has begun; return the job itself."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"birefvideo {Path(shown(str(self._source))).name}"
                )
                self._future.set_running_or_notify_cancel()
                self._thread.start()
        return self

    @property
    def progress(self) -> FrameProgress | None:
        """How far it is; None before its first frame."""
        return self._progress

    @property
    def done(self) -> bool:
        """Whether it is over: finished, failed or cancelled."""
        return self._future.done()

    def cancel(self) -> bool:
        """End the job after its next frame, as Ctrl-C does, without waiting; return whether it was not over yet.

        Its result is a `CancelledError`. What is finished stays, and the same call goes on from there. A job whose
        frames are all done may still finish.
        """
        self._cancelled.set()
        return not self.done

    def result(self, timeout: float | None = None) -> Result:
        """Return what the job made, once it is over; start it if need be. Ctrl-C meanwhile cancels it.

        Raises:
            TimeoutError: it is not over after so many seconds; it goes on.
            CancelledError: it was cancelled.
            BirefvideoError: as `birefvideo.matte`.
        """
        self.start()
        try:
            self._wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            raise
        return self._future.result()

    def __await__(self) -> Generator[Any, None, Result]:
        return self._awaited().__await__()

    def __enter__(self) -> Job:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.cancel()
        self._wait(None)

    async def _awaited(self) -> Result:
        self.start()
        try:
            return await asyncio.wrap_future(self._future)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _wait(self, timeout: float | None) -> None:
        assert self._thread is not None
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"{self!r} is not over after {timeout:g} s")

    def _run(self) -> None:
        try:
            if self._cancelled.is_set():
                raise cancelled(possible_path(self._source), 0)
            result = matte(self._source, self._out, self._to, **self._arguments)
        except BaseException as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(result)

    def _frame(self, progress: FrameProgress) -> bool:
        self._progress = progress
        goes_on = self._tell is None or self._tell(progress) is not False
        return goes_on and not self._cancelled.is_set()
