"""Hard-example mining: people whom the first weights get wrong are drawn more often."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from birefvideo.network.birefnet import BiRefNet
from training.batches import Batch, stacked
from training.compose import compose, filmed
from training.cutouts import Material
from training.trials import trusted_errors

SIDE = 224
"""Width and height, in pixels, of the pictures that people are judged on."""
LOOKS = 2
"""Pictures a person."""
TOGETHER = 6
"""People whose pictures make one batch."""
LEAST, MOST = 0.4, 3.0
"""Limits of a person's share, beside 1 for one with the mean error: a wrong label must not be all that is seen."""


@dataclass(frozen=True)
class Looks(Dataset[Batch]):
    """Item i is one batch of pictures of a few people, `LOOKS` each, drawn as training draws them."""

    material: Material
    seed: int

    def __len__(self) -> int:
        return -(-len(self.material.cutouts) // TOGETHER)

    def __getitem__(self, batch: int) -> Batch:
        cv2.setNumThreads(0)
        samples = []
        for i in range(TOGETHER * batch, min(TOGETHER * (batch + 1), len(self.material.cutouts))):
            rng = np.random.default_rng((self.seed, i))
            alone = replace(self.material, cutouts=self.material.cutouts[i : i + 1], weights=())
            samples += [filmed(compose(alone, SIDE, SIDE, rng), rng) for _ in range(LOOKS)]
        return stacked(samples)


def person_errors(
    model: BiRefNet, material: Material, device: torch.device, workers: int = 1, seed: int = 0
) -> NDArray[np.float64]:
    """Return the mean absolute error (people,) of each person's pictures, over trusted pixels, 0 to 1."""
    model.eval()
    found: list[float] = []
    for batch in DataLoader(Looks(material, seed), batch_size=None, num_workers=workers, prefetch_factor=6):
        errors, weights = trusted_errors(model, batch, device)
        found += (errors / weights.clamp(min=1)).view(-1, LOOKS).mean(1).tolist()
    return np.array(found)


def mined(material: Material, model: BiRefNet, device: torch.device, file: Path, workers: int = 1) -> Material:
    """Return the material with people drawn as often as they are hard for `model`; `file` keeps the errors.

    Shrivastava et al. ("Training region-based object detectors with online hard example mining", 2016) choose within a
    batch; here people are judged once, before the run, as a picture that is judged and not learnt from is lost time.
    """
    if file.exists():
        known = json.loads(file.read_text())
    else:
        errors = person_errors(model, material, device, workers)
        known = {cutout.name: round(float(e), 5) for cutout, e in zip(material.cutouts, errors, strict=True)}
        file.write_text(json.dumps(known, indent=0))
    found = np.array([known.get(cutout.name, np.nan) for cutout in material.cutouts])
    shares = np.clip(np.nan_to_num(found / np.nanmean(found), nan=1.0), LEAST, MOST)
    return replace(material, weights=tuple(shares.tolist()))
