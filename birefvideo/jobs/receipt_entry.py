"""What a job knows of its outputs, as the JSON values of their receipts."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from statistics import fmean

from birefvideo.errors import with_flags
from birefvideo.jobs.doubts import Doubt
from birefvideo.jobs.finished import job_key
from birefvideo.jobs.manifest import versions
from birefvideo.jobs.model_in_memory import IN_MEMORY
from birefvideo.jobs.plan import Plan, Target
from birefvideo.jobs.receipt import Entry
from birefvideo.matting.flicker import suspects
from birefvideo.matting.predict import PredictReport
from birefvideo.media.expected import Verification
from birefvideo.media.output_format import output_colour
from birefvideo.media.reading.numbered_pictures import members
from birefvideo.media.writing.join import JoinReport


@dataclass(frozen=True)
class VerifiedOutput:
    """One output that was joined and proven."""

    target: Target
    """What was asked for."""
    joined: JoinReport
    """What was written."""
    found: Verification
    """What it was found to hold."""


def job_facts(
    plan: Plan, input_digest: str, computed: PredictReport, warnings: Sequence[str], losses: Sequence[str]
) -> Entry:
    """Return what is true of every output of a job."""
    source, settings = plan.source, plan.settings
    return {
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "input": {
            "name": source.path.name,
            "size": sum(file.stat().st_size for file in members(source.path)),
            "sha256": input_digest,
            "width": source.width,
            "height": source.height,
            "rate": round(float(source.rate), 6),
            "duration": round(float(source.duration), 6),
            "pix_fmt": source.pix_fmt,
            "colour": asdict(source.colour),
            "sounds": len(source.audio),
        },
        "model": {
            "name": settings["model"],
            "sha256": settings["weights"],
            **({"advice": plan.advice} if plan.advice else {}),
            **({"in_memory": True} if settings["model"] == IN_MEMORY else {}),
        },
        "options": {name: _plain(value) for name, value in plan.options.as_dict().items()},
        "span": [plan.span.start, plan.span.end],
        "job": job_key(plan),
        "segments": len(plan.segments),
        "computed": {
            "device": settings["device"],
            "dtype": settings["dtype"],
            "input_size": _plain(settings["size"]),
            **({"mirrored": True} if settings.get("mirrored") else {}),
            "batch": settings["batch"],
            "batches_halved_for_memory": list(computed.out_of_memory),
            **({"frames_of_kept_alpha": computed.reused} if computed.reused else {}),
        },
        "versions": _versions(),
        "warnings": [with_flags(warning) for warning in warnings],
        "losses": list(losses),
    }


def output_facts(plan: Plan, finished: VerifiedOutput, path: Path, digest: str) -> Entry:
    """Return what is true of one output, which lies at `path` for now."""
    target, found = finished.target, finished.found
    colour = output_colour(target.format, plan.source.colour)
    return {
        "format": target.format.name,
        "size": sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size,
        "sha256": digest,
        "verified": {
            "frames": found.frames,
            "decoded": found.decoded,
            "duration": round(float(found.duration), 6),
            "worst_time_error": round(float(found.worst_time_error), 6),
            "worst_alpha_error": found.worst_coverage_error,
            "tags": {
                "matrix": colour.matrix,
                "range": colour.range,
                "primaries": colour.primaries,
                "transfer": colour.transfer,
            },
            "sounds": [
                {
                    "codec": sound.codec,
                    "copied": sound.copied,
                    "channels": sound.channels,
                    "start": round(float(sound.start), 6),
                    "end": round(float(sound.end), 6),
                }
                for sound in finished.joined.sounds
            ],
        },
    }


def matte_facts(coverage: Sequence[float], flicker: Sequence[float], doubts: Sequence[Doubt]) -> Entry:
    """Return the matte in figures."""
    return {
        "coverage": {"mean": round(fmean(coverage), 6), "least": min(coverage), "most": max(coverage)},
        "flicker": {"mean": round(fmean(flicker), 6), "most": max(flicker)},
        "suspects": [asdict(suspect) for suspect in suspects(coverage, flicker)],
        "doubts": [asdict(doubt) for doubt in doubts],
    }


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    if isinstance(value, Fraction):
        return round(float(value), 6)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _versions() -> Entry:
    known = dict(versions())
    own: Entry = {"code_sha256": known.pop("birefvideo")}
    with suppress(importlib.metadata.PackageNotFoundError):  # as in a checkout that is not installed
        own["birefvideo"] = importlib.metadata.version("birefvideo")
    known["ffmpeg"] = {name: ".".join(map(str, version)) for name, version in known["ffmpeg"].items()}
    return own | known
