#!/usr/bin/env python
"""Make docs/pictures/*.jpg, the examples of docs/choosing.md: what a matte looks like when it is good, and when not.

    python scripts/make_guide_pictures.py --people CHECKOUT --places CHECKOUT

The sources, all free to publish: `--people` is github.com/faker-js/assets-person-portrait at 63aef57 (CC0, generated
people), `--places` github.com/BuddiesOfBudgie/budgie-backgrounds at 8206742 (CC0). The astronaut of samples/ is NASA's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import birefvideo

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
SAMPLES = ROOT / "samples"
GREEN = (0, 177, 63)
HEIGHT = 240
MOST_BYTES = 60_000
Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]


def cut_out(source: Path, *, start: float | None = None) -> tuple[Picture, Picture, Alpha]:
    """Return (picture, foreground, alpha) of a photo, or of a clip's frame, by talk; both pictures are RGB."""
    end = None if start is None else start + 0.2
    frame = next(iter(birefvideo.mattes(source, model="talk", start=start, end=end)))
    shown: Picture = frame.picture.reformat(format="rgb24").to_ndarray().astype(np.uint8)
    return shown, frame.rgb(), frame.alpha


def over(foreground: Picture, alpha: Alpha, colour: tuple[int, int, int] = GREEN) -> Picture:
    mixed = foreground * alpha[..., None] + np.array(colour, np.float32) * (1 - alpha[..., None])
    return np.rint(mixed).astype(np.uint8)


def grey(alpha: Alpha) -> Picture:
    return np.repeat(np.rint(255 * alpha).astype(np.uint8)[..., None], 3, axis=2)


def part(picture: Picture, box: tuple[float, float, float, float]) -> Picture:
    """Return a part of a picture; the box is (left, top, right, bottom) in shares of it."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box
    return picture[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def save(name: str, tiles: list[Picture]) -> None:
    """Write tiles side by side, with a line between them, in at most 60 KB."""
    scaled = []
    for tile in tiles:
        width = round(tile.shape[1] * HEIGHT / tile.shape[0])
        how = cv2.INTER_AREA if tile.shape[0] > HEIGHT else cv2.INTER_CUBIC
        scaled += [cv2.resize(tile, (width, HEIGHT), interpolation=how), np.full((HEIGHT, 4, 3), 255, np.uint8)]
    row = np.hstack(scaled[:-1])[..., ::-1]
    for quality in range(90, 40, -5):
        data = cv2.imencode(".jpg", row, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= MOST_BYTES:
            break
    (PICTURES / f"{name}.jpg").write_bytes(data)


def whole(name: str, source: Path, *, start: float | None = None, box: tuple[float, ...] = (0, 0, 1, 1)) -> None:
    """Save a source, its alpha, and the cut-out over green."""
    left, top, right, bottom = box
    tiles = cut_out(source, start=start)
    shown = [tiles[0], grey(tiles[2]), over(tiles[1], tiles[2])]
    save(name, [part(tile, (left, top, right, bottom)) for tile in shown])


def soft_and_hard() -> None:
    """Save an edge of hair by its true alpha, and as a mask that knows only in and out."""
    with av.open(str(SAMPLES / "talking_head.mp4")) as clip, av.open(str(SAMPLES / "talking_head_alpha.mkv")) as truth:
        shown = next(clip.decode(video=0)).reformat(format="rgb24").to_ndarray()
        alpha = next(truth.decode(video=0)).to_ndarray(format="gray").astype(np.float32) / 255
    hard = (alpha >= 0.5).astype(np.float32)
    box = _around_hair(alpha)
    save("soft_and_hard", [part(tile, box) for tile in (shown, over(shown, alpha), over(shown, hard))])


def _around_hair(alpha: Alpha) -> tuple[float, float, float, float]:
    """Return a box beside the head where the edge is softest."""
    soft = cv2.boxFilter(((alpha > 0.05) & (alpha < 0.95)).astype(np.float32), -1, (180, 150))
    height, width = alpha.shape
    y, x = np.unravel_index(int(soft[75:-75, 90:-90].argmax()), soft[75:-75, 90:-90].shape)
    return float(x) / width, float(y) / height, float(x + 180) / width, float(y + 150) / height


def what_networks_see(source: Path) -> None:
    """Save a detail of a 4K photo as networks of 640, 1024 and 2048 pixels see it."""
    photo = cv2.imread(str(source))[..., ::-1]
    tiles = []
    for side in (640, 1024, 2048):
        scale = side / max(photo.shape[:2])
        tiles.append(part(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), DETAIL))
    save("what_networks_see", tiles)


DETAIL = (0.30, 0.22, 0.46, 0.42)
"""Where the bird's head is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--places", type=Path, required=True)
    chosen = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    whole("good", SAMPLES / "talking_head.mp4", start=2)
    whole("hair", chosen.people / "female/512/7.jpg")
    whole("hair_edge", chosen.people / "female/512/7.jpg", box=(0.55, 0.05, 0.95, 0.45))
    whole("braids", chosen.people / "female/512/3.jpg")
    whole("animal", chosen.places / "backgrounds/perched-osprey.jpg")
    soft_and_hard()
    what_networks_see(chosen.places / "backgrounds/perched-osprey.jpg")


if __name__ == "__main__":
    main()
