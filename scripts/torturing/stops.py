"""Decoding that stops early, again and again, in workers that compute with PyTorch: none may hang.

PyAV is known to hang there where decoders share a picture's work among threads of their own (PyAV 1849, 1861, 1962).
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from clips import CLIPS

import birefvideo
from birefvideo.errors import CancelledError
from birefvideo.frames import Span
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.finished_output import read_finished_output
from birefvideo.scoring.read_mattes import open_mattes
from torturing.children import FAILED, endings
from torturing.jobs import save_network
from torturing.ledger import Found, Ledger

PART = "stops"
STOPS = 25
"""Stops of one worker."""
_LIMIT = 90
_CLIPS = ("short_gops", "interlaced_prores", "webm", "with_alpha", "open_gop_hevc", "avi_mpeg4", "interlaced_mpeg2")


def stop_early(ledger: Ledger, count: int, seed: int, folder: Path, keep: Path) -> None:
    """Stop decoding early `count` times, STOPS times in each worker."""
    clips = [CLIPS[name](folder) for name in _CLIPS]
    network = save_network(folder / "network")

    def works() -> Iterator[tuple[int, Callable[[], object]]]:
        for number in ledger.missing(PART, range(0, count, STOPS)):
            yield number, partial(stops, clips, network, STOPS, random.Random(f"{seed} {number}"))

    for number, ending in endings(works(), _LIMIT):
        fault = "" if not ending.code else f"exit {ending.code}" if ending.code == FAILED else "hangs, or died"
        if fault:
            print(f"{PART} {number}: {fault} after {ending.last_line}\n{ending.told}", flush=True)
        how = f"{STOPS} stops in a worker"
        ledger.add(Found(PART, number, how, "find" if fault else "ended", fault, f"{ending.seconds:.0f} s"))


def stops(clips: list[Path], network: Path | None, count: int, rng: random.Random) -> None:
    """Stop every reader of clips after a few frames, and with a network jobs too, while PyTorch's threads are there."""
    torch.set_num_threads(2)
    torch.randn(256, 256) @ torch.randn(256, 256)
    torch.nn.functional.conv2d(torch.randn(1, 3, 64, 64), torch.randn(8, 3, 3, 3))
    for number in range(count):
        clip, after = rng.choice(clips), rng.randrange(1, 6)
        print(f"{number}: {clip.name} after {after} frames", flush=True)
        kind = number % 8
        if kind == 0 and network is not None:
            with closing(birefvideo.mattes(clip, model=str(network))) as mattes:
                list(islice(mattes, after))
        elif kind == 4 and network is not None:
            _cancel(clip, network, after)
        elif kind in (1, 5):
            with closing(read_finished_output(clip, get_format("prores")).pictures()) as pictures:
                list(islice(pictures, after))
        elif kind in (2, 6) and clip.name.startswith("with_alpha"):
            list(islice(open_mattes(clip).mattes(), after))
        else:
            with closing(read_frames(probe(clip), Span(), threads=rng.choice((1, 2, 4)))) as frames:
                list(islice(frames, after))


def _cancel(clip: Path, network: Path, after: int) -> None:
    """Begin a job and cancel it after a few frames, so that encoders stop early too."""
    seen = 0

    def go_on() -> bool:
        nonlocal seen
        seen += 1
        return seen < after

    with tempfile.TemporaryDirectory() as out, suppress(CancelledError):
        birefvideo.matte(clip, f"{out}{os.sep}", ("webm", "matte"), model=str(network), progress=go_on)
