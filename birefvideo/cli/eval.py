"""`birefvideo eval`: how far a matte is from the true one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from birefvideo.cli.errors import reported
from birefvideo.cli.parse import parse_times, path
from birefvideo.cli.printing import answer, answer_json
from birefvideo.cli.report import quiet_libraries
from birefvideo.cli.shared_options import Debug
from birefvideo.errors import OptionError

if TYPE_CHECKING:
    from birefvideo.scoring.evaluate import Evaluation


def evaluate(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            parser=path,
            help="The matte to score: ProRes, WebM or luma matte, any alpha video, or a folder of PNG.",
        ),
    ],
    truth: Annotated[
        Path, typer.Option(metavar="TRUE", parser=path, help="The true alpha: gray or alpha video, or a folder of PNG.")
    ],
    truth_foreground: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=path, help="Video of the true colours: adds foreground SAD.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="The --start that RESULT was made with.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="The --end that RESULT was made with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every frame's figures for programs.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", parser=path, help="Draw the figures over time.")] = None,
    debug: Debug = False,
) -> None:
    """Score the matte RESULT against the true one, frame by frame.

    MAD, MSE, Grad, Conn and dtSSD are those of the video matting papers; edge-band MAD counts only what is within three
    pixels of a soft edge, flicker only what changes there while the truth stands still. Smaller is better.
    """
    from tqdm import tqdm

    from birefvideo.scoring.evaluate import evaluate
    from birefvideo.scoring.plot import write_plot

    quiet_libraries()
    with reported(debug):
        if plot is not None and plot.suffix.lower() != ".png":
            raise OptionError(f"--plot {plot} is not a PNG file: end its name with .png")
        times = parse_times(start, end)
        tqdm.monitor_interval = 0  # no watchdog thread
        with tqdm(unit=" frames", leave=False, disable=None) as bar:

            def count(total: int) -> None:
                bar.total = total
                bar.update()

            found = evaluate(
                truth,
                result,
                truth_foreground=truth_foreground,
                start=times.start,
                end=times.end,
                on_frame=count,
            )
        if plot is not None:
            write_plot(found, plot)
    if as_json:
        answer_json(found.as_dict())
    else:
        _print_table(found)


def _print_table(found: Evaluation) -> None:
    from birefvideo.scoring.evaluate import METRICS

    width, height = found.size
    answer(f"{found.result.name} against {found.truth.name}: {found.score.frames} frames, {width}×{height}")
    answer(f"  {'':24} {'mean':>9} {'worst':>9}  at")
    for metric in METRICS:
        mean, worst = getattr(found.score, metric.name), found.worst(metric)
        if mean is None or worst is None:
            continue
        largest = getattr(found.frames[worst], metric.name)
        at = f"{float(found.times[worst]):.3f} s (frame {worst})" if found.times else f"frame {worst}"
        answer(f"  {metric.heading:24} {_figure(mean):>9} {_figure(largest):>9}  {at}")


def _figure(value: float) -> str:
    """Three digits or more, and no more than two after the point where the figure is large."""
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}"
