"""The model of a job: a network in this process, or the workers of several devices."""

from __future__ import annotations

from types import TracebackType

from birefvideo.errors import OptionError, named
from birefvideo.jobs.crew import Crew
from birefvideo.jobs.engines import JobModel
from birefvideo.jobs.loaded_model import LastModel, loaded_model
from birefvideo.jobs.options import Options
from birefvideo.jobs.processes import Process, Processes
from birefvideo.matting.devices import device_names


class JobModels:
    """Loads models for one job after another, and keeps the last; a context manager, which ends what it has started."""

    def __init__(self) -> None:
        self._one = LastModel()
        self._crew: Crew[Process] | None = None

    def __enter__(self) -> JobModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, options: Options) -> JobModel:
        """Return the model that options hold, or the one that they name, on the devices that they name.

        Raises:
            BirefvideoError: as `LoadedModel`; or a network in memory is to run in several processes.
        """
        is_shared = len(device_names(options.device)) > 1
        if not isinstance(options.model, str):
            if is_shared:
                raise OptionError(
                    f"{named('device')} is {options.device!r}, but a network in memory is in one process: save it with "
                    "save_pretrained, and name that folder"
                )
            return loaded_model(options)
        if not is_shared:
            return self._one(options)
        if self._crew is None or self._crew.options != options:
            self._end()
            self._crew = Crew(options, Processes(options))
        return self._crew

    def _end(self) -> None:
        if self._crew is not None:
            self._crew.end()
        self._crew = None
