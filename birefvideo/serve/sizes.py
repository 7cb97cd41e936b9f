"""How much lies in the server's folder, known without looking at every file again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

Place = tuple[str, str]
"""Kind and id of a folder of ours."""
_FRESH = 2.0
"""Seconds for which the size of what grows is believed: a job may write a hundred thousand pictures."""


class Sizes:
    """Bytes of folders: each is measured when it has changed, and then remembered.

    What nobody says is grown or settled is not noticed until `doubt` names it.

    Args:
        measure: returns the bytes of a folder; it is called in a thread.
    """

    def __init__(self, measure: Callable[[Place], int]) -> None:
        self._measure = measure
        self._known: dict[Place, int] = {}
        self._sum = 0
        self._growing: set[Place] = set()
        self._doubtful: set[Place] = set()
        self._looked = -_FRESH
        self._turn = asyncio.Lock()

    def grow(self, place: Place) -> None:
        """Measure a folder at each look from now on: something is written to it."""
        self._known.setdefault(place, 0)
        self._growing.add(place)

    def settle(self, place: Place) -> None:
        """Measure a folder once more, and then remember what it was."""
        self._growing.discard(place)
        if place in self._known:
            self._doubtful.add(place)

    def forget(self, place: Place) -> None:
        """Leave out a folder that is gone."""
        self._sum -= self._known.pop(place, 0)
        self._growing.discard(place)
        self._doubtful.discard(place)

    def doubt(self, places: Iterable[Place]) -> None:
        """Measure these folders once more, which are all that there are."""
        there = set(places)
        for place in [place for place in self._known if place not in there]:
            self.forget(place)
        self._known.update({place: 0 for place in there if place not in self._known})
        self._doubtful |= there

    async def total(self) -> int:
        """Return the bytes of all folders."""
        async with self._turn:  # who comes while others measure waits for what they find
            await self._look()
        return self._sum

    async def _look(self) -> None:
        now, places, self._doubtful = time.monotonic(), self._doubtful, set()
        growing = self._growing if now - self._looked >= _FRESH else ()
        try:
            found = await asyncio.to_thread(self._measured, [*places.union(growing)])
        except BaseException:
            self._doubtful |= places & self._known.keys()
            raise
        if growing:
            self._looked = now
        for place, size in found.items():
            if place in self._known:  # it was not removed meanwhile
                self._sum += size - self._known[place]
                self._known[place] = size

    def _measured(self, places: list[Place]) -> dict[Place, int]:
        return {place: self._measure(place) for place in places}
