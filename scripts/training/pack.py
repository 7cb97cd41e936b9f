"""The training folders in one small file: WebP pictures and lossless mattes, for machines that take little luggage."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.cutouts import SPAWN, Cutout, Listed, Material, make_cutout, read_image, surroundings

Image = NDArray[np.uint8]
LOSSLESS = 101
"""OpenCV's quality for lossless WebP."""
STEPS = np.array([0 if a < 6 else 255 if a > 249 else 8 * ((a + 4) // 8) for a in range(256)], np.uint8)
"""Codes of alpha as packed: in steps of 8, which are finer than the labels are right, and take a third less room."""


def _webp(image: Image, quality: int) -> bytes:
    return cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def _decode(code: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _fit(image: Image, side: int) -> Image:
    scale = side / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _person(source: Path, side: int, quality: int) -> tuple[bytes, ...]:
    cv2.setNumThreads(1)
    picture = _fit(read_image(source.with_suffix(".jpg")), side)
    alpha = _fit(read_image(source.with_name(f"{source.name}_a.png"), cv2.IMREAD_GRAYSCALE), side)
    weights = source.with_name(f"{source.name}_w.png")
    trust = np.full_like(alpha, 255)
    if weights.exists():
        trust = cv2.threshold(_fit(read_image(weights, cv2.IMREAD_GRAYSCALE), side), 250, 255, cv2.THRESH_BINARY)[1]
    # Matte, weight and nothing, as the channels of one lossless picture.
    return _webp(picture, quality), _webp(cv2.merge([STEPS[alpha], trust, np.zeros_like(alpha)]), LOSSLESS)


def _background(path: Path, side: int, quality: int) -> tuple[bytes, ...]:
    cv2.setNumThreads(1)
    return (_webp(_fit(read_image(path), side), quality),)


def write_pack(sides: tuple[Listed, Listed], target: Path, side: int, quality: int) -> int:
    """Write what training uses and what it never sees; pictures of at most `side` pixels. Return the file's bytes."""
    index, parts = [], []
    with SPAWN.Pool(2) as pool:
        for listed in sides:
            people = pool.map(partial(_person, side=side, quality=quality), [path for path, _ in listed.people], 16)
            places = pool.map(partial(_background, side=side, quality=quality - 8), listed.backgrounds, 16)
            names = [(f"{path.parent.name}/{path.stem}", kind) for path, kind in listed.people]
            sizes = [[len(part) for part in item] for item in (*people, *places)]
            index.append({"people": names, "places": [path.stem for path in listed.backgrounds], "sizes": sizes})
            parts += [part for item in (*people, *places) for part in item]
    head = json.dumps(index).encode()
    temporary = target.with_suffix(".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        out.writelines(parts)
    temporary.replace(target)
    return target.stat().st_size


def read_pack(source: Path, workers: int) -> tuple[Material, Material]:
    """Return what training uses and what it never sees, all decoded into memory."""
    raw = source.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    at, sides = 8 + length, []
    with SPAWN.Pool(workers) as pool:
        for entry in json.loads(raw[8:at]):
            items = []
            for sizes in entry["sizes"]:
                ends = np.cumsum([at, *sizes]).tolist()
                items.append([raw[a:b] for a, b in pairwise(ends)])
                at = ends[-1]
            count = len(entry["people"])
            people = pool.starmap(
                _unpack, [(*item, *row) for item, row in zip(items, entry["people"], strict=False)], 8
            )
            places: Callable[[bytes], Image] = _decode
            rooms = pool.map(places, [item[0] for item in items[count:]], 8)
            around = [picture for _, picture in people if picture is not None]
            sides.append(Material([cutout for cutout, _ in people], rooms, around))
    return sides[0], sides[1]


def _unpack(picture: bytes, planes: bytes, name: str, kind: str) -> tuple[Cutout, Image | None]:
    """Return a person, and what is around them in the photo: both take long enough to be made side by side."""
    cv2.setNumThreads(1)
    alpha, trust = (np.ascontiguousarray(_decode(planes)[..., i]) for i in range(2))
    cutout = make_cutout(_decode(picture), alpha, trust, name, kind)
    return cutout, surroundings(cutout)
