"""Read the training folder once and keep every cut-out and room in memory."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scenes.person import push_pull

from training.styles import Head, find_head

LONG_SIDE = 512
"""Longest side, in pixels, of everything kept in memory."""


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


@dataclass(frozen=True)
class Material:
    """Everything that training pictures are composed of."""

    cutouts: list[Cutout]
    """People."""
    rooms: list[NDArray[np.uint8]]
    """Backgrounds without people, BGR."""
    surroundings: list[NDArray[np.uint8]] = field(default_factory=list)
    """What is around the people in their own photos, BGR: streets, trees and studio walls, which the rooms lack."""


def _read(path: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8]:
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


def _prepare(job: tuple[Path, Path]) -> None:
    """Estimate the foreground colours of one portrait (Germer et al., 2020) and cache all its arrays."""
    from pymatting import estimate_foreground_ml

    source, cached = job
    picture = _read(source.with_suffix(".jpg"))
    alpha = _read(source.with_name(f"{source.name}_a.png"), cv2.IMREAD_GRAYSCALE)
    trust = _read(source.with_name(f"{source.name}_w.png"), cv2.IMREAD_GRAYSCALE)
    colours = estimate_foreground_ml(picture.astype(np.float64) / 255, alpha.astype(np.float64) / 255)
    foreground = np.clip(colours * 255 + 0.5, 0, 255).astype(np.uint8)
    temporary = cached.with_suffix(".tmp.npz")
    np.savez(temporary, picture=picture, foreground=foreground, alpha=alpha, trust=trust)
    temporary.rename(cached)


def load_material(data: Path, cache: Path, releases: set[str], min_iou: float, max_untrusted: float) -> Material:
    """Read `data`/index.csv and keep the rows that pass; the cache saves the slow part for the next run."""
    cache.mkdir(parents=True, exist_ok=True)
    people: list[Path] = []
    rooms: list[Path] = []
    with (data / "index.csv").open(newline="") as index:
        for row in csv.DictReader(index):
            if row["release"] == "background":
                rooms.append(data / f"{row['name']}.jpg")
            elif (
                row["release"] in releases
                and float(row["teacher_iou"]) >= min_iou
                and float(row["untrusted"]) <= max_untrusted
            ):
                people.append(data / row["name"])
    jobs = [(source, cache / f"{source.name}.npz") for source in people]
    missing = [job for job in jobs if not job[1].exists()]
    if missing:
        print(f"estimating the foreground colours of {len(missing)} portraits", flush=True)
        with Pool(2) as pool:
            pool.map(_prepare, missing, chunksize=8)
    cutouts = []
    for _, cached in jobs:
        with np.load(cached) as arrays:
            values = {name: arrays[name] for name in ("picture", "foreground", "alpha", "trust")}
        cutouts.append(Cutout(**values, cut=touched_sides(values["alpha"]), head=find_head(values["alpha"])))
    return Material(cutouts, [_read(room) for room in rooms])
