"""The library's front door: three functions that do what the commands do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.frames import Frame
from birefvideo.jobs.plan import DEFAULT_FORMATS, Options, plan_targets, trimmed_span
from birefvideo.jobs.run import Matter, Progress, Result, run
from birefvideo.matting import checkpoints
from birefvideo.matting.predict import choose_device
from birefvideo.media.colours import parse_colour
from birefvideo.media.decode import DecodeReport
from birefvideo.media.probe import probe
from birefvideo.pipeline import matted_frames

if TYPE_CHECKING:
    from birefvideo.matting.modeling import BiRefNetForImageSegmentation

Path_ = str | PathLike[str]
Seconds = int | float | Fraction | None


def matte(
    source: Path_,
    out: Path_ | None = None,
    to: str | Sequence[str] = DEFAULT_FORMATS,
    *,
    model: str = "auto",
    background: str = "green",
    smooth: int = 2,
    start: Seconds = None,
    end: Seconds = None,
    device: str = "auto",
    batch: int | None = None,
    overwrite: bool = False,
    progress: Callable[[], object] | None = None,
) -> Result:
    """Mattes one clip into files, as `birefvideo matte` does; `progress` is called after each frame.

    Raises:
        BirefvideoError: its one line says what is wrong and what to do; nothing is left under the final names.
    """
    formats = [to] if isinstance(to, str) else to
    options = Options(model, parse_colour(background), smooth, _exact(start), _exact(end), device, batch)
    targets = plan_targets(Path(source), None if out is None else Path(out), formats)
    told = Progress(frame=progress) if progress else None
    return run(Path(source), targets, options, overwrite=overwrite, progress=told)


def mattes(
    source: Path_,
    *,
    model: str = "auto",
    smooth: int = 2,
    start: Seconds = None,
    end: Seconds = None,
    device: str = "auto",
    batch: int | None = None,
) -> Iterator[Frame]:
    """Yields the frames of a clip, lazily, with `alpha`, `foreground`, `pts` and `time_base` (see `Frame`).

    Raises:
        BirefvideoError: as `matte`, at the first frame.
    """
    options = Options(model=model, smooth=smooth, device=device, batch=batch)
    info = probe(Path(source))
    matter = Matter(options)
    span = trimmed_span(info, _exact(start), _exact(end))
    with closing(matted_frames(info, span, matter.predictor, smooth, DecodeReport())) as frames:
        yield from frames


def load_model(name: str = "auto", device: str = "cpu") -> BiRefNetForImageSegmentation:
    """A checkpoint as a transformers model in eval mode: by variant name, folder or weights file.

    Raises:
        OptionError: no such variant.
        ModelError: its weights are not on this machine, or do not fit.
    """
    from dataclasses import asdict

    from birefvideo.matting.modeling import BiRefNetConfig, BiRefNetForImageSegmentation

    target = choose_device(device)
    network = checkpoints.load(checkpoints.find(name, has_gpu=target.type == "cuda"))
    model = BiRefNetForImageSegmentation(BiRefNetConfig(**asdict(network.geometry)))
    model.birefnet = network
    return model.eval().to(target)  # type: ignore[no-any-return]


def _exact(seconds: Seconds) -> Fraction | None:
    return None if seconds is None else Fraction(seconds).limit_denominator(10**6)
