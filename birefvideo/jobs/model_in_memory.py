"""Models that are in memory already: what an option may hold in place of a model's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birefvideo.family.modeling import BiRefNetForImageSegmentation
    from birefvideo.jobs.loaded_model import LoadedModel

IN_MEMORY = "network in memory"
"""What a network is called that came from no file that we know of."""


class KeptModel(ABC):
    """A model that stays loaded from job to job; `str` gives what its jobs are to call it."""

    @property
    @abstractmethod
    def kept(self) -> LoadedModel:
        """The model, ready to run."""

    @property
    @abstractmethod
    def settled(self) -> Mapping[str, tuple[object, ...]]:
        """Options that were decided when it was loaded: the value of each, and others that mean the same."""


@dataclass(frozen=True, eq=False)
class NetworkInMemory:
    """A network that the caller has built or trained, taken as it is when a job begins."""

    network: BiRefNetForImageSegmentation
    """The network, which is left as it is."""

    def __str__(self) -> str:
        return IN_MEMORY
