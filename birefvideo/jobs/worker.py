"""What a worker does, in whichever process it is: it loads the network once, and does the segments that it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from birefvideo.errors import DeviceError, OutputError
from birefvideo.frames import VideoInfo
from birefvideo.jobs.engines import DoSegment, Work
from birefvideo.jobs.hands import Done, Facts
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.manifest import MANIFEST
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Plan
from birefvideo.matting.predict import Predictor
from birefvideo.memory import return_memory

_MUST_AGREE = ("weights", "geometry", "size", "mirrored", "device", "dtype", "threads", "form")
"""Settings that decide bytes, and that a worker resolves for itself."""


class Worker:
    """A network, and the work that there is for it.

    Args:
        options: the job's, with one device, the worker's own.
        name: what the worker is called in messages.

    Raises:
        BirefvideoError: as `LoadedModel`.
    """

    def __init__(self, options: Options, name: str) -> None:
        self._model = LoadedModel(options)
        self._name = name
        self._work: tuple[Plan, Predictor, DoSegment] | None = None

    def facts(self) -> Facts:
        """Return what the network is."""
        return Facts(self._model.identity, self._model.size, self._model.kind)

    def check_fits(self, info: VideoInfo, processes: int) -> None:
        """Refuse what the memory cannot hold; see `LoadedModel`."""
        self._model.check_fits(info, processes)

    def settings(self, info: VideoInfo) -> dict[str, Any]:
        """Return what decides the bytes of a clip's alpha."""
        return self._model.settings(info)

    def begin(self, work: Work) -> None:
        """Make ready for the segments of a work.

        Raises:
            OutputError: the job's folder is not to be seen from here.
            DeviceError: the network would not answer here as it does elsewhere.
        """
        plan = work.plan
        for path in (plan.folder / MANIFEST, plan.source.path):
            if not path.exists():
                raise OutputError(
                    f"the worker on {self._name} cannot see {path}: put inputs and outputs where all workers see them "
                    "under the same names"
                )
        mine = self._model.options.device  # the job's may name many, which would share the threads once more
        model = self._model.for_job(plan.options.changed(device=mine, batch=plan.settings["batch"]))
        own = model.settings(plan.source)
        for key in _MUST_AGREE:
            if own.get(key) != plan.settings.get(key):
                raise DeviceError(
                    f"the worker on {self._name} has another {key} than the first one ({own.get(key)}, not "
                    f"{plan.settings.get(key)}), so that frames would differ: name devices that are alike"
                )
        predictor = model.predictor(plan.settings["batch"])
        self._work = plan, predictor, work.begun(predictor)

    def do(self, number: int, on_frame: Callable[[], object]) -> Done:
        """Do the segment of that number of the work that was begun.

        Raises:
            BirefvideoError: the input, the outputs or the machine do not allow it.
        """
        assert self._work is not None
        plan, predictor, do = self._work
        made = do(plan.segments[number], on_frame)
        return_memory()
        return Done(made, predictor.report)
