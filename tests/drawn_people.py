"""Drawn people as training data: what tests of scripts/train.py and its neighbours read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def drawn_person(seed: int) -> dict[str, np.ndarray]:
    """Head and shoulders, cut by the lower edge, as the arrays of a cached portrait."""
    rng = np.random.default_rng(seed)
    alpha = np.zeros((120, 100), np.uint8)
    cv2.circle(alpha, (50, 45), 22, 255, -1)
    cv2.ellipse(alpha, (50, 118), (40, 64), 0, 0, 360, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)
    colour = rng.integers(120, 255, 3).astype(np.uint8)
    foreground = np.broadcast_to(colour, (120, 100, 3)).copy()
    picture = (foreground * (alpha[..., None] / 255)).astype(np.uint8)
    return {"picture": picture, "foreground": foreground, "alpha": alpha, "trust": np.full_like(alpha, 255)}


def write_folder(data: Path) -> Path:
    """Write a data folder as scripts/train.py reads it: 21 people, 11 rooms, 3 other backgrounds."""
    for folder in (data / "portraits", data / "rooms", data / "backgrounds"):
        folder.mkdir(parents=True)
    rows = ["name,source,licence,release,teacher_iou,untrusted,kind"]
    for i in range(21):
        rows.append(
            f"portraits/p{i},drawn,CC0,{'sa' if i == 3 else 'yes'},0.99,0.0,{'headshot' if i < 18 else 'half body'}"
        )
        person = drawn_person(i)
        cv2.imwrite(str(data / "portraits" / f"p{i}.jpg"), person["picture"])
        cv2.imwrite(str(data / "portraits" / f"p{i}_a.png"), person["alpha"])
        if i == 0:  # a missing weight means trust everywhere
            cv2.imwrite(str(data / "portraits" / f"p{i}_w.png"), np.zeros_like(person["alpha"]))
    rows += ["portraits/bad,drawn,CC0,yes,0.5,0.0,headshot", "portraits/unclear,drawn,?,no,0.99,0.0,headshot"]
    for i in range(11):
        rows.append(f"rooms/room_{i},drawn,CC0,background,,,")
        cv2.imwrite(str(data / "rooms" / f"room_{i}.jpg"), np.full((90, 160, 3), 2 * i + 10, np.uint8))
    (data / "index.csv").write_text("\n".join(rows))
    rows = ["name,source,licence,release,kind"]
    for i, release in enumerate(("yes", "sa", "no")):
        rows.append(f"backgrounds/art_{i},drawn,CC BY,{release},art")
        cv2.imwrite(str(data / "backgrounds" / f"art_{i}.jpg"), np.full((90, 160, 3), 200 + i, np.uint8))
    (data / "backgrounds.csv").write_text("\n".join(rows))
    return data
