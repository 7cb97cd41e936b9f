"""What training pictures and held-out scenes show: bodies, things behind people, straight colours, the packed data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import cv2
import eval_model
import make_trials
import numpy as np
import pytest
import train
import training.batches
import training.trials
from drawn_people import drawn_person, write_folder
from training import bodies, places, styles
from training.batches import Clock
from training.compose import _places
from training.cutouts import (
    Cutout,
    Material,
    load_material,
    make_cutout,
    read_index,
    straight_colours,
)
from training.pack import read_pack, write_pack
from training.trials import TRIALS, Actor, Trial, render

from birefvideo.family.checkpoints import load_folder

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"

SKIN = (120, 140, 190)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder as scripts/train.py reads it, and a place for the cache of foreground colours."""
    return write_folder(tmp_path / "data"), tmp_path / "cache"


def person(name: str = "portraits/p1") -> Cutout:
    arrays = drawn_person(1)
    arrays["foreground"][:] = SKIN
    return make_cutout(arrays["foreground"], arrays["alpha"], None, name, "headshot")


def test_colours_of_soft_edges_are_the_person_s_own() -> None:
    alpha = cv2.GaussianBlur(drawn_person(1)["alpha"], (0, 0), 4.0)
    share = alpha[..., None] / 255
    picture = (share * np.array([40, 180, 220]) + (1 - share) * np.array([200, 30, 20]) + 0.5).astype(np.uint8)
    colours = straight_colours(picture, alpha)
    soft = (alpha > 40) & (alpha < 250)
    error, mixed = (np.abs(x.astype(int) - (40, 180, 220)) for x in (colours, picture))
    assert error[soft].mean() < 0.15 * mixed[soft].mean()
    assert error.mean() < 15, "also where nothing of the person shows"
    empty = straight_colours(picture, np.zeros_like(alpha))
    assert empty.shape == picture.shape


def test_a_body_is_drawn_below_the_cut_and_what_the_photo_shows_stays() -> None:
    cutout = person()
    assert cutout.cut == (False, False, False, True) and bodies.can_complete(cutout)
    assert cutout.head is not None and not bodies.can_complete(replace(cutout, cut=(True, False, False, True)))
    assert not bodies.can_complete(replace(cutout, kind="two people"))
    legs = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        matrix = bodies.standing_place(cutout, 192, 320, rng)
        head = cutout.head.moved(matrix)
        cut = float((matrix @ (cutout.head.x, 119, 1))[1])
        foreground, own = (
            places.warp(x, matrix, 192, 320, cv2.BORDER_REPLICATE) for x in (cutout.foreground, cutout.alpha)
        )
        colours, alpha = bodies.complete((foreground, own), head, cut, np.random.default_rng(seed))
        above = np.s_[: int(head.shoulders)]
        assert (alpha[above] >= own[above]).all()
        middle = np.s_[int(cut) + 4 : int(min(320, cut + head.width)), int(np.clip(head.x, 0, 191))]
        assert cut > 300 or (alpha[middle] > 200).mean() > 0.9, f"seed {seed}: the torso goes on below the cut"
        assert colours.shape == (320, 192, 3)
        low = alpha[int(min(319, head.shoulders + 5 * head.width))]
        legs += int(low.max() > 200 and cut < 200)
    assert legs > 2


def test_a_gesture_adds_arms_and_takes_nothing_away() -> None:
    cutout = person()
    assert cutout.head is not None
    grown = 0
    for seed in range(12):
        _, alpha = bodies.gesture((cutout.foreground, cutout.alpha), cutout.head, np.random.default_rng(seed))
        assert (alpha >= cutout.alpha).all()
        grown += int((alpha > cutout.alpha).sum() > 100)
    assert grown > 5


def test_big_hair_stays_near_the_head() -> None:
    arrays = drawn_person(1)
    alpha = np.pad(arrays["alpha"], ((0, 0), (150, 150)))
    colours = np.full((*alpha.shape, 3), SKIN, np.uint8)
    head = styles.find_head(alpha)
    assert head is not None
    for seed in range(12):
        _, hairy = styles.big_hair((colours, alpha), head, np.random.default_rng(seed))
        assert not hairy[:, :100].any() and hairy.astype(int).sum() > alpha.astype(int).sum()


def test_what_hangs_above_a_head_ends_near_it() -> None:
    material = Material([person()], [np.full((90, 160, 3), 40, np.uint8)])
    head = styles.Head(80, 40, 30, 90)
    near = 0
    for seed in range(20):
        picture = np.full((120, 160, 3), 90, np.uint8)
        layer, same, mask = places.overhead(material, picture, head, np.random.default_rng(seed))
        assert same is picture and layer.shape == picture.shape and mask.any()
        near += int(mask[10:50, 65:95].max() > 200 and mask[100:].mean() < 60)
    assert near > 15


def test_of_several_people_most_stand_close_together() -> None:
    close = 0
    for seed in range(40):
        several = _places(3, np.random.default_rng(seed))
        assert len(several) == 3
        middles = sorted(place.middle for place in several if place.middle is not None)
        close += int(len(middles) == 3 and middles[2] - middles[0] < 0.7)
    assert close > 20


def test_a_pack_holds_what_the_folders_hold(folders: tuple[Path, Path], tmp_path: Path) -> None:
    data, cache = folders
    sides = read_index([data], {"yes", "sa"}).split()
    size = write_pack(sides, tmp_path / "packed" / "train.bin", side=60, quality=90)
    assert size == (tmp_path / "packed" / "train.bin").stat().st_size
    for listed, packed in zip(sides, read_pack(tmp_path / "packed" / "train.bin", workers=1), strict=True):
        whole = load_material(listed, cache)
        assert [(c.name, c.kind) for c in packed.cutouts] == [(c.name, c.kind) for c in whole.cutouts]
        assert len(packed.rooms) == len(whole.rooms) and len(packed.surroundings) == len(whole.surroundings)
        for one, other in zip(*([c.fetch() for c in m.cutouts] for m in (packed, whole)), strict=True):
            assert one.alpha.shape == (60, 50)
            small = cv2.resize(other.alpha, one.alpha.shape[::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(one.alpha.astype(int) - small).max() <= 5
            assert one.trust.min() == other.trust.min()


def test_a_run_by_time_ends_in_time() -> None:
    assert Clock(100).progress(25) == 0.25
    assert Clock(100, seconds=1e6, started=time.monotonic()).progress(99) < 0.01
    assert Clock(100, seconds=1.0, started=time.monotonic() - 5).progress(0) == 1


@pytest.mark.slow
def test_a_packed_run_by_time_keeps_its_weights(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[int] = []
    monkeypatch.setattr(training.batches, "STAGES", ((1.0, ((64, 64),)),))
    monkeypatch.setattr(train, "leave", left.append)

    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        train.main()

    run("--data", folders[0], "--pack", tmp_path / "train.bin", "--side", 100)
    run(
        *("--pack", tmp_path / "train.bin", "--run", tmp_path / "run", "--keep", tmp_path / "kept"),
        *("--seconds", 2, "--batch", 2, "--workers", 2, "--backbone", "conv_t"),
    )
    assert left == [0] and (tmp_path / "kept" / "model.safetensors").exists()


@pytest.mark.slow
def test_one_command_trains_from_a_pack_and_leaves_a_checkpoint_in_pieces(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    write_pack(read_index([folders[0]], {"yes"}).split(), tmp_path / "train.bin", side=100, quality=80)
    arguments = (tmp_path / "train.bin", tmp_path / "out", "1", "conv_c", "--device", "cpu", "--batch", "2")
    subprocess.run(
        ("sh", SCRIPTS / "train_on_gpu", *arguments, "--pairs", "1", "--workers", "1"),
        env={**os.environ, "PYTHON": sys.executable},
        check=True,
        capture_output=True,
        timeout=300,
    )
    pieces = sorted((tmp_path / "out").glob("model.safetensors.*"))
    assert len(pieces) == 2 and all(piece.stat().st_size <= 15 * 2**20 for piece in pieces)
    (tmp_path / "out" / "model.safetensors").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    assert load_folder(tmp_path / "out").geometry.backbone == "conv_c"
    assert (tmp_path / "out" / "log.jsonl").read_text()


def trial() -> Trial:
    return Trial("one", "curls", (96, 64), (Actor("p1", 0.9, 0.5, 1.05),), place=5, noise=2.0)


def test_a_scene_moves_is_the_same_every_time_and_names_whom_it_misses() -> None:
    held = Material([person()], [np.full((90, 160, 3), 40, np.uint8)])
    one, other = (list(render(trial(), held, every=8)) for _ in range(2))
    assert len(one) == 3 and one[0][0].shape == (64, 96, 3) and one[0][1].shape == (64, 96)
    for (picture, alpha), (again, same) in zip(one, other, strict=True):
        assert (picture == again).all() and (alpha == same).all()
    assert (one[0][1] != one[2][1]).any() and one[0][1].max() == 255 and one[0][1].min() == 0
    solid = cv2.erode((one[0][1] == 255).astype(np.uint8), np.ones((3, 3))) > 0
    assert np.abs(one[0][0][solid].astype(int) - SKIN).mean() < 8, "the person's colours, and noise"
    with pytest.raises(SystemExit, match="p1: the trials need"):
        next(render(trial(), Material([], held.rooms)))


def test_trials_have_names_of_their_own_and_places_that_lie_within_a_tenth_of_the_data() -> None:
    assert len({one.name for one in TRIALS}) == len(TRIALS)
    assert {"gesturing hands", "folded arms", "couple", "full body", "seated"} <= {one.kind for one in TRIALS}


def test_trials_are_written_as_clips_and_scored_by_kind(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, held = read_index([folders[0]], {"yes", "sa"}).split()
    name = held.people[0][0].name
    monkeypatch.setattr(make_trials, "TRIALS", (replace(trial(), actors=(Actor(name, 0.9, 0.5, 1.05),)),))
    arguments = ("--data", folders[0], "--cache", folders[1], "--out", tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["make_trials.py", *map(str, arguments)])
    make_trials.main()
    assert json.loads((tmp_path / "out" / "index.json").read_text())[0]["kind"] == "curls"
    assert eval_model.kinds_of(tmp_path / "out") == {"one": "curls"}
    for file, pixels in (("clip.mp4", "yuv420p"), ("alpha.mkv", "gray")):
        with av.open(str(tmp_path / "out" / "one" / file)) as clip:
            frames = list(clip.decode(video=0))
        assert len(frames) == training.trials.FRAMES and frames[0].format.name == pixels
