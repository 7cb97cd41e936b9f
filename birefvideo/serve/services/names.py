"""What hosted services call the models of the family: one table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from birefvideo.family.variants import VARIANTS
from birefvideo.hints import meant
from birefvideo.serve.services.fields import FieldError, shown

OPEN = "auto"
"""Where a client names no model: the best one on this machine for the clip."""

NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "fal": {
            "General Use (Light)": "lite",
            "General Use (Light 2K)": "lite-2k",
            "General Use (Heavy)": "general",
            "Matting": "matting",
            "Portrait": "portrait",
            "General Use (Dynamic)": "dynamic",
        },
        "runware": {
            "runware:112@1": "general",
            "runware:112@5": "general",
            "runware:112@8": "massive",
            "runware:112@9": "matting",
            "runware:112@10": "portrait",
            "runware:110@1": "rmbg-2.0",
        },
        "remove.bg": {
            "auto": OPEN,
            "person": OPEN,
            "product": "general",
            "car": "general",
            "animal": "general",
            "graphic": "general",
            "transportation": "general",
            "other": "general",
        },
        "replicate": {},
    }
)
"""Our name by theirs, by service. Every service takes our own names too."""


def model(service: str, field: str, given: str | None) -> str:
    """Return our name of a model; whether its weights are here is asked when the job is planned.

    Raises:
        FieldError: nobody has a model of that name.
    """
    if given is None or given == "":
        return OPEN
    known = NAMES[service]
    if given in known:
        return known[given]
    if given in VARIANTS or given == OPEN:
        return given
    names = [*known, OPEN, *VARIANTS]
    raise FieldError(field, f"{field} is {shown(given)}{meant(given, names)}: name one of {', '.join(names)}", "enum")
