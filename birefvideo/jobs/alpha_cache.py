"""The network's alpha of a clip, kept beside the outputs while a job in two passes needs it: a job's folder of its own.

It is known by all that decides the alpha and nothing else, so that a job with other wishes, edges or outputs finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Plan, Target, job_folder, with_earlier_batch
from birefvideo.media.format_table import get_format
from birefvideo.paths import check_name

_PASSES = "passes"
"""The setting by which the two passes of a job decide bytes: alpha is rounded in between."""
ALPHA = Target(replace(get_format("matte"), name="alpha"), Path("alpha.bin"), delivered=False)
"""The network's alpha; a part is what `directing.store` writes."""
COARSE = Target(replace(get_format("matte"), name="coarse"), Path("coarse.bin"), delivered=False)
"""Small pictures and their alpha."""


def cache_folder(targets: Sequence[Target], source: Path) -> Path:
    """STEM.birefvideo-cache beside the first output."""
    return job_folder(targets, source).with_suffix(".birefvideo-cache")


def in_two_passes(plan: Plan) -> Plan:
    """Return a plan whose frames are directed between two passes, with the batch of the alpha that is kept already.

    Raises:
        OutputError: the cache would have too long a name.
    """
    check_name(cache_folder(plan.targets, plan.source.path), "rename the input")
    staged = replace(plan, settings=plan.settings | {_PASSES: 2})
    return replace(staged, settings=staged.settings | {"batch": cache_plan(staged).settings["batch"]})


def has_two_passes(plan: Plan) -> bool:
    """Return whether a plan's frames are directed between two passes."""
    return _PASSES in plan.settings


def cache_plan(plan: Plan) -> Plan:
    """Return the first pass of a job in two as a plan of its own, whose parts are never joined."""
    own = plan.options
    return with_earlier_batch(
        replace(
            plan,
            targets=(ALPHA, COARSE),
            folder=cache_folder(plan.targets, plan.source.path),
            options=Options(
                deinterlace=own.deinterlace, ignore_alpha=own.ignore_alpha, fps=own.fps, start=own.start, end=own.end
            ),
            inputs={**plan.inputs, "background": None},
            settings={name: value for name, value in plan.settings.items() if name != _PASSES},
            advice=None,
        )
    )
