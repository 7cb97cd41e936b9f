"""Whose turn it is: jobs in the order in which they came, each with the devices that it needs for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Turns:
    """The jobs that wait or run. Two that need the same device never run at the same time, and none is overtaken by one
    that needs a device of its own.
    """

    def __init__(self) -> None:
        self._devices: dict[str, frozenset[str]] = {}
        self._begun: set[str] = set()
        self._positions: dict[str, int] | None = None

    def __len__(self) -> int:
        """Return how many jobs wait or run."""
        return len(self._devices)

    def __iter__(self) -> Iterator[str]:
        """Yield the jobs that wait or run, the one that came first before the others."""
        return iter(self._devices)

    def add(self, key: str, devices: Iterable[str]) -> None:
        """Let a job wait behind all others for its devices."""
        self._devices[key] = frozenset(devices)
        self._positions = None

    def end(self, key: str) -> None:
        """Give back what a job has held, or no longer waits for."""
        self._devices.pop(key, None)
        self._begun.discard(key)
        self._positions = None

    def begin(self) -> list[str]:
        """Return the jobs whose turn it has become; they hold their devices until `end`."""
        held = {device for key in self._begun for device in self._devices[key]}
        found = []
        for key, devices in self._devices.items():
            if key not in self._begun:
                if held.isdisjoint(devices):
                    found.append(key)
                held |= devices  # also of one that waits for the other of its devices: it would wait for ever
        self._begun.update(found)
        return found

    def position(self, key: str) -> int:
        """Return how many jobs are to end before one begins."""
        if key in self._begun:
            return 0
        if self._positions is None:
            self._positions = self._all_positions()
        return self._positions.get(key, 0)

    def _all_positions(self) -> dict[str, int]:
        found, before = {}, dict[str, int]()  # for each device a number with a bit for each job that holds it earlier
        for index, (key, devices) in enumerate(self._devices.items()):
            earlier = 0
            for device in devices:
                earlier |= before.get(device, 0)
            found[key] = earlier.bit_count()
            for device in devices:
                before[device] = earlier | 1 << index
        return found
