"""Which engine does the segments of a job; it decides none of their bytes."""

from __future__ import annotations

from dataclasses import dataclass

from birefvideo.errors import OptionError, named
from birefvideo.hints import meant

ENGINES = ("local", "ray")
"""What there is."""


@dataclass(frozen=True)
class EngineWish:
    """Where the workers of a job are.

    Raises:
        OptionError: there is no such engine, or it takes no such thing.
    """

    engine: str = "local"
    """This machine, or a Ray cluster."""
    address: str | None = None
    """Of the cluster's head; None: see `on_ray.RayHands`."""
    workers: int | None = None
    """How many there are on the cluster; None: likewise."""

    def __str__(self) -> str:
        if self.engine == "local":
            return "this machine"
        where = "of this machine" if self.address is None else f"at {self.address}"
        count = "" if self.workers is None else f", {self.workers} workers"
        return f"a Ray cluster {where}{count}"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            hint = meant(str(self.engine), ENGINES)
            raise OptionError(f"{named('engine')} is {self.engine!r}: give {' or '.join(ENGINES)}{hint}")
        for name in ("address", "workers"):
            if self.engine == "local" and getattr(self, name) is not None:
                raise OptionError(f"{named(name)} is for {named('engine', 'ray')}: add it, or leave {named(name)} out")
        if self.workers is not None and (type(self.workers) is not int or not 1 <= self.workers <= 10_000):
            raise OptionError(f"{named('workers')} is {self.workers!r}: give a number from 1 to 10000")
