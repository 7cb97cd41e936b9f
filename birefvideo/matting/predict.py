"""Inference over one clip: frames in, the same frames with their alpha out, in batches of one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from birefvideo.errors import DeviceError, OptionError, named
from birefvideo.frames import AlphaFrame, DecodedFrame
from birefvideo.matting.devices import is_out_of_memory
from birefvideo.matting.engine import Engine
from birefvideo.matting.slots import PictureKind, Ring


@dataclass
class PredictReport:
    """What a Predictor did, for the receipt."""

    device: str
    """The device, as PyTorch calls it."""
    dtype: str
    """The dtype of the network's arithmetic, e.g. 'float16'."""
    size: tuple[int, int] | None = None
    """(width, height) of the network's input, or None before the first frame."""
    batch: int | None = None
    """Frames a batch now holds, or None before the first frame."""
    frames: int = 0
    """Frames given out."""
    out_of_memory: list[int] = field(default_factory=list)
    """The batches that did not fit in the device's memory, each followed by one of half its size."""
    form: str = ""
    """The form in which the network ran, in a sentence, where the device has a choice of them; else ''."""
    not_captured: str = ""
    """Why the network ran without a CUDA graph where one was tried, or ''."""
    reused: int = 0
    """Frames that the network was not asked for, since an earlier job had kept their alpha."""


class Predictor:
    """Gives the frames of one clip their alpha with an engine, in one or more segments.

    A batch holds `batch` frames (Engine.batch_for by default); the last one is filled up, so the network always sees
    one shape and no result depends on how the frames fell into batches. With `alone` all threads of a CPU compute one
    batch, so that a single picture comes sooner; else several batches may be computed at a time.

    Raises:
        OptionError: batch is below 1.
    """

    def __init__(self, engine: Engine, batch: int | None = None, *, alone: bool = False) -> None:
        if batch is not None and batch < 1:
            raise OptionError(f"batch must be at least 1, not {batch}")
        self._engine = engine
        self._backend = engine.backend
        self._alone = alone
        self._batch = batch
        self.report = PredictReport(
            str(engine.device),
            engine.dtype,
            batch=batch,
            form=engine.form,
            not_captured=engine.backend.not_captured,
        )
        """What it did so far."""

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        """Yield each of `frames`, in order, with its alpha at its picture's size.

        At most the backend's depth × batch frames are held. Several generators of one Engine may run, in any threads:
        they take turns from batch to batch.

        Raises:
            DeviceError: one frame does not fit in the device's memory, or the network's answer holds NaN.
        """
        source = iter(frames)
        first = next(source, None)
        if first is None:
            return
        picture, aspect = first.picture, first.aspect
        size = self._engine.size.network_size(picture.width, picture.height, aspect)
        # From the same batch every time, even where an earlier clip or segment ran out of memory.
        batch = self._batch or self._engine.batch_for(PictureKind.of(picture), aspect)
        self.report.size, self.report.batch = size, batch
        self._backend = self._engine.backend if self._alone else self._engine.backend_for(size, batch)
        with self._backend.at_work():
            yield from self._predicted([first], source, size, batch)

    def _predicted(
        self, waiting: list[DecodedFrame], source: Iterator[DecodedFrame], size: tuple[int, int], batch: int
    ) -> Iterator[AlphaFrame]:
        ring = self._engine.ring_for(waiting[0].picture, size, batch)
        try:
            while True:
                waiting.extend(islice(source, max(0, batch - len(waiting))))
                if not waiting:
                    break
                if not ring.takes(waiting[0]):
                    yield from self._collect_all(ring)
                    ring = self._engine.exchange(ring, waiting[0].picture, size, batch)
                alike = list(takewhile(ring.takes, waiting[:batch]))
                if self._submit(alike, ring):
                    del waiting[: len(alike)]
                    if len(ring.under_way) == self._backend.depth:
                        yield from self._collect(ring)
                else:
                    yield from self._collect_all(ring)
                    batch = self._halve(batch, ring)
                    ring = self._engine.ring_for(waiting[0].picture, size, batch)
            yield from self._collect_all(ring)
        finally:
            self._backend.join()
            self._engine.leave(ring)

    def _submit(self, frames: list[DecodedFrame], ring: Ring) -> bool:
        """Hand one batch to the device; return False, with nothing changed, where memory does not suffice."""
        try:
            with self._engine.lock:
                slot = ring.take()
                try:
                    slot.fill(frames)
                    downloaded = self._engine.launch(slot, self._backend)
                except BaseException:
                    ring.give_back(slot)
                    raise
                ring.under_way.append((slot, frames, downloaded))
        except RuntimeError as error:
            if is_out_of_memory(error):
                return False
            self._explain(error)
            raise
        return True

    def _explain(self, error: RuntimeError) -> None:
        """Raise a DeviceError where the device has no arithmetic for the network."""
        if "not implemented for" in str(error):
            raise DeviceError(
                f"{self.report.device} cannot compute this network in {self.report.dtype}: "
                f"choose {named('dtype', 'auto')}"
            ) from error

    def _collect(self, ring: Ring) -> Iterator[AlphaFrame]:
        """Wait for the oldest batch, yield its frames, and free its slot."""
        slot, frames, downloaded = ring.under_way.popleft()
        try:
            self._wait(downloaded)
            for index, frame in enumerate(frames):
                if slot.overflowed(index):
                    raise DeviceError(
                        f"the network overflowed in {self.report.dtype} on {self.report.device} at "
                        f"{float(frame.seconds):.3f} s: run again with {named('dtype', 'float32')}"
                    )
                self.report.frames += 1
                yield frame.with_alpha(slot.alpha(index, frame.picture))
        finally:
            ring.give_back(slot)

    def _wait(self, downloaded: Any) -> None:
        """Wait for a batch, whose errors come to light here where it was computed in another thread."""
        try:
            self._backend.host_wait(downloaded)
        except RuntimeError as error:
            if is_out_of_memory(error) and self.report.size is not None:
                raise self._engine.too_small(self.report.size) from error
            self._explain(error)
            raise
        self.report.not_captured = self._backend.not_captured

    def _collect_all(self, ring: Ring) -> Iterator[AlphaFrame]:
        while ring.under_way:
            yield from self._collect(ring)

    def _halve(self, batch: int, ring: Ring) -> int:
        """Return half of a batch that did not fit, after giving back the memory that it took."""
        assert self.report.size is not None
        if batch == 1:
            raise self._engine.too_small(self.report.size)
        self._engine.give_back(ring)
        self.report.out_of_memory.append(batch)
        self.report.batch = batch // 2
        return batch // 2
