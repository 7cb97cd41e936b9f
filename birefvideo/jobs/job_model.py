"""The model of a job: a network in this process, or the workers of several devices."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from birefvideo.errors import OptionError, named
from birefvideo.jobs.blank import Blanks
from birefvideo.jobs.crew import Crew
from birefvideo.jobs.engine_wish import EngineWish
from birefvideo.jobs.engines import JobModel
from birefvideo.jobs.hands import Hands
from birefvideo.jobs.loaded_model import LastModel, loaded_model
from birefvideo.jobs.model_in_memory import KeptModel
from birefvideo.jobs.on_ray import RayHands
from birefvideo.jobs.options import Options
from birefvideo.jobs.processes import Processes
from birefvideo.jobs.ray_cluster import joined
from birefvideo.matting.devices import device_names


class JobModels:
    """Loads models for one job after another, and keeps the last; a context manager, which ends what it has started.

    Args:
        wish: where their workers are; None: on this machine.
        told: takes a line where workers are long in coming.
        blanks: processes that were begun for workers on this machine.
        is_stopped: whether jobs in other threads than the main one are to end.
    """

    def __init__(
        self,
        wish: EngineWish | None = None,
        told: Callable[[str], object] = lambda line: None,
        blanks: Blanks | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._wish, self._told, self._blanks = wish or EngineWish(), told, blanks or Blanks()
        self._is_stopped = is_stopped
        self._one = LastModel()
        self._crew: Crew[Any] | None = None
        self._cluster: Any = None
        """Ray, where `begin` has started or joined a cluster."""

    def begin(self) -> None:
        """Join the cluster, where there is one, before threads ask for models: Ray wants the main thread for that.

        Raises:
            BirefvideoError: Ray is not installed, or the cluster does not answer.
        """
        if self._wish.engine == "ray":
            ray, is_ours = joined(self._wish.address)
            self._cluster = ray if is_ours else None

    def __enter__(self) -> JobModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        self._blanks.close()
        if self._cluster is not None:
            self._cluster.shutdown()

    def __call__(self, options: Options) -> JobModel:
        """Return the model that options hold, or the one that they name, on the devices that they name.

        Raises:
            BirefvideoError: as `LoadedModel`; or a network in memory is to run in several processes.
        """
        on_ray = self._wish.engine == "ray"
        is_shared = on_ray or len(device_names(options.device)) > 1
        if not isinstance(options.model, str):
            if is_shared:
                wish = named("engine", "ray") if on_ray else f"{named('device')} {options.device}"
                what, remedy = "a network in memory", "save it with save_pretrained, and name that folder"
                if isinstance(options.model, KeptModel):
                    what, remedy = "a Session", "call birefvideo.matte with the name of its model"
                raise OptionError(f"{what} is in this process, and {wish} asks for others: {remedy}")
            return loaded_model(options)
        if not is_shared:
            return self._one(options)
        if self._crew is None or self._crew.options != options:
            self._end()
            self._crew = Crew(options, self._makers(options))
        return self._crew

    def _makers(self, options: Options) -> Hands[Any]:
        if self._wish.engine == "ray":
            return RayHands(options, self._wish.address, self._wish.workers, self._told, self._is_stopped)
        return Processes(options, self._blanks)

    def _end(self) -> None:
        if self._crew is not None:
            self._crew.close()
        self._crew = None
