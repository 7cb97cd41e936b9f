"""People in clothes of one colour, one of whom passes before the other: whose motion explains which cells."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.layers import Layers, Way
from birefvideo.matting.grid import Map, Mask

ROWS, COLUMNS, STEP = 60, 120, 2
BEHIND, FRONT = 0, 1


def drawn(frame: int) -> tuple[NDArray[np.uint8], Mask]:
    """Return the picture of a frame and where the one in front is: patterned heads, and bodies of one grey."""
    left = 70 - STEP * frame
    front = np.zeros((ROWS, COLUMNS), np.bool_)
    front[:, left : left + 40] = True
    heads = [np.random.default_rng(seed).integers(40, 220, (5, 10, 3)).astype(np.float32) for seed in (1, 2)]
    behind, own = (cv2.resize(head, (40, 20), interpolation=cv2.INTER_CUBIC) for head in heads)
    picture = np.full((ROWS, COLUMNS, 3), 90, np.float32)
    picture[:20, 30:70] = behind
    picture[:20, left : left + 40] = own
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), front


def explained(layers: Layers, frame: int, top: int = 0) -> tuple[list[Map], Mask]:
    """Return what explains the cells of a frame below `top` by the one before, and which were newly covered."""
    (one, before), (other, now) = drawn(frame - 1), drawn(frame)
    body = np.zeros((ROWS, COLUMNS), np.bool_)
    body[:, 30:70] = True
    shares = {BEHIND: (body & ~before).astype(np.float32), FRONT: before.astype(np.float32)}
    back = np.where(now[..., None], np.array([STEP, 0]), 0).astype(np.float32)
    home = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).astype(np.float32)
    way = Way(home, back, np.ones((ROWS, COLUMNS), np.float32))
    covered = now & ~before & body
    covered[:30] = False  # below the heads, which tell by themselves
    mask = body | now
    mask[:top] = False
    return layers.explained(shares, one, other, way, mask, [BEHIND, FRONT]), covered


def test_who_is_seen_in_front_is_in_front_where_both_look_alike() -> None:
    layers = Layers()
    for frame in range(1, 9):
        (behind, front), covered = explained(layers, frame)
        assert float(front[covered].min(initial=1)) > 0.95
    assert float(behind[covered].max()) < 0.35


def test_who_was_in_front_is_forgotten_when_they_part() -> None:
    layers = Layers()
    for frame in range(1, 9):
        explained(layers, frame)
    layers.apart([[BEHIND, FRONT]])
    (behind, _), covered = explained(layers, 9)
    assert float(behind[covered].max()) < 0.35
    layers.apart([[BEHIND], [FRONT]])
    (behind, _), covered = explained(layers, 10, top=30)  # where nothing tells it anew
    assert float(behind[covered].min()) > 0.95


def test_somebody_of_whom_nothing_is_known_explains_nothing() -> None:
    picture, front = drawn(0)
    home = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).astype(np.float32)
    way = Way(home, np.zeros_like(home), np.ones((ROWS, COLUMNS), np.float32))
    known, unknown = Layers().explained({FRONT: front.astype(np.float32)}, picture, picture, way, front, [FRONT, 7])
    assert float(known[front].min()) > 0.99
    assert not unknown.any()
