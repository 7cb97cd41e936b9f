"""Which model a job takes where the user leaves it open: the advised one, and that one to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birefvideo.advice.advise import Advice, advise_on, candidates
from birefvideo.errors import ModelError
from birefvideo.family import checkpoints
from birefvideo.family.variants import EMBEDDED, VARIANTS
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.manifest import MANIFEST, could_go_on, options_as_text, places, read_manifest
from birefvideo.jobs.options import Options
from birefvideo.matting.devices import Device, find_device


@dataclass(frozen=True)
class Choice:
    """The model of a job."""

    options: Options
    """The job's options with the model that was chosen, for loading it; the plan keeps the user's own."""
    reason: str = ""
    """Why that one, in a few words; '' where the user named it, or the loading of it says why."""
    advice: dict[str, Any] | None = None
    """Choice, reason and measures as the receipt has them; None where nothing was measured."""


def choose_model(info: VideoInfo, span: Span, options: Options, folder: Path, inputs: Mapping[str, Any]) -> Choice:
    """Return the model for a job: the user's; else that of its stopped run; else the advised one.

    Nothing is measured where only one model is here that the device can run in reasonable time.

    Args:
        info: the clip.
        span: the part of it that the job covers.
        options: the user's.
        folder: the job's, where a stopped run may have left its manifest.
        inputs: fingerprints of what the job reads.
    """
    if options.model != "auto":
        return Choice(options)
    device = find_device(options.device)
    here = candidates(info, span, device, commercial=True)
    earlier = _of_stopped_run(options, folder, inputs, device)
    if earlier is not None and (earlier.advice or here != [EMBEDDED] or earlier.options.model != EMBEDDED):
        return earlier
    if here == [EMBEDDED]:
        return Choice(options)
    advice = advise_on(info, span, device, commercial=True)
    return Choice(options.changed(model=advice.choice), _few_words(advice), advice_facts(advice))


def advice_facts(advice: Advice) -> dict[str, Any]:
    """Return what a receipt says of an advice; nothing in it depends on the moment."""
    return {
        "choice": advice.choice,
        "best": advice.best,
        "rule": advice.rule,
        "reason": advice.reason,
        "measures": advice.measures.as_dict(),
    }


def _few_words(advice: Advice) -> str:
    return f"advised: {advice.rule}" + ("" if advice.choice == advice.best else f"; {advice.best} is not usable here")


def _of_stopped_run(options: Options, folder: Path, inputs: Mapping[str, Any], device: Device) -> Choice | None:
    """Return the choice of a stopped run of the same command, if its model is still here."""
    manifest = read_manifest(folder / MANIFEST)
    if manifest is None or manifest.get("options") != options_as_text(options) or not could_go_on(manifest):
        return None
    settings, advice = manifest.get("settings"), places(manifest).get("advice")
    name = settings.get("model") if isinstance(settings, dict) else None
    if manifest.get("input") != inputs["input"] or name not in VARIANTS:
        return None
    try:
        checkpoints.find(name, has_gpu=device.runs_large_models)
    except ModelError:
        return None
    facts = advice if isinstance(advice, dict) and advice.get("choice") == name else None
    return Choice(options.changed(model=name), "as the stopped run had it", facts)
