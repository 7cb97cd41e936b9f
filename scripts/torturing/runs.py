"""The runs of scripts/torture.py: a sound file of each kind, how it is spoilt, and what then reads it.

A run's `read` may raise a BirefvideoError, or bear the file. Media are in `media_runs`; to add a run of another
kind, add a function to `runs`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import torch
from clips import CLIPS
from huggingface_hub import constants
from safetensors.torch import save

from birefvideo.family import checkpoints, hub
from birefvideo.family.locks import lock_path
from birefvideo.family.variants import VARIANTS
from birefvideo.frames import Span
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.manifest import fingerprints
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import (
    Plan,
    job_folder,
    plan_segments,
    plan_targets,
    with_earlier_batch,
)
from birefvideo.jobs.receipt import claims_of, merged, read, receipt_path, still_the_same
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.probe import probe
from birefvideo.media.sequence_json import SIDECAR, is_sequence
from birefvideo.media.verification.verify_later import prove
from torturing.mutations import spoil_bytes, spoil_json, spoil_text


@dataclass(frozen=True)
class Run:
    """One kind of file."""

    name: str
    """What the table calls it."""
    seed: bytes
    """A sound one."""
    place: Path
    """Where `read` finds it."""
    spoil: Callable[[bytes, random.Random], bytes]
    """Returns a spoilt one."""
    read: Callable[[], object]
    """What a command does with it."""


def runs(folder: Path) -> Iterator[Run]:
    """Yield all runs but those of media; what they need besides lies in `folder`."""
    yield from _texts(folder)
    yield from _outputs(folder)
    yield from _sidecar(folder)
    yield from _receipt(folder)
    yield from _job(folder)
    yield from _config(folder)
    yield from _weights(folder)
    yield from _lock(folder)


def _texts(folder: Path) -> Iterator[Run]:
    words = {"start": "1:02.5", "size": "1024x576", "fps": "30000/1001", "background": "#00b140", "batch": "8"}
    words |= {"despill": "green", "smooth": "2", "device": "cuda:0", "dtype": "float32", "premultiplied": "black"}
    for name, word in words.items():
        place = folder / f"{name}.txt"
        yield Run(f"--{name}", word.encode(), place, spoil_text, partial(_option, name, place))


def _option(name: str, place: Path) -> None:
    Options(**{name: place.read_text(errors="surrogateescape")})  # type: ignore[arg-type]


def _outputs(folder: Path) -> Iterator[Run]:
    for name, format in (("plain", "green"), ("webm", "webm"), ("with_alpha", "ffv1"), ("interlaced_prores", "prores")):
        sound = CLIPS[name](folder)
        place = folder / f"output_{sound.name}"
        yield Run(f"verify {format}", sound.read_bytes(), place, spoil_bytes, partial(_verify, place, format))


def _verify(path: Path, format: str) -> None:
    prove(path, get_format(format), None, claims_of(None))


def _sidecar(folder: Path) -> Iterator[Run]:
    pictures = folder / "clip_png"
    pictures.mkdir()
    values = {
        **{"birefvideo_sequence": 1, "pictures": "clip_%06d.png", "first": 1, "frames": 2, "rate": "25"},
        **{"time_base": "1/25", "pts": [0, 1], "last_duration": 1, "sample_aspect_ratio": "1", "coverage": [0.5, 0.5]},
    }
    place = pictures / SIDECAR

    def verify() -> None:
        is_sequence(pictures)
        prove(pictures, get_format("png"), None, claims_of(None))

    yield Run(SIDECAR, json.dumps(values).encode(), place, spoil_json, verify)


def _receipt(folder: Path) -> Iterator[Run]:
    output = folder / "clip_alpha.mov"
    output.write_bytes(b"none")
    entry = {
        **{"format": "prores", "sha256": "a" * 64, "span": [None, 40], "input": {"sha256": "b" * 64, "sounds": 1}},
        **{"verified": {"frames": 3, "sounds": [{"codec": "aac"}]}, "options": {"fps": "25", "audio": "all"}},
    }
    values = {"birefvideo_receipt": 1, "outputs": {output.name: entry, "clip_green.mp4": entry}}

    def verify() -> None:
        found = read(output)
        claims_of(found)
        still_the_same(output, output, found)
        merged(receipt_path(output), {output.name: {}})

    yield Run("receipt", json.dumps(values).encode(), receipt_path(output), spoil_json, verify)


def _job(folder: Path) -> Iterator[Run]:
    clip, options = CLIPS["silent"](folder), Options()
    info, targets = probe(clip), plan_targets(clip, None, ["png"])
    plan = Plan(
        source=info,
        targets=targets,
        span=Span(),
        segments=plan_segments(info, Span()),
        options=options,
        folder=job_folder(targets, clip),
        inputs=fingerprints(clip, options),
        settings={"batch": 1},
    )
    manifest = json.dumps(plan.manifest()).encode()
    curve = {"coverage": [0.5], "flicker": [0.0]}
    report = {"pts": [0], "last_duration": 500, "curve": curve, "decode": {"packets": 1, "short_by": 0.0}, "parts": {}}
    yield Run("manifest", manifest, folder / "manifest.json", spoil_json, partial(_resume, plan, manifest, folder))
    place = folder / "part_00000.json"
    yield Run("report", json.dumps(report).encode(), place, spoil_json, partial(_resume, plan, manifest, folder))


def _resume(plan: Plan, manifest: bytes, folder: Path) -> None:
    """Begin a job whose folder an earlier run left, with what is spoilt in place of what is sound."""
    plan.folder.mkdir(exist_ok=True)
    (plan.folder / "manifest.json").write_bytes(manifest)
    for name in ("manifest.json", "part_00000.json"):
        if (folder / name).exists():
            (plan.folder / name).write_bytes((folder / name).read_bytes())
            (folder / name).unlink()
    with_earlier_batch(plan)
    with JobFolder(plan, overwrite=True) as job:
        for segment in plan.segments:
            job.finished(segment)


def _config(folder: Path) -> Iterator[Run]:
    model = folder / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"none")
    values = {
        **{"model_type": "birefnet", "backbone": "conv_t", "multi_scale_input": "", "context": True},
        **{"attention": ["", "", "", "", ""], "block_width": 64, "aspp_dilations": [6, 12, 18], "long_side": 640},
    }
    place = model / "config.json"
    yield Run(
        "config.json",
        json.dumps(values).encode(),
        place,
        spoil_json,
        partial(_load, str(model)),
    )


def _weights(folder: Path) -> Iterator[Run]:
    state = {"bb.patch_embed.proj.weight": torch.zeros(96, 3, 4, 4), "norm": torch.ones(7)}
    file = BytesIO()
    torch.save(state, file)
    for name, data in (("weights.pth", file.getvalue()), ("weights.safetensors", save(state))):
        place = folder / name
        yield Run(name, data, place, spoil_bytes, partial(_load, str(place)))


def _load(name: str) -> None:
    checkpoints.load(checkpoints.find(name))


def _lock(folder: Path) -> Iterator[Run]:
    constants.HF_HOME = str(folder / "hub")
    row = next(row for row in VARIANTS.values() if row.hub_id)
    place = lock_path(row)
    place.parent.mkdir(parents=True)
    values = {"sha256": "a" * 64, "revision": "b" * 40}
    yield Run("lock", json.dumps(values).encode(), place, spoil_json, lambda: hub.stored(row))
