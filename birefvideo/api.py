"""The library's front door: three functions that do what the commands do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.frames import Frame
from birefvideo.jobs.options import Options, parse_despill, parse_fps, parse_premultiplied
from birefvideo.jobs.plan import DEFAULT_FORMATS, plan_targets, trimmed_span
from birefvideo.jobs.review import render
from birefvideo.jobs.run import Matter, Progress, Result, as_asked, run
from birefvideo.matting.devices import find_device
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.background import parse_background
from birefvideo.models import checkpoints
from birefvideo.pipeline import matted_frames, spill_light

if TYPE_CHECKING:
    import torch

    from birefvideo.models.modeling import BiRefNetForImageSegmentation

Path_ = str | PathLike[str]
Seconds = int | float | Fraction | None
Size = int | tuple[int, int] | None


def matte(
    source: Path_,
    out: Path_ | None = None,
    to: str | Sequence[str] = DEFAULT_FORMATS,
    *,
    model: str = "auto",
    size: Size = None,
    background: str | PathLike[str] = "green",
    smooth: int = 2,
    despill: str | None = None,
    premultiplied: bool | str = False,
    fps: int | float | Fraction | str | None = None,
    audio: str = "all",
    deinterlace: bool = True,
    start: Seconds = None,
    end: Seconds = None,
    device: str = "auto",
    dtype: str = "auto",
    batch: int | None = None,
    review: bool = False,
    receipts: bool = True,
    overwrite: bool = False,
    progress: Callable[[], object] | None = None,
) -> Result:
    """Mattes one clip into files, as `birefvideo matte` does; `progress` is called after each frame.

    `model` is a variant's name, a hub id, a checkpoint folder or a weights file; `size` what the network sees instead
    of the model's own: (width, height), or one number for a square or, where the model keeps aspect, the long side;
    `dtype` what it computes in: auto (by device), float32, bfloat16 or float16.
    `despill` takes the light of a coloured wall out of the edges: a colour's name, '#rrggbb', or 'auto'.
    `background` under a composite is a colour, or the name of a picture or of a video, which loops.
    `source` may be pictures: one, a folder of numbered ones, or a pattern such as 'frames/%05d.png', shown at `fps`.
    `premultiplied` multiplies colour by alpha, over black, in outputs with alpha.
    `audio` is which of the source's tracks go along: all, first or none. `deinterlace` makes frames that are flagged
    interlaced progressive.

    `review` adds a page to judge the matte with in a browser; `receipts` are what `birefvideo verify` reads.

    Raises:
        BirefvideoError: its one line says what is wrong and what to do; nothing is left under the final names.
    """
    formats = [to] if isinstance(to, str) else to
    options = Options(
        model=model,
        background=parse_background(fspath(background)),
        smooth=smooth,
        start=_exact(start),
        end=_exact(end),
        device=device,
        batch=batch,
        size=size,
        dtype=dtype,
        despill=parse_despill(despill),
        premultiplied=parse_premultiplied(premultiplied),
        fps=parse_fps(fps),
        audio=audio,
        deinterlace=deinterlace,
    )
    targets = plan_targets(Path(source), None if out is None else Path(out), formats)
    told = Progress(frame=progress) if progress else None
    page = render if review else None
    return run(Path(source), targets, options, overwrite=overwrite, receipts=receipts, page=page, progress=told)


def mattes(
    source: Path_,
    *,
    model: str = "auto",
    size: Size = None,
    smooth: int = 2,
    despill: str | None = None,
    fps: int | float | Fraction | str | None = None,
    deinterlace: bool = True,
    start: Seconds = None,
    end: Seconds = None,
    device: str = "auto",
    dtype: str = "auto",
    batch: int | None = None,
) -> Iterator[Frame]:
    """Yields the frames of a clip, lazily, with `alpha`, `foreground`, `pts` and `time_base` (see `Frame`).

    Raises:
        BirefvideoError: as `matte`, at the first frame.
    """
    options = Options(
        model=model,
        size=size,
        smooth=smooth,
        device=device,
        dtype=dtype,
        batch=batch,
        fps=parse_fps(fps),
        deinterlace=deinterlace,
    )
    info = as_asked(probe(Path(source)), options)
    matter = Matter(options)
    span = trimmed_span(info, _exact(start), _exact(end))
    spill = spill_light(parse_despill(despill), info.colour)
    with closing(matted_frames(info, span, matter.predictor(), make_smoother(smooth), DecodeReport(), spill)) as frames:
        yield from frames


def load_model(name: str = "auto", device: str | torch.device = "cpu") -> BiRefNetForImageSegmentation:
    """A checkpoint as a transformers model in eval mode: by variant name, hub id, folder or weights file.

    Raises:
        OptionError: no such variant.
        ModelError: its weights are not on this machine, or do not fit.
    """
    from dataclasses import asdict

    from birefvideo.models.modeling import BiRefNetConfig, BiRefNetForImageSegmentation

    target = find_device(device)
    checkpoint = checkpoints.find(name, has_gpu=target.runs_large_models)
    checkpoint.digest()  # is it still what it was when it came?
    network = checkpoints.load(checkpoint)
    model = BiRefNetForImageSegmentation(BiRefNetConfig(**asdict(network.geometry)), network)
    return model.eval().to(target.torch_device)  # type: ignore[no-any-return]


def _exact(seconds: Seconds) -> Fraction | None:
    return None if seconds is None else Fraction(seconds).limit_denominator(10**6)
