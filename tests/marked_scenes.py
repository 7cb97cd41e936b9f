"""Scenes to mark: a textured thing that moves and turns beside a person, with its exact mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import Alpha

RGB = NDArray[np.uint8]
FINE = 4
"""Pixels a side that are averaged to one."""


@dataclass(frozen=True)
class Scene:
    """One thing and one person before a room."""

    speed: float = 0.5
    """Pixels a frame that the thing moves to the right."""
    turn: float = 0.2
    """Degrees a frame that it turns."""
    width: int = 320
    height: int = 180
    start: tuple[float, float] = (70.0, 95.0)
    """Where the middle of the thing is at frame 0."""
    noise: float = 2.0
    seed: int = 3

    def empty(self, index: int) -> RGB:
        """Return the picture without the thing."""
        return self._seen(index, has_thing=False)[0]

    def frame(self, index: int) -> tuple[RGB, Alpha, Alpha]:
        """Return (picture, the person's alpha, the thing's mask), the mask to parts of a pixel."""
        return self._seen(index, has_thing=True)

    @lru_cache(maxsize=512)  # noqa: B019 - scenes are few and small
    def _seen(self, index: int, *, has_thing: bool) -> tuple[RGB, Alpha, Alpha]:
        room = _texture(self.seed, (self.height, self.width), 24, (70, 150))
        person, alpha = self._person(index)
        thing, mask = self._thing(index)
        mask = mask * np.float32(has_thing)
        rgb = room + alpha[..., None] * (person - room)
        rgb = rgb + mask[..., None] * (thing - rgb)
        rgb += np.random.default_rng(self.seed * 100_003 + index).normal(0, self.noise, rgb.shape)
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8), alpha * (1 - mask), mask

    def place(self, index: int) -> tuple[float, float]:
        """Return where the middle of the thing is."""
        return self.start[0] + self.speed * index, self.start[1] + 6 * float(np.sin(index / 15))

    def _person(self, index: int) -> tuple[NDArray[np.float32], Alpha]:
        size = (FINE * self.height, FINE * self.width)
        x, sway = 0.72 * self.width, 4 * float(np.sin(index / 9))
        fine = np.zeros(size, np.uint8)
        head = (int(FINE * (x + sway)), int(FINE * 0.38 * self.height))
        cv2.circle(fine, head, int(FINE * 0.17 * self.height), 255, -1)
        body = (int(FINE * (x + sway / 2)), int(FINE * self.height))
        cv2.ellipse(fine, body, (int(FINE * 0.3 * self.height), int(FINE * 0.47 * self.height)), 0, 0, 360, 255, -1)
        colour = _texture(self.seed + 1, (self.height, self.width), 10, (150, 220)) * (1.0, 0.75, 0.62)
        return colour.astype(np.float32), _averaged(fine)

    def _thing(self, index: int) -> tuple[NDArray[np.float32], Alpha]:
        side = 64
        own = _texture(self.seed + 2, (side, side), 9, (30, 200)) * (0.35, 0.6, 1.0)
        turn = cv2.getRotationMatrix2D((side / 2 - 0.5, side / 2 - 0.5), self.turn * index, 1.0)
        x, y = self.place(index)
        turn[:, 2] += (x - side / 2, y - side / 2)
        picture = cv2.warpAffine(
            own.astype(np.float32), turn, (self.width, self.height), borderMode=cv2.BORDER_REFLECT_101
        )
        outline = np.array([(8, 14), (30, 6), (56, 16), (58, 46), (40, 60), (14, 54)], np.float64)
        fine = np.zeros((FINE * self.height, FINE * self.width), np.uint8)
        corners = FINE * (outline @ turn[:, :2].T + turn[:, 2] + 0.5)
        cv2.fillPoly(fine, [np.rint(corners).astype(np.int32)], 255)
        return picture, _averaged(fine)


def overlap(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Return intersection over union of two soft masks."""
    return float(np.minimum(one, two).sum() / np.maximum(one, two).sum())


@lru_cache(maxsize=32)
def _texture(seed: int, size: tuple[int, int], cell: int, span: tuple[float, float]) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    rough = rng.random((size[0] // cell + 3, size[1] // cell + 3, 3)).astype(np.float32)
    smooth = cv2.resize(rough, size[::-1], interpolation=cv2.INTER_CUBIC)
    return span[0] + (span[1] - span[0]) * np.clip(smooth, 0, 1).astype(np.float64)


def _averaged(fine: NDArray[np.uint8]) -> Alpha:
    size = (fine.shape[1] // FINE, fine.shape[0] // FINE)
    return cv2.resize(fine.astype(np.float32) / 255, size, interpolation=cv2.INTER_AREA)


class SceneClip:
    """The coarse clip of a scene's frames."""

    def __init__(self, scene: Scene, frames: int, *, is_seen: bool = False, hidden_from: int | None = None) -> None:
        self.scene = scene
        self.full_size = (scene.width, scene.height)
        self._frames = frames
        self._is_seen = is_seen
        """Whether the network takes the thing for a person."""
        self._hidden_from = hidden_from
        """Frame from which on the thing is gone."""

    def __len__(self) -> int:
        return self._frames

    def seconds(self, number: int) -> float:
        return number / 25

    def picture(self, number: int) -> RGB:
        is_hidden = self._hidden_from is not None and number >= self._hidden_from
        return self.scene.empty(number) if is_hidden else self.scene.frame(number)[0]

    def alpha(self, number: int) -> Alpha:
        _, person, thing = self.scene.frame(number)
        return np.maximum(person, thing) if self._is_seen else person

    def truth(self, number: int) -> Alpha:
        """Return the thing's exact mask."""
        return self.scene.frame(number)[2]

    def person(self, number: int) -> Alpha:
        """Return the person's exact mask."""
        return self.scene.frame(number)[1]
