"""Stands for `birefvideo matte --json` in tests of services: writes a small file of its kind for each format.

A clip called slow… waits until stdin closes, and fails… fails. Beside the outputs words.txt has the command's words.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

ENDINGS = {"prores": "_alpha.mov", "webm": "_alpha.webm", "green": "_comp.mp4", "gif": "_alpha.gif"}
ENDINGS |= {"prores-xq": "_xq.mov", "matte": "_matte.mp4", "fill": "_fill.mp4", "png": "_alpha.png"}
PICTURES = {"png": "_alpha.png", "green": "_comp.png", "matte": "_matte.png", "fill": "_fill.png"}


def say(event: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"event": event, "input": sys.argv[-1], **values}) + "\n")
    sys.stdout.flush()


def picture(name: str) -> bytes:
    """12×8 pixels, the subject in columns 3 to 8 of rows 2 to 5."""
    alpha = np.zeros((8, 12, 1), np.uint8)
    alpha[2:6, 3:9] = 255
    colour = np.full((8, 12, 3), (0, 0, 200), np.uint8)
    planes = {"png": np.concatenate([colour, alpha], axis=2), "matte": alpha}.get(name, colour)
    return bytes(cv2.imencode(".png", planes)[1].tobytes())


def main() -> int:
    words, clip = sys.argv[1:-1], Path(sys.argv[-1])
    out = Path(next(word for word in words if word.startswith("--out=")).removeprefix("--out="))
    formats = [word.removeprefix("--to=") for word in words if word.startswith("--to=")] or ["prores", "green"]
    formats = [part for name in formats for part in name.split("+")]
    (out / "words.txt").write_text("\n".join(word for word in words[2:] if not word.startswith("--out=")))
    say("frame", done=1, total=2, fps=5.0, eta=0.2)
    sys.stderr.write("birefvideo: a note\n")
    if clip.stem.startswith("slow"):
        sys.stdin.buffer.read()
        return 130
    if clip.stem.startswith("fails"):
        say("failed", error="InputError", message=f"{clip} holds no video", exit_code=1)
        return 1
    is_picture = clip.suffix in (".png", ".jpg")
    outputs = []
    for name in formats:
        path = out / f"{clip.stem}{(PICTURES if is_picture else ENDINGS)[name]}"
        path.write_bytes(picture(name) if is_picture else name.encode())
        outputs.append({"path": str(path), "bytes": path.stat().st_size})
    say("frame", done=2, total=2, fps=5.0, eta=0.0)
    say("finished", outputs=outputs, receipts=[], review=None, frames=2, seconds=0.1, model="talk", warnings=[])
    return 0


sys.exit(main())
