"""One picture cut out, in memory: the stages of a job on one frame, without its files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import InputError
from birefvideo.frames import Alpha, Span
from birefvideo.jobs.given_picture import check_is_picture
from birefvideo.jobs.limits import check_pictures_fit
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked
from birefvideo.jobs.warnings import job_losses, job_warnings
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.forms import STILLS
from birefvideo.media.output_format import ColourPolicy
from birefvideo.media.profiles import keeps_profile
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.background import check_background
from birefvideo.media.writing.composer import EncodeSettings, make_composer
from birefvideo.pipeline import SegmentReport, matted_frames, spill_light

_ALONE = Span()


@dataclass(frozen=True)
class Cut:
    """A picture that was cut out."""

    rgba: NDArray[np.uint8]
    """R'G'B'A codes (height, width, 4), not multiplied by alpha; opaque over a background."""
    alpha: Alpha
    """Its matte."""
    profile: bytes
    """The ICC profile that the codes are of, or nothing: then they are sRGB."""
    warnings: list[str]
    """What the user should know, one line each."""


def cut_picture(path: Path, options: Options, model: LoadedModel) -> Cut:
    """Cut one picture out; it goes over the background where the options' user has given one.

    Raises:
        InputError: it is not one picture, or cannot be read.
    """
    check_is_picture(path, "birefvideo.matte")
    info = as_asked(probe(path), options)
    check_pictures_fit(info)
    check_background(options.background)
    model.check_fits(info)
    report = SegmentReport()
    spill = spill_light(options.despill, info.colour)
    predictor = model.predictor(1, alone=True)
    frames = matted_frames(info, _ALONE, predictor, make_smoother(0), report.decode, spill, edge=options.edge)
    with closing(frames):
        frame = next(frames, None)
    if frame is None:
        raise InputError(f"{path} holds no picture that can be decoded; export it again")
    report.add(frame)
    form = STILLS["comp" if "background" in options.given else "png"]
    form = replace(form, deep_pix_fmt=None, colour_policy=ColourPolicy.WEB)  # 8 bits, which have no tags of their own
    settings = EncodeSettings(background=options.background, fit=options.fit, despilled=spill is not None)
    with closing(make_composer(form, info, settings)) as composer:
        codes: NDArray[Any] = composer.compose(frame).to_ndarray()
    if codes.shape[2] == 3:
        codes = np.dstack([codes, np.full_like(codes[..., 0], 255)])
    report.decode.transparent_frames = 0  # which is no news to whoever gives a picture with alpha
    losses = job_losses(info, _ALONE, [report])
    warnings = [*losses, *job_warnings(info, _ALONE, [report], predictor.report, model.identity.name)]
    profile = info.still.profile if info.still and keeps_profile(form, info) else b""
    return Cut(codes, frame.alpha, profile, warnings)
