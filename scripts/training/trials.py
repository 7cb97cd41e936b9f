"""Held-out people in moving scenes, a few of every kind: what training never sees, and choices are made by.

A scene is drawn from the names of people and places and a fixed seed, so it is the same on every machine, whether
`scripts/make_trials.py` encodes it or the network sees it as it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scenes.person import wander
from torch import Tensor

from birefvideo.network.birefnet import BiRefNet
from training.batches import Batch, Batches
from training.cutouts import Cutout, Material
from training.drawing import Image
from training.places import warp
from training.run import normalise

FRAMES, RATE = 24, 24
"""Length of a scene in frames, and how many pass in a second."""


@dataclass(frozen=True)
class Actor:
    """One person of a scene."""

    name: str
    """End of the row's name."""
    extent: float
    """Height of the cut-out as a share of the frame's."""
    middle: float
    """Where its middle is, as a share of the frame's width."""
    bottom: float = 1.0
    """Where its lower side is, as a share of the frame's height; at least 1 where the photo cuts the body."""


@dataclass(frozen=True)
class Trial:
    """One scene."""

    name: str
    kind: str
    """What is hard about it."""
    size: tuple[int, int]
    """Width and height."""
    actors: tuple[Actor, ...]
    place: int
    """Number of its background among the held-out ones."""
    noise: float = 3.0
    """Deviation of the sensor's noise."""
    crf: int = 24
    """Quality of the H.264 file."""


WIDE, TALL, SQUARE = (640, 360), (360, 640), (480, 480)


TRIALS = (
    Trial("hands_together", "gesturing hands", WIDE, (Actor("ngoconu_827cbf", 1.05, 0.45, 1.03),), 3),
    Trial("hand_open", "gesturing hands", SQUARE, (Actor("sasia17_48d150", 0.95, 0.5),), 11, 5.0),
    Trial("arms_up", "gesturing hands", SQUARE, (Actor("ngoconu_958eab", 1.12, 0.5, 1.06),), 24),
    Trial("folded_side", "folded arms", TALL, (Actor("lametro_61374a", 0.72, 0.55),), 37, 2.0),
    Trial("folded_table", "folded arms", WIDE, (Actor("website_a5147f", 1.15, 0.4, 1.11),), 45),
    Trial("chin", "hand at chin", SQUARE, (Actor("gibadan_950b6f", 1.28, 0.5, 1.1),), 58, 6.0, 28),
    Trial("stripes_couple", "couple", SQUARE, (Actor("confcom_6f8fe6", 1.15, 0.5, 1.08),), 66),
    Trial(
        "made_couple",
        "couple",
        WIDE,
        (Actor("e4lib23_9336fb", 0.9, 0.36), Actor("sasia20_0d50db", 0.95, 0.6, 1.05)),
        80,
    ),
    Trial("hat_hand", "full body", TALL, (Actor("adiescz_80e234", 0.9, 0.5, 1.02),), 92),
    Trial("railing", "full body", TALL, (Actor("2020_568b94", 0.85, 0.5, 1.0),), 101, 4.0),
    Trial("akimbo", "half body", WIDE, (Actor("cafrica_b8682f", 1.1, 0.6, 1.02),), 110),
    Trial("standing", "half body", TALL, (Actor("sasia16_47475f", 0.9, 0.45, 1.02),), 118, 2.0, 20),
    Trial("knee", "seated", SQUARE, (Actor("nce-web_7a5b05", 1.05, 0.5, 1.03),), 125),
    Trial("long_hair", "long hair", WIDE, (Actor("e4lib20_9c448f", 1.15, 0.55, 1.1),), 131),
    Trial("beanie_hair", "long hair", SQUARE, (Actor("adiescz_76b063", 0.95, 0.4, 1.02),), 140, 4.0),
    Trial("big_curls", "curls", WIDE, (Actor("website_420542", 1.2, 0.5, 1.1),), 146),
    Trial("braids", "curls", TALL, (Actor("faker_7b595d", 0.62, 0.5),), 152, 3.0, 28),
    Trial("pattern", "strong pattern", WIDE, (Actor("pyconug_6ba2eb", 1.25, 0.6, 1.3),), 160),
    Trial("hijab", "headwear", SQUARE, (Actor("faker_7a1ae5", 1.15, 0.5, 1.08),), 167, 5.0),
    Trial("turtleneck", "turtleneck", SQUARE, (Actor("e4lib23_fb222a", 1.15, 0.5, 1.08),), 175, 3.0, 28),
)


def render(trial: Trial, held: Material, every: int = 1) -> Iterator[tuple[Image, Image]]:
    """Yield the frames of a scene, every `every`-th: picture BGR (h, w, 3) with noise, and its exact alpha (h, w)."""
    rng = np.random.default_rng(trial.place)
    width, height = trial.size
    times: NDArray[np.float32] = (np.arange(FRAMES) / RATE).astype(np.float32)
    actors = [(actor, _find(held, actor.name), _moves(times, rng)) for actor in trial.actors]
    place = _enlarged(held.rooms[trial.place % len(held.rooms)], width, height)
    camera = np.stack([wander(rng, times, 2.5) * 0.004 * width for _ in range(2)], axis=-1)
    for i in range(FRAMES):
        noise = rng.normal(0, trial.noise, (height, width, 1)) + rng.normal(0, trial.noise / 2, (height, width, 3))
        if i % every:
            continue
        picture, alpha = _filmed_at(place, actors, i, camera[i], (width, height))
        yield np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8), alpha


def _filmed_at(
    place: Image,
    actors: list[tuple[Actor, Cutout, NDArray[np.float32]]],
    frame: int,
    camera: NDArray[np.float32],
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], Image]:
    """Draw one frame, each actor as the mean of three moments of the exposure."""
    width, height = size
    shift = np.array([[1, 0, camera[0] - 0.03 * width], [0, 1, camera[1] - 0.03 * height]])
    under = warp(place, shift, width, height, cv2.BORDER_REFLECT_101).astype(np.float32)
    total = np.zeros((height, width), np.float32)
    for actor, cutout, moves in actors:
        colours, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
        following = min(frame + 1, len(moves) - 1)
        for part in (0.0, 0.25, 0.5):
            layer, mask = _posed(actor, cutout, moves[frame] + part * (moves[following] - moves[frame]), camera, size)
            weight = mask.astype(np.float32) / 765
            colours += layer * weight[..., None]
            cover += weight
        under = colours + under * (1 - cover[..., None])
        total = cover + total * (1 - cover)
    return under, (255 * total + 0.5).astype(np.uint8)


def _moves(times: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Return how somebody moves, (frames, 6): sway, rise, turn, breath, nod, and lean; each about unit size."""
    return np.stack([wander(rng, times, period) for period in (1.6, 2.0, 2.2, 2.8, 0.9, 1.2)], axis=-1)


def _posed(
    actor: Actor, cutout: Cutout, move: NDArray[np.float32], camera: NDArray[np.float32], size: tuple[int, int]
) -> tuple[Image, Image]:
    """Draw a cut-out in the pose of one moment: (colours, alpha); its upper part bends, its lower side stays."""
    width, height = size
    h, w = cutout.alpha.shape
    scale = actor.extent * height / h
    x0, y0 = actor.middle * width - scale * w / 2, actor.bottom * height - scale * h
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    u, v = (x - x0 - camera[0]) / scale, (y - y0 - max(0.0, float(camera[1]))) / scale
    above = np.clip(1 - v / h, 0, 1)  # 0 at the lower side, 1 at the top
    sway, rise, turn, breath, nod, lean = move
    u -= w * above * (0.03 * sway + 0.04 * above * lean) + 0.012 * w * nod * np.sin(5 * v / h)
    u -= 0.05 * turn * (v - h) * above
    v -= h * above * (0.008 * rise + 0.01 * breath * np.sin(4 * u / w)) + 0.01 * h * nod * above**2
    to_map = (u.astype(np.float32), v.astype(np.float32))
    alpha = cutout.alpha.copy()
    for is_cut, side in zip(cutout.cut, (np.s_[:, 0], np.s_[0], np.s_[:, -1], np.s_[-1]), strict=True):
        if not is_cut:
            alpha[side] = 0
    mask = cv2.remap(alpha, *to_map, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    layer = cv2.remap(cutout.foreground, *to_map, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return layer, mask


def _enlarged(place: Image, width: int, height: int) -> Image:
    """Cover a frame a little larger than the film's with a picture."""
    h, w = place.shape[:2]
    scale = 1.06 * max(width / w, height / h)
    size = (round(scale * w), round(scale * h))
    big = cv2.resize(place, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (size[0] - round(1.06 * width)) // 2, (size[1] - round(1.06 * height)) // 2
    return big[y : y + round(1.06 * height), x : x + round(1.06 * width)]


def _find(held: Material, name: str) -> Cutout:
    found = [cutout for cutout in held.cutouts if cutout.name.endswith(name)]
    if len(found) != 1:
        raise SystemExit(
            f"{len(found)} held-out people are called …{name}: the trials need the data they were made for"
        )
    return found[0].fetch()


@torch.inference_mode()
def trial_errors(model: BiRefNet, held: Material, device: torch.device, every: int = 6) -> dict[str, float]:
    """Return MAD ×10³ of each kind of trial and of all, frames as drawn and without smoothing; {} without the data."""
    names = [cutout.name for cutout in held.cutouts]
    kinds: dict[str, list[float]] = {}
    model.eval()
    for trial in TRIALS:
        if not all(any(name.endswith(actor.name) for name in names) for actor in trial.actors):
            continue
        for picture, alpha in render(trial, held, every):
            size = tuple(32 * round(n * 640 / max(trial.size) / 32) for n in trial.size)
            seen = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
            given = torch.from_numpy(seen).permute(2, 0, 1)[None].to(device)
            matte = torch.sigmoid(model(normalise(given)).float())[0, 0].cpu().numpy()
            error = np.abs(cv2.resize(matte, trial.size) - alpha.astype(np.float32) / 255).mean()
            kinds.setdefault(trial.kind, []).append(1000 * float(error))
    if kinds:
        kinds["all"] = [float(np.mean(errors)) for errors in kinds.values()]
    return {kind: float(np.mean(errors)) for kind, errors in kinds.items()}


@torch.inference_mode()
def trusted_errors(model: BiRefNet, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the absolute error summed over each picture's trusted pixels, and their weight: two tensors (N,)."""
    pictures, alpha, trust = (x.to(device) for x in batch)
    predicted = torch.sigmoid(model(normalise(pictures)).float())
    weight = trust.float() / 255
    return ((predicted - alpha.float() / 255).abs() * weight).sum((1, 2, 3)), weight.sum((1, 2, 3))


def validate(model: BiRefNet, batches: Batches, device: torch.device) -> float:
    """Return the mean absolute error ×10³ over trusted pixels of fixed composites of people never trained on."""
    model.eval()
    error = weight = 0.0
    for i in range(len(batches)):
        errors, weights = trusted_errors(model, batches[i], device)
        error += float(errors.sum())
        weight += float(weights.sum())
    return 1000 * error / weight
