"""A plan as programs are told it: `matte --plan --json`, and the first event of a job."""

from __future__ import annotations

from typing import Any

from birefvideo.jobs.plan import Plan
from birefvideo.jobs.progress import total_frames


def plan_facts(plan: Plan, why_model: str) -> dict[str, Any]:
    """Return what a job is going to do, as JSON values; docs/programs.md explains the keys."""
    source, settings = plan.source, plan.settings
    return {
        "source": {
            "width": source.width,
            "height": source.height,
            "fps": None if source.still else round(float(source.rate), 6),
            "seconds": round(float(source.duration), 6),
        },
        "model": settings["model"],
        "why_model": why_model,
        "device": settings["device"],
        "dtype": settings["dtype"],
        "size": list(settings["size"]),
        "batch": settings["batch"],
        "frames": total_frames(plan),
        "segments": len(plan.segments),
        "outputs": [{"path": str(target.path), "format": target.format.name} for target in plan.delivered],
        "folder": str(plan.folder),
    }
