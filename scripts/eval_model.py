#!/usr/bin/env python
"""Score checkpoints on clips with exact alpha: MAD, MSE ×10³, Grad ÷10³, dtSSD ×10², edge-band MAD ×10³.

    python scripts/eval_model.py --clips FOLDER --model birefvideo/weights/talk [--smooth 0] [--mirror] [--json]

FOLDER holds one folder a clip with clip.mp4 and alpha.mkv. The path is the tool's own: decoder, network, smoothing.
Where FOLDER/index.json gives clips a kind (scripts/make_trials.py), each kind has its mean too.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import torch

from birefvideo.family import checkpoints
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import Span
from birefvideo.matting.devices import find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import Predictor
from birefvideo.matting.smoother import make_smoother, smooth
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.planes import plane_array
from birefvideo.scoring.metrics import ClipScore, Score

COLUMNS = ("mad", "mse", "grad", "dtssd", "band_mad")


def score(clip: Path, predictor: Predictor, radius: int, most: int) -> Score:
    """Score one clip's first `most` frames."""
    info = probe(clip / "clip.mp4")
    total = ClipScore(with_conn=False)
    with av.open(str(clip / "alpha.mkv")) as truths:
        frames = read_frames(info, Span(end=info.start + round(most / info.rate / info.time_base)))
        smoothed = smooth(predictor.predict(frames), make_smoother(radius))
        for frame, truth in zip(smoothed, truths.decode(video=0), strict=False):
            assert frame.alpha is not None
            total.add(frame.alpha, plane_array(truth, 0).astype(np.float32) / np.float32(255))
    return total.score()


def kinds_of(folder: Path) -> dict[str, str]:
    """Return the kinds of the clips that have one, by name."""
    index = folder / "index.json"
    rows = json.loads(index.read_text()) if index.exists() else []
    return {row["name"]: row["kind"] for row in rows if "kind" in row}


def mean(scores: list[dict[str, float]]) -> dict[str, float]:
    return {column: float(np.mean([score[column] for score in scores])) for column in COLUMNS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--smooth", type=int, default=2)
    parser.add_argument("--long-side", type=int, help="network input, instead of the checkpoint's own")
    parser.add_argument("--mirror", action="store_true", help="as matte --mirror")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=10_000, help="number of frames of each clip to score")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    checkpoint = checkpoints.find(options.model)
    size = InputSize(long_side=options.long_side) if options.long_side else checkpoint.size
    device, dtype = find_device(options.device), getattr(torch, options.dtype)
    engine = Engine(checkpoints.load(checkpoint), size, device, dtype=dtype, mirrored=options.mirror)
    predictor = Predictor(engine)
    clips = sorted(path.parent for path in options.clips.glob("*/clip.mp4"))
    if not clips:
        raise SystemExit(f"{options.clips} holds no */clip.mp4")
    scores = {clip.name: asdict(score(clip, predictor, options.smooth, options.frames)) for clip in clips}
    kinds = kinds_of(options.clips)
    for kind in sorted({kinds[name] for name in scores if name in kinds}):
        scores[f"kind: {kind}"] = mean([scores[name] for name in kinds if kinds[name] == kind and name in scores])
    scores["mean"] = mean([scores[clip.name] for clip in clips])
    if options.json:
        print(json.dumps(scores, indent=1))
        return
    print(f"| clip | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, values in scores.items():
        print(f"| {name} | " + " | ".join(f"{values[column]:.2f}" for column in COLUMNS) + " |")


if __name__ == "__main__":
    main()
