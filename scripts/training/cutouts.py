"""Read the training folders once: people with their mattes and colours, and backgrounds without people."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scenes.person import push_pull

from training.heldout import held_out
from training.styles import Head, find_head

SPAWN = get_context("spawn")
"""How to start processes: one that is forked after PyTorch has computed waits for threads that it does not have."""
LONG_SIDE = 512
"""Longest side, in pixels, of everything that training reads."""
MIN_IOU, MAX_UNTRUSTED = 0.86, 0.06
"""What a row's label must reach: agreement of its makers, and the largest share of pixels they do not trust."""
SHARES = {
    "head and shoulders": 3.0,
    "half body": 6.0,
    "full body or small in the frame": 6.0,
    "two people": 6.0,
    "three people": 6.0,
}
"""How often people of a kind are drawn, beside 1 for all others: heads are many, bodies few."""


@dataclass(frozen=True)
class Cutout:
    """One portrait: all arrays uint8, same height and width."""

    picture: NDArray[np.uint8]
    """The photo, BGR (h, w, 3)."""
    foreground: NDArray[np.uint8]
    """Straight colours of the person, BGR, plausible also outside the matte."""
    alpha: NDArray[np.uint8]
    """The teacher's matte (h, w)."""
    trust: NDArray[np.uint8]
    """Weight of each pixel in the loss: 255 sure, 0 ignore (h, w)."""
    cut: tuple[bool, bool, bool, bool]
    """Whether the person runs out of the photo at its left, top, right, bottom."""
    head: Head | None
    """Where the head is, or None where it was not found."""
    name: str = ""
    """The row's name."""
    kind: str = ""
    """What the index says of the framing and the number of people; empty if nothing."""

    def fetch(self) -> Cutout:
        """Return itself; see `Stored.fetch`."""
        return self


@dataclass(frozen=True)
class Stored:
    """A portrait that lies in the cache until it is needed: thousands would take too much memory."""

    file: Path
    """Its arrays: picture, colours, alpha and trust, one after another."""
    name: str
    kind: str

    def fetch(self) -> Cutout:
        """Read the arrays."""
        planes = np.load(self.file)
        shape = planes.shape[1:]
        picture, foreground = (planes[i : i + 3].reshape(*shape, 3) for i in (0, 3))
        alpha, trust = planes[6], planes[7]
        return Cutout(picture, foreground, alpha, trust, touched_sides(alpha), find_head(alpha), self.name, self.kind)


@dataclass(frozen=True)
class Material:
    """Everything that training pictures are composed of."""

    cutouts: Sequence[Cutout | Stored]
    """People."""
    rooms: list[NDArray[np.uint8]]
    """Backgrounds without people, BGR."""
    surroundings: list[NDArray[np.uint8]] = field(default_factory=list)
    """What is around the people in their own photos, BGR: streets, trees and studio walls, which the rooms lack."""
    weights: Sequence[float] = ()
    """Factors of how often each person is drawn, beside what `SHARES` says; 1 for everybody if empty."""

    @cached_property
    def _rise(self) -> NDArray[np.float64]:
        shares = np.array([SHARES.get(cutout.kind, 1.0) for cutout in self.cutouts])
        if self.weights:
            shares *= np.array(self.weights)
        return np.cumsum(shares) / shares.sum()

    def person(self, rng: Generator) -> Cutout:
        """Draw a person, each kind as often as `SHARES` says, times the person's weight."""
        return self.cutouts[min(int(np.searchsorted(self._rise, rng.random())), len(self.cutouts) - 1)].fetch()

    def background(self, rng: Generator) -> NDArray[np.uint8]:
        """Draw a picture without people, BGR of any size."""
        if self.surroundings and rng.random() < 0.3:
            return self.surroundings[int(rng.integers(len(self.surroundings)))]
        return self.rooms[int(rng.integers(len(self.rooms)))]


@dataclass(frozen=True)
class Listed:
    """What the index files of the data folders name, before any picture is read."""

    people: list[tuple[Path, str]]
    """Each portrait's path without its ending, and its kind."""
    backgrounds: list[Path]
    """Pictures without people."""

    def split(self) -> tuple[Listed, Listed]:
        """Return what training uses, and what it never sees."""
        # The row's name and not its place in the file system: the choice is the same on every machine.
        held = held_out([(_row(path), kind) for path, kind in self.people])
        held |= held_out([(_row(path), path.stem.split("_")[0]) for path in self.backgrounds])
        sides = []
        for wanted in (False, True):
            people = [(path, kind) for path, kind in self.people if (_row(path) in held) == wanted]
            sides.append(Listed(people, [path for path in self.backgrounds if (_row(path) in held) == wanted]))
        return sides[0], sides[1]


def _row(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def read_index(folders: list[Path], releases: set[str]) -> Listed:
    """Read index.csv, and backgrounds.csv where there is one, of each folder; keep the rows that may be used."""
    people: list[tuple[Path, str]] = []
    backgrounds: list[Path] = []
    for folder in folders:
        for row in _rows(folder):
            if row["release"] == "background" or (row["release"] in releases and "teacher_iou" not in row):
                backgrounds.append(folder / f"{row['name']}.jpg")
            elif (
                row["release"] in releases
                and float(row["teacher_iou"]) >= MIN_IOU
                and float(row["untrusted"]) <= MAX_UNTRUSTED
            ):
                people.append((folder / row["name"], row.get("kind") or row["source"]))
    return Listed(people, backgrounds)


def _rows(folder: Path) -> Iterator[dict[str, str]]:
    for name in ("index.csv", "backgrounds.csv"):
        if (folder / name).exists():
            with (folder / name).open(newline="") as index:
                yield from csv.DictReader(index)


def read_image(path: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
    """Read a picture, reduced to `LONG_SIDE` where it is larger; raise SystemExit if it cannot be read."""
    image = cv2.imread(str(path), flags)
    if image is None:
        raise SystemExit(f"cannot read {path}")
    scale = LONG_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def touched_sides(alpha: NDArray[np.uint8]) -> tuple[bool, bool, bool, bool]:
    """Return left, top, right, bottom: True where more than 2 % of that border is person."""
    borders = (alpha[:, :2], alpha[:2], alpha[:, -2:], alpha[-2:])
    left, top, right, bottom = (bool((border > 127).mean() > 0.02) for border in borders)
    return left, top, right, bottom


def surroundings(cutout: Cutout) -> NDArray[np.uint8] | None:
    """Return a photo at half size with the person painted over from around; None if the person fills it."""
    half = cv2.resize(cutout.picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    person = cv2.dilate((cutout.alpha > 2).astype(np.uint8), np.ones((9, 9), np.uint8))
    weight = (cv2.resize(255 * person, half.shape[1::-1], interpolation=cv2.INTER_AREA) == 0).astype(np.float32)
    if weight.mean() < 0.25:
        return None
    return np.clip(push_pull(half.astype(np.float32), weight) + 0.5, 0, 255).astype(np.uint8)


def straight_colours(picture: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the person's own colours (h, w, 3) at soft edges, carried on beyond them.

    Blur fusion (Forte, 2021); with a second wide pass its error is half as large.
    """
    seen, a = picture.astype(np.float32), (alpha.astype(np.float32) / 255)[..., None]
    front = back = seen
    for side in (91, 91, 7):
        blurred = cv2.blur(a, (side, side))[..., None]
        front_mean = cv2.blur(front * a, (side, side)) / (blurred + 1e-5)
        back = cv2.blur(back * (1 - a), (side, side)) / (1 - blurred + 1e-5)
        front = np.clip(front_mean + a * (seen - a * front_mean - (1 - a) * back), 0, 255)
    filled = push_pull(front, np.clip(8 * a[..., 0] - 0.2, 0, 1)) if alpha.max() > 40 else front
    return np.clip(filled + 0.5, 0, 255).astype(np.uint8)


def make_cutout(
    picture: NDArray[np.uint8], alpha: NDArray[np.uint8], trust: NDArray[np.uint8] | None, name: str, kind: str
) -> Cutout:
    """Complete one portrait from what is stored of it; no trust weights mean trust everywhere."""
    trust = np.full_like(alpha, 255) if trust is None else trust
    colours = straight_colours(picture, alpha)
    return Cutout(picture, colours, alpha, trust, touched_sides(alpha), find_head(alpha), name, kind)


def read_cutout(source: Path, kind: str) -> Cutout:
    """Read one portrait from its folder."""
    picture = read_image(source.with_suffix(".jpg"))
    alpha = read_image(source.with_name(f"{source.name}_a.png"), cv2.IMREAD_GRAYSCALE)
    weights = source.with_name(f"{source.name}_w.png")
    trust = read_image(weights, cv2.IMREAD_GRAYSCALE) if weights.exists() else None
    return make_cutout(picture, alpha, trust, _row(source), kind)


def _prepare(job: tuple[Path, str, Path]) -> None:
    """Write the arrays of one portrait to the cache: picture, colours, alpha and trust, one after another."""
    source, kind, cached = job
    one = read_cutout(source, kind)
    planes = [np.ravel(x) for x in (one.picture, one.foreground, one.alpha, one.trust)]
    temporary = cached.with_suffix(".tmp.npy")
    np.save(temporary, np.concatenate(planes).reshape(8, *one.alpha.shape))
    temporary.rename(cached)


def load_material(listed: Listed, cache: Path) -> Material:
    """Read all that is listed; the cache saves the slow part for the next run."""
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [(path, kind, cache / f"{path.parents[1].name}_{path.name}.npy") for path, kind in listed.people]
    missing = [job for job in jobs if not job[2].exists()]
    if missing:
        print(f"estimating the foreground colours of {len(missing)} portraits", flush=True)
        with SPAWN.Pool(2) as pool:
            pool.map(_prepare, missing, chunksize=8)
    people = [Stored(cached, _row(path), kind) for path, kind, cached in jobs]
    material = Material(people, [read_image(path) for path in listed.backgrounds])
    return with_surroundings(material)


def with_surroundings(material: Material) -> Material:
    """Add what is around the people in their photos to the backgrounds."""
    around = [picture for cutout in material.cutouts if (picture := surroundings(cutout.fetch())) is not None]
    return replace(material, surroundings=around)
