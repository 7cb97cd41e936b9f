"""Stands for `birefvideo matte --json` in tests: tells of frames, writes a file, and does what the clip's name asks.

A clip called slow… waits until stdin closes, and leaves a part; fails… fails; dies… is killed; and every clip's run is
noted in calls.txt beside the jobs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def say(event: str, **values: object) -> None:
    print(json.dumps({"event": event, "input": sys.argv[-1], **values}), flush=True)  # noqa: T201 - a program of its own


def main() -> int:
    out = Path(next(word for word in sys.argv if word.startswith("--out=")).removeprefix("--out="))
    clip = Path(sys.argv[-1])
    calls = out.parent.parent / "calls.txt"
    with calls.open("a") as file:
        file.write(f"start {clip.stem} {' '.join(sys.argv[2:-1])}\n")
    say("planned", model="talk", outputs=[{"path": str(out / f"{clip.stem}_alpha.mov"), "format": "prores"}])
    say("frame", done=1, total=2, fps=5.0, eta=0.2, segment=0, segments=1)
    print("birefvideo: a note", file=sys.stderr, flush=True)  # noqa: T201 - a program of its own
    parts = out / f"{clip.stem}.birefvideo"
    if clip.stem.startswith("slow") and not parts.is_dir():
        parts.mkdir()
        (parts / "part_0000.mov").write_bytes(b"part")
        sys.stdin.buffer.read()
        say("failed", error="Stopped", message="stopped", exit_code=130)
        return 130
    if clip.stem.startswith("fails"):
        say("failed", error="InputError", message=f"{clip} holds no video", exit_code=1)
        return 1
    if clip.stem.startswith("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    path = out / f"{clip.stem}_alpha.mov"
    path.write_bytes(bytes(range(200)))
    (path.with_suffix(".json")).write_text("{}")
    folder = out / "pictures"
    folder.mkdir(exist_ok=True)
    (folder / "00001.png").write_bytes(b"one")
    outputs = [{"path": str(path), "bytes": 200}, {"path": str(folder), "bytes": 3}]
    receipts = [str(path.with_suffix(".json"))]
    say("finished", outputs=outputs, receipts=receipts, review=None, frames=2, seconds=0.1, model="talk", warnings=[])
    with calls.open("a") as file:
        file.write(f"end {clip.stem}\n")
    return 0


sys.exit(main())
