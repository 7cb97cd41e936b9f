"""Drawn rooms: painted in linear light, then seen through an out-of-focus lens."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Room:
    """A drawn room, in linear light, out of focus; places are shares of its width and height."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.width, self.height = size
        self.rng = rng
        self.light = np.zeros((self.height, self.width, 3), np.float32)
        self.x, self.y = np.meshgrid(
            np.linspace(0, 1, self.width, dtype=np.float32), np.linspace(0, 1, self.height, dtype=np.float32)
        )

    def box(self, left: float, top: float, right: float, bottom: float, rgb: tuple[float, ...]) -> None:
        """Paint a rectangle."""
        rows = slice(max(0, round(top * self.height)), max(0, round(bottom * self.height)))
        columns = slice(max(0, round(left * self.width)), max(0, round(right * self.width)))
        self.light[rows, columns] = rgb[::-1]

    def glow(self, x: float, y: float, radius: float, rgb: tuple[float, ...]) -> None:
        """Add a round pool of light."""
        aspect = self.height / self.width
        distance = ((self.x - x) ** 2 + ((self.y - y) * aspect) ** 2) / radius**2
        self.light += np.exp(-distance)[..., None] * np.array(rgb[::-1], np.float32)

    def wall(self) -> None:
        """Draw a painted wall: bright by the window on the left, dim far from it and near the floor, uneven."""
        hue = np.array([0.27, 0.225, 0.18]) + self.rng.uniform(-0.02, 0.02, 3)
        noise = cv2.resize(np.float32(self.rng.normal(0, 1, (9, 16))), (self.width, self.height), interpolation=2)
        shade = (0.30 + 0.95 * np.exp(-2.4 * self.x)) * (1.1 - 0.45 * self.y) * (1 + 0.04 * noise)
        self.light[:] = shade[..., None] * np.float32(hue)

    def window(self, left: float, right: float) -> None:
        """Draw a window with a bright, leafy outside, its frame, and curtains in folds."""
        top, bottom = 0.04, 0.74
        self.box(left - 0.012, top - 0.02, right + 0.012, bottom + 0.03, (0.30, 0.29, 0.27))
        self.box(left, top, right, bottom, (2.2, 2.5, 2.9))
        for _ in range(900):
            x, y = self.rng.uniform(left, right), bottom - abs(self.rng.normal(0, 0.24))
            size, tone = self.rng.uniform(0.002, 0.011), self.rng.uniform(0.1, 1.3) ** 2
            if y > top + size:
                self.blob(min(max(x, left + size), right - size), y, size, (0.5 * tone, 0.72 * tone, 0.22 * tone))
        pane = (
            slice(round(top * self.height), round(bottom * self.height)),
            slice(round(left * self.width), round(right * self.width)),
        )
        self.light[pane] = cv2.GaussianBlur(self.light[pane], (0, 0), self.width / 160)  # farther off than the wall
        middle = (left + right) / 2
        self.box(middle - 0.006, top, middle + 0.006, bottom, (0.22, 0.21, 0.20))
        self.box(left, 0.36, right, 0.375, (0.22, 0.21, 0.20))
        for edge, outward in ((left, -1), (right, 1)):
            across = (self.x - edge + outward * 0.03) * outward / 0.06
            hem = (across > -0.2 + 0.12 * np.sin(3 * self.y)) & (across < 1.0)
            folds = 0.55 + 0.3 * np.sin(across * 17 + 1.3 * np.sin(4 * self.y)) + 0.12 * np.sin(across * 41)
            folds *= 0.55 + 1.1 * np.exp(-2.2 * np.abs(across))  # daylight comes through next to the pane
            cloth = folds[..., None] * np.array([0.40, 0.45, 0.50], np.float32)
            self.light[hem] = cloth[hem]

    def blob(
        self, x: float, y: float, size: float, rgb: tuple[float, ...], tilt: float = 0.0, flat: float = 1.0
    ) -> None:
        """Paint an ellipse of half-width `size`, `flat` times as high."""
        centre = (round(x * self.width * 16), round(y * self.height * 16))
        axes = (round(size * self.width * 16), round(size * flat * self.width * 16))
        cv2.ellipse(self.light, centre, axes, tilt, 0, 360, rgb[::-1], -1, cv2.LINE_8, 4)

    def shelf(self, left: float, right: float) -> None:
        """Draw a bookcase: boards, rows of books of many colours, a few things between."""
        self.box(left, 0.06, right, 1.0, (0.045, 0.028, 0.018))
        for row in range(5):
            top, floor = 0.08 + 0.21 * row, 0.08 + 0.21 * (row + 1) - 0.018
            x = left + 0.012
            while x < right - 0.02:
                width = self.rng.uniform(0.007, 0.017)
                if self.rng.uniform() < 0.05:
                    self.vase(x + 0.018, floor)
                    x += 0.04
                    continue
                height = self.rng.uniform(0.55, 0.92) * (floor - top)
                colour = np.array(self.book_colour()) * self.rng.uniform(0.5, 1.1)
                for strip in range(4):  # a rounded spine catches the window's light on its left
                    part = x + width * strip / 4
                    lit = (1.25, 1.1, 0.85, 0.55)[strip]
                    self.box(part, floor - height, part + width / 4 + 1e-3, floor, tuple(colour * lit))
                band = floor - height * self.rng.uniform(0.7, 0.85)
                self.box(x, band, x + width, band + 0.012, tuple(np.minimum(colour * 2.2, 0.6)))
                x += width + 0.0012
            self.box(left, floor, right, floor + 0.018, (0.20, 0.115, 0.06))
        for edge in (left, right - 0.008):
            self.box(edge, 0.06, edge + 0.008, 1.0, (0.17, 0.10, 0.05))

    def book_colour(self) -> tuple[float, ...]:
        """Choose one of the colours that books have, linear."""
        colours: tuple[tuple[float, ...], ...]
        colours = ((0.30, 0.07, 0.05), (0.06, 0.12, 0.26), (0.08, 0.2, 0.13), (0.5, 0.42, 0.28), (0.42, 0.24, 0.06))
        colours += ((0.6, 0.57, 0.5), (0.12, 0.11, 0.11), (0.22, 0.09, 0.2), (0.1, 0.28, 0.3))
        return colours[int(self.rng.integers(len(colours)))]

    def vase(self, x: float, floor: float) -> None:
        """Draw a small glazed vase."""
        colour = np.array((0.30, 0.27, 0.22)) * self.rng.uniform(0.3, 1.2)
        self.blob(x, floor - 0.032, 0.011, tuple(colour), flat=1.5)
        self.box(x - 0.004, floor - 0.085, x + 0.004, floor - 0.04, tuple(0.8 * colour))
        self.blob(x - 0.004, floor - 0.04, 0.003, tuple(2 * colour), flat=2)

    def plant(self, x: float, y: float, size: float) -> None:
        """Draw a pot plant: leaves on arcs, the lower ones darker."""
        for _ in range(120):
            angle, reach = self.rng.uniform(0.1, math.pi - 0.1), self.rng.uniform(0.15, 1) * size
            leaf = (x + reach * math.cos(angle), y - 1.9 * reach * math.sin(angle) + 1.2 * reach**2 / size)
            tone = self.rng.uniform(0.25, 1) * (0.4 + 0.6 * math.sin(angle)) * (1.2 - 0.4 * math.cos(angle - 2.2))
            colour = (0.10 * tone, 0.26 * tone, 0.06 * tone)
            self.blob(*leaf, size * 0.17, colour, math.degrees(-angle) + self.rng.normal(0, 25), 0.28)
        self.box(x - 0.3 * size, y, x + 0.3 * size, y + 1.2 * size, (0.30, 0.13, 0.07))
        self.box(x - 0.34 * size, y - 0.02, x + 0.34 * size, y + 0.012, (0.38, 0.17, 0.09))

    def shadow(self, edge: float) -> None:
        """Draw the soft shadow that a piece of furniture casts on the wall at its left."""
        distance = np.clip(edge - self.x, 0, 1)
        self.light *= np.where(distance > 0, 1 - 0.5 * np.exp(-distance / 0.012), 1)[..., None].astype(np.float32)

    def picture(self, x: float, y: float, width: float) -> None:
        """Draw a framed landscape."""
        self.box(x, y, x + width, y + 1.35 * width, (0.10, 0.07, 0.05))
        inner = (x + 0.07 * width, y + 0.12 * width, x + 0.93 * width, y + 1.23 * width)
        self.box(*inner, (0.55, 0.53, 0.48))
        for part, colour in enumerate(((0.35, 0.45, 0.55), (0.5, 0.42, 0.33), (0.17, 0.22, 0.17), (0.10, 0.14, 0.10))):
            top = y + (0.25 + 0.21 * part) * width
            self.box(x + 0.17 * width, top, x + 0.83 * width, y + 1.1 * width, colour)

    def lamp(self, x: float, y: float) -> None:
        """Draw a standing lamp with a lit cloth shade."""
        self.box(x - 0.003, y, x + 0.003, 1.0, (0.08, 0.06, 0.04))
        for step in range(40):
            half, top = 0.026 + 0.022 * step / 40, y - 0.16 + 0.16 * step / 40
            bright = 0.9 + 0.9 * math.sin(math.pi * step / 40)
            self.box(x - half, top, x + half, top + 0.006, (1.25 * bright, 0.85 * bright, 0.45 * bright))
        self.glow(x, y - 0.08, 0.13, (0.38, 0.22, 0.09))
        self.glow(x, y - 0.08, 0.28, (0.12, 0.07, 0.03))

    def fairy_lights(self, left: float, right: float) -> None:
        """Draw a sagging string of small lamps, which the lens turns into discs."""
        for x in np.linspace(left, right, 13):
            sag = ((x - left) / (right - left) * 2 - 1) ** 2
            bright = self.rng.uniform(12, 22)
            y = 0.115 - 0.07 * sag + self.rng.uniform(-0.012, 0.012)
            self.blob(float(x), y, 0.0016, (1.0 * bright, 0.62 * bright, 0.27 * bright))

    def developed(self, blur: float) -> Array:
        """Return the room through a lens of blur radius `blur`, gamma-encoded, float32 BGR in [0, 1]."""
        size = math.ceil(blur)
        y, x = np.mgrid[-size : size + 1, -size : size + 1]
        disc = np.clip(blur + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
        light = cv2.filter2D(self.light, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
        light = light + 0.07 * cv2.GaussianBlur(light, (0, 0), 9 * blur)  # the lens's veil around bright things
        light = 1 - np.exp(-1.25 * light)  # a film-like shoulder instead of clipping
        return np.asarray(np.power(light, 1 / 2.2), np.float32)


def draw_room(size: tuple[int, int], blur: float, rng: np.random.Generator) -> Array:
    """Draw a home office, `size` in pixels, float32 BGR in [0, 1]."""
    room = Room(size, rng)
    tall = size[0] < size[1]
    room.wall()
    room.window(*((0.02, 0.33) if tall else (0.055, 0.255)))
    if not tall:
        room.picture(0.62, 0.15, 0.085)
        room.lamp(0.715, 0.52)
    left, right = (0.74, 1.02) if tall else (0.785, 0.985)
    room.shelf(left, right)
    room.shadow(left)
    room.box(0.2, 0.88, 0.5, 1.0, (0.14, 0.085, 0.05))
    room.plant(0.3, 0.80, 0.08)
    room.fairy_lights(0.36, 0.77)
    return room.developed(blur)
