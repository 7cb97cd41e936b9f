"""Things that move as one: what a search finds wrong in their parts must not add up."""

from __future__ import annotations

import cv2
import numpy as np
from marked_scenes import Scene, overlap

from birefvideo.directing.follow import Follower
from birefvideo.directing.one_motion import as_one, spread_out
from birefvideo.matting.grid import Map

ROWS, COLUMNS = 90, 160
THING = np.s_[25:65, 40:110]


def turning() -> tuple[Map, Map]:
    """Return the motion of everything that turns by 0.04 and is shifted, and the weights of a thing in it."""
    down, across = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    vectors = np.stack([1.5 - 0.04 * (down - 45), 0.04 * (across - 75)], axis=-1)
    weights = np.zeros((ROWS, COLUMNS), np.float32)
    weights[THING] = 1
    return vectors, weights


def test_a_turn_is_found_in_half_of_a_thing_and_goes_on_beyond_it() -> None:
    vectors, weights = turning()
    found = np.random.default_rng(1).normal(0, 3, vectors.shape).astype(np.float32)
    found[25:65, 40:95] = vectors[25:65, 40:95]  # the search is wrong in the rest, and around it
    assert float(np.abs(as_one(found, weights) - vectors).max()) < 0.15


def test_small_errors_of_the_search_do_not_bend_a_thing_and_a_part_that_moves_apart_is_followed() -> None:
    vectors, weights = turning()
    rough = np.random.default_rng(2).normal(0, 1, (6, 10, 2)).astype(np.float32)
    errors = 0.15 * cv2.resize(rough, (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    bent = spread_out(vectors + errors, weights, 3.0) - vectors
    assert float(np.abs(bent[THING]).mean()) < 0.6 * float(np.abs(errors[THING]).mean())
    moved = vectors.copy()
    moved[25:65, 90:110] += (2.5, 0)
    apart = spread_out(moved, weights, 3.0) - vectors
    assert float(apart[35:55, 98:106, 0].min()) > 2
    assert float(np.abs(apart[35:55, 50:75]).max()) < 0.5


def test_a_thing_that_turns_keeps_its_outline_through_noise() -> None:
    scene = Scene(speed=0.2, turn=1.0, noise=4, width=COLUMNS, height=ROWS, start=(45, 45), seed=5)
    picture, _, mask = scene.frame(0)
    follower = Follower(picture, mask)
    found = [(follower.next(picture)[0], mask) for picture, _, mask in map(scene.frame, range(1, 21))]
    assert min(overlap(*one) for one in found) > 0.984
