#!/usr/bin/env python
"""Make the held-out clips: people and places that training never sees, moving, noisy and compressed, with exact alpha.

    python scripts/make_trials.py --data FOLDER… --out runs/trials
    python scripts/eval_model.py --clips runs/trials --model talk          # errors by clip and by kind

Writes NAME/clip.mp4 (H.264), NAME/alpha.mkv (FFV1) and index.json. The clips show the data's people: keep them to
yourself where the data's licences ask for it.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from training.cutouts import load_material, read_index
from training.trials import RATE, TRIALS, Trial, render


def encode(path: Path, frames: list[NDArray[np.uint8]], codec: str, pixels: str, options: dict[str, str]) -> None:
    """Write pictures, BGR (h, w, 3) or gray (h, w), as one video stream."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(RATE), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.thread_count = 1
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "bgr24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def make(trial: Trial, frames: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], out: Path) -> dict[str, object]:
    """Write one clip; return its row of the index."""
    folder = out / trial.name
    folder.mkdir(parents=True, exist_ok=True)
    pictures, alphas = zip(*frames, strict=True)
    encode(folder / "alpha.mkv", list(alphas), "ffv1", "gray", {})
    encode(folder / "clip.mp4", list(pictures), "libx264", "yuv420p", {"crf": str(trial.crf), "preset": "medium"})
    return {"name": trial.name, "kind": trial.kind, "size": trial.size, "frames": len(frames), "rate": RATE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that scripts/train.py reads")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    _, listed = read_index(options.data, {"yes", "sa"}).split()
    held = load_material(listed, options.cache)
    rows = [make(trial, list(render(trial, held)), options.out) for trial in TRIALS]
    (options.out / "index.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
