#!/usr/bin/env python
"""Draw contact sheets: three moments of every clip, as it is, over green and over a picture.

    python scripts/contact_sheets.py --out FOLDER CLIP… [--model talk] [--picture room.jpg]

Writes sheet0.png, sheet1.png, … with a row a clip. The path is the tool's own: network, smoothing, foreground colours.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import BirefvideoError, InputError
from birefvideo.frames import Frame, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import trimmed_span
from birefvideo.matting.network_input import network_input, resize_alpha
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.colour_names import NAMED_COLOURS
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import matted_frames

HEIGHT = 180
ROWS = 7
MOMENTS = (0.15, 0.5, 0.85)
"""Shares of a clip's length."""


def frame_at(moment: float, info: VideoInfo, model: LoadedModel) -> Frame:
    """Return the matted frame at this share of the clip's length, smoothed with the frames that follow it."""
    start = Fraction(moment).limit_denominator(100) * info.duration
    span = trimmed_span(info, start, start + Fraction(1, 5))
    smoother = make_smoother(model.options.smooth)
    with closing(matted_frames(info, span, model.predictor(), smoother, DecodeReport())) as frames:
        for frame in frames:
            return frame
    raise InputError(f"{info.path} shows no new picture at {float(start):.1f} s: leave this clip out")


def tiles(clip: Path, model: LoadedModel, backdrop: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the pictures of a row, (HEIGHT, w, 3) RGB: at every moment the source, over green and over `backdrop`."""
    info = probe(clip)
    row = []
    for moment in MOMENTS:
        frame = frame_at(moment, info, model)
        assert frame.alpha is not None and frame.foreground is not None
        size = (round(frame.picture.width * HEIGHT / frame.picture.height), HEIGHT)
        source, foreground = (network_input(p, size).astype(np.float32) for p in (frame.picture, frame.foreground))
        alpha = resize_alpha(frame.alpha, *size)[..., None]
        fitted = cv2.resize(backdrop, size, interpolation=cv2.INTER_AREA)
        below = (np.full_like(source, NAMED_COLOURS["green"]), fitted.astype(np.float32))
        row += [source, *(foreground * alpha + under * (1 - alpha) for under in below)]
    return [np.clip(tile + 0.5, 0, 255).astype(np.uint8) for tile in row]


def labelled(row: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Write a name into the upper left corner of a row, legible over anything."""
    letters = cv2.putText(np.zeros(row.shape[:2], np.uint8), text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    row[cv2.dilate(letters, np.ones((3, 3), np.uint8)) > 0] = 0
    row[letters > 0] = 255
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="talk")
    parser.add_argument("--picture", type=Path, help="picture behind the people (default: a grey ramp)")
    options = parser.parse_args()
    ramp = np.broadcast_to(np.linspace(20, 235, 160, dtype=np.uint8)[None, :, None], (90, 160, 3))
    backdrop = cv2.imread(str(options.picture)) if options.picture else np.ascontiguousarray(ramp)
    if backdrop is None:
        parser.error(f"cannot read {options.picture}")
    backdrop = cv2.cvtColor(backdrop, cv2.COLOR_BGR2RGB)
    rows = []
    try:
        model = LoadedModel(Options(model=options.model))
        for clip in options.clips:
            name = clip.parent.name if clip.stem == "clip" else clip.stem
            rows.append(labelled(np.hstack(tiles(clip, model, backdrop)), name))
    except BirefvideoError as error:
        raise SystemExit(str(error)) from error
    options.out.mkdir(parents=True, exist_ok=True)
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    for first in range(0, len(rows), ROWS):
        sheet = options.out / f"sheet{first // ROWS}.png"
        cv2.imwrite(str(sheet), cv2.cvtColor(np.vstack(rows[first : first + ROWS]), cv2.COLOR_RGB2BGR))
        print(sheet)


if __name__ == "__main__":
    main()
