"""`birefvideo compare`: models beside each other on a few frames of a clip."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birefvideo.cli.errors import reported
from birefvideo.cli.inputs import find_clips
from birefvideo.cli.parse import path
from birefvideo.cli.printing import answer_json, answer_lines, tell
from birefvideo.cli.report import print_note, quiet_libraries, short
from birefvideo.cli.shared_options import AsJson, Debug
from birefvideo.cli.table import table
from birefvideo.errors import InputError, OptionError, with_flags

if TYPE_CHECKING:
    from birefvideo.comparison.choices import Wish
    from birefvideo.comparison.compare import Comparison, Progress


def compare(
    source: Annotated[Path, typer.Argument(metavar="INPUT", parser=path, help="A clip, or pictures, as of `matte`.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FOLDER", parser=path, help="Folder to write into; default: beside INPUT."),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Which models; default: all on this machine, within ten minutes."),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="N,WxH,…", help="What each network sees; default: each model's own size.")
    ] = None,
    frames: Annotated[int, typer.Option(metavar="N", help="How many frames to look at, 1 to 12.")] = 6,
    background: Annotated[
        str | None, typer.Option(metavar="COLOUR|FILE", help="What else to put under the cut-outs.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Look from here: seconds or [h:]mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Look up to here.")] = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="auto, cuda, cuda:N, mps or cpu.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Debug = False,
) -> None:
    """Matte a few frames of INPUT with every model that is here, and show them beside each other.

    Writes STEM_compare.png, a contact sheet, and STEM_compare.html, a page with close-ups, times, a recommendation and
    the command to run next. Nothing is fetched, and the clip itself is not matted.
    """
    quiet_libraries()
    with reported(debug):
        clip = _one_clip(source)
        words = [_listed(text, name) for text, name in ((models, "models"), (sizes, "sizes"))]
        with _Bar(silent=quiet or as_json) as bar:
            found = _compared(
                clip,
                out,
                models=words[0],
                sizes=words[1],
                frames=frames,
                background=background,
                start=start,
                end=end,
                device=device,
                overwrite=overwrite,
                progress=bar.progress(),
            )
    if as_json:
        answer_json(found.as_dict())
    elif not quiet:
        _print(found)


def _compared(clip: Path, out: Path | None, **choices: Any) -> Comparison:
    from birefvideo.comparison.compare import compare

    return compare(clip, out, **choices)


def _one_clip(source: Path) -> Path:
    found = find_clips([source])
    if found.missing:
        raise InputError(next(iter(found.missing.values())))
    clips = list(found.clips)
    if len(clips) > 1:
        raise InputError(f"{source} holds {len(clips)} clips, and compare takes one: name it, such as '{clips[0]}'")
    return clips[0]


def _listed(text: str | None, name: str) -> list[str] | None:
    """Return the words between the commas of an option."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise OptionError(f"--{name} is {text!r}: name them with commas between, without spaces")
    return words


class _Bar:
    """What is shown while models run; a context manager."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._bar: Any = None
        self._frames = 0

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def progress(self) -> Progress:
        """Return the callbacks for it."""
        from birefvideo.comparison.compare import Progress

        return Progress() if self._silent else Progress(self._planned, self._row, self._frame)

    def _planned(self, wanted: Sequence[Wish], frames: int, limit: float | None) -> None:
        from tqdm import tqdm

        within = f", within {limit / 60:.0f} minutes" if limit else ""
        count = f"{len(wanted)} model{'' if len(wanted) == 1 else 's'}"
        tell(f"comparing {count} on {frames} frame{'' if frames == 1 else 's'}{within}")
        tqdm.monitor_interval = 0  # its watchdog thread is for bars that are rarely updated
        self._bar = tqdm(total=len(wanted) * frames, unit=" mattes", leave=False, disable=not sys.stderr.isatty())
        self._frames = frames

    def _row(self, wish: Wish) -> None:
        self._bar.set_description(wish.label)

    def _frame(self) -> None:
        self._bar.update()


def _print(found: Comparison) -> None:
    answer_lines(table(list(_cells(found)), (1, 0, 0, 0, 0, 0)))
    answer_lines([""])
    for one in found.left_out:
        print_note(f"{one.name} is left out: {with_flags(one.why)}")
    title = f"take {found.recommended}: " if found.recommended else ""
    answer_lines([f"{title}{found.reason}", f"run: {found.command}", ""])
    answer_lines([f"wrote {short(found.sheet)}", f"wrote {short(found.page)}"])


def _cells(found: Comparison) -> Iterator[tuple[str, ...]]:
    from birefvideo.advice.advise import duration

    yield "model", "sees", "s/frame", "whole clip", "memory", "subject"
    for row, seconds in zip(found.rows, found.run_seconds, strict=True):
        mark = "* " if row.label == found.recommended else ""
        yield (
            f"{mark}{row.label}",
            "×".join(map(str, row.input)),
            f"{row.seconds:.3g}",
            "?" if seconds is None else duration(seconds),
            "?" if row.memory is None else f"{row.memory / 1e9:.1f} GB",
            f"{100 * sum(row.coverage) / len(row.coverage):.1f} %",
        )
