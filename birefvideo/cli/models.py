"""`birefvideo models`: which checkpoint for what, and getting one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from birefvideo.cli.errors import Failures, reported
from birefvideo.cli.parse import path
from birefvideo.cli.printing import answer_json, answer_lines, tell
from birefvideo.cli.shared_options import AsJson, Debug
from birefvideo.cli.table import table
from birefvideo.errors import BirefvideoError, OptionError

if TYPE_CHECKING:
    from birefvideo.family.costs import Cost
    from birefvideo.family.variants import Variant


def models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Explain these; default: list all.")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch each NAME (or hub id) into the cache, checked.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="With --download: take the newest file in place of the locked one.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", parser=path, help="Import a folder or weights file as NAME's."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time each NAME (default: those that are here) on this machine.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List the models, explain one, measure how fast it is here, or get its weights.

    birefvideo models portrait: what it is for and how to get it.

    birefvideo models --download portrait matting: fetch both; a broken-off download goes on where it stopped.

    birefvideo models --measure talk lite: seconds a frame and memory on this machine; the list shows them from then on.

    birefvideo models portrait --from /media/stick: take the weights from there; no connection is opened.
    """
    chosen = list(dict.fromkeys(names or []))
    with reported(debug, stopped="stopped; the same command goes on from there"):
        _check(chosen, download, update, source, measure, as_json)
        if source is not None:
            _import(chosen[0], source)
        elif download:
            download_all(chosen, update, debug)
        elif measure:
            _measure_all(chosen, debug)
        elif as_json:
            answer_json(_as_data(_rows(chosen)))
        elif chosen:
            cost = _costs(rows := _rows(chosen))
            for number, row in enumerate(rows):
                answer_lines([""] * bool(number))
                answer_lines(_explanation(row, cost[row.name]))
        else:
            answer_lines(_list(_rows([])))


def _check(names: list[str], download: bool, update: bool, source: Path | None, measure: bool, as_json: bool) -> None:
    if download and source:
        raise OptionError("--download and --from both bring weights: choose one")
    if measure and (download or source or as_json):
        raise OptionError("--measure goes alone: get the weights before, and list with --json after it")
    if update and not download:
        raise OptionError("--update goes with --download only")
    if download and not names:
        raise OptionError("--download needs a NAME: birefvideo models lists them")
    if as_json and (download or source):
        raise OptionError("--json goes with the list only, not with --download or --from")
    if source and len(names) != 1:
        raise OptionError(f"--from needs one NAME to import as, got {len(names)}: birefvideo models lists them")


def download_all(names: list[str], update: bool, debug: bool) -> None:
    """Fetch one after another; one that fails stops no other."""
    from birefvideo.family import hub
    from birefvideo.family.client import logging
    from birefvideo.family.variants import variant

    logging.set_verbosity_error()  # what matters reaches the user as one line of ours
    failures = Failures(debug)
    for name in names:
        with nullcontext() if len(names) == 1 else failures.caught(name, BirefvideoError):
            row = variant(name)
            if row.embedded:
                tell(f"{name}: part of the package")
                continue
            got = hub.download(row, update=update)
            _check_fit(row.name)
            state = "downloaded" if got.fetched else "already here"
            tell(f"{row.name}: {state}, checked, {got.path.stat().st_size / 1e6:.0f} MB, SHA-256 {got.sha256}")
    if failures.errors:
        raise typer.Exit(1)


def _check_fit(name: str) -> None:
    from birefvideo.family import checkpoints  # torch: seconds that a failed download need not take

    checkpoints.load(checkpoints.find(name), dtype=None)


def _import(name: str, source: Path) -> None:
    from birefvideo.family.importing import import_weights

    found = import_weights(name, source)
    tell(f"{name}: imported, {found.weights.stat().st_size / 1e6:.0f} MB, SHA-256 {found.sha256}")


def _rows(names: list[str]) -> list[Variant]:
    """Return the rows of names, or all of them."""
    from birefvideo.family.variants import VARIANTS, variant

    return [variant(name) for name in names or VARIANTS]


_IN_OTHER_WORDS = ("long_side", "most_pixels", "embedded")
"""Fields that programs find in 'input' and in 'weights'."""


def _as_data(rows: list[Variant]) -> list[dict[str, Any]]:
    """Return rows for programs; 'weights' is where they lie, or null, and so is what is not known."""
    from birefvideo.family.hub import stored

    cost = _costs(rows)
    data = []
    for row in rows:
        found, costs = stored(row), cost[row.name]
        here = {"weights": str(found.path) if found else None, "locked_sha256": found.sha256 if found else ""}
        facts = {name: value for name, value in asdict(row).items() if name not in _IN_OTHER_WORDS}
        facts |= {"input": row.input, "page": row.page, "download_bytes": costs.download, "memory_bytes": costs.memory}
        measured = asdict(costs.measured) if costs.measured else None
        data.append({**facts, "seconds_a_frame": costs.seconds, "measured": measured, **here})
    return data


def _costs(rows: list[Variant]) -> dict[str, Cost]:
    from birefvideo.family.costs import costs

    return costs(rows)


def _measure_all(names: list[str], debug: bool) -> None:
    """Measure one after another; one that fails stops no other."""
    from birefvideo.family.hub import stored
    from birefvideo.jobs.measure import measure

    rows = _rows(names) if names else [row for row in _rows([]) if stored(row)]
    failures = Failures(debug)
    for row in rows:
        with nullcontext() if len(rows) == 1 else failures.caught(row.name, BirefvideoError):
            found = measure(row.name)
            size = f"input {found.size[0]}×{found.size[1]}, {found.dtype}"
            whose = "" if found.own_weights else "; with random weights in its shape, which takes as long"
            busy = "; other programs were at work: measure again when they are not" if found.busy else ""
            tell(
                f"{row.name}: {_seconds(found.seconds)} a frame of 1920×1080, {_bytes(found.memory)} of memory "
                f"({size}, {found.device}, {found.threads} threads{whose}{busy})"
            )
    if failures.errors:
        raise typer.Exit(1)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count else "unknown bytes"


def _download(cost: Cost) -> str:
    if cost.download is None:
        return ""
    least, most = map(_bytes, cost.download)
    short = least.split()[0] if least.split()[1] == most.split()[1] else least
    return least if least == most else f"{short} or {most}"


def _list(rows: list[Variant]) -> Iterator[str]:
    """Yield the list, as wide as the terminal."""
    cost = _costs(rows)
    cells = [(row.name, _here(row), _summary(row, cost[row.name])) for row in rows]
    yield from table([("name", "here", "best for"), *cells], (0, 0, 1))
    yield ""
    yield "birefvideo models NAME shows more: data, figures, how to get it."
    if any(known.measured for known in cost.values()):
        yield "Seconds a frame are those of 1920×1080, measured on this machine."
    else:
        yield "birefvideo models --measure NAME times it on this machine."


def _summary(row: Variant, cost: Cost) -> str:
    """Return what a model is for, what not, what it is, and what it costs, a line each."""
    size = f"input {row.input}" if row.input else "input not stated"
    licence = f"{row.licence or 'no licence stated'}{', gated' if row.access.startswith('gated') else ''}"
    facts = ", ".join(filter(None, (size, row.backbone, licence)))
    prices = (
        _download(cost),
        f"{_memory(cost)} of memory" if cost.memory else "",
        f"{_seconds(cost.seconds)} a frame{_while_busy(cost)}" if cost.seconds else "",
    )
    price = ", ".join(filter(None, prices))
    lines = (row.best_for, row.avoid and f"not for {row.avoid}", f"({facts})", price and f"({price})")
    return "\n".join(filter(None, lines))


def _here(row: Variant) -> str:
    from birefvideo.family.hub import stored

    if row.embedded:
        return "embedded"
    found = stored(row)
    return "no" if found is None else "imported" if found.imported else "cached"


def _explanation(row: Variant, cost: Cost) -> Iterator[str]:
    """Yield everything about one, then the commands that get and use it."""
    from birefvideo.family.hub import stored

    found = stored(row)
    pin = f"commit {row.revision}, SHA-256 {row.sha256}" if row.sha256 else "not pinned: the first download locks it"
    size = row.input or "not stated: 1024×1024 is used"
    facts = [
        ("best for", row.best_for),
        ("not for", row.avoid),
        ("input", f"{size}, the picture's aspect kept" if row.keeps_aspect else size),
        ("backbone", row.backbone or "read from the weights"),
        ("file", f"{_download(cost)}{'' if found else ', by its precision'}" if cost.download else ""),
        ("memory", f"{_memory(cost)}, {_how_known(cost)}" if cost.memory else ""),
        ("speed", _speed(row, cost)),
        ("trained on", row.training),
        *(("published", f"{figure.text} ({figure.source})") for figure in row.figures),
        ("licence", row.licence or "not stated"),
        ("access", row.access),
        ("card", str(row.folder / "README.md") if row.folder else row.page),
        ("pinned", pin if row.hub_id else ""),
        ("here", f"{_here(row)}: {found.path}" if found else "no"),
    ]
    yield row.name
    yield from (f"  {name:10}  {text}" for name, text in facts if text)
    if not row.embedded:
        yield from _how_to_get(row)
    yield "use it"
    yield f"  birefvideo matte CLIP --model {row.name}"


def _while_busy(cost: Cost) -> str:
    return " while busy" if cost.measured and cost.measured.busy else ""


def _memory(cost: Cost) -> str:
    return f"{'' if cost.is_memory_measured else 'about '}{_bytes(cost.memory or 0)}"


def _how_known(cost: Cost) -> str:
    return "measured here" if cost.is_memory_measured else "for 1080p in float32 on a CPU"


def _speed(row: Variant, cost: Cost) -> str:
    if cost.measured is None:
        return f"not measured here: birefvideo models --measure {row.name}"
    found = cost.measured
    speed = f"{_seconds(found.seconds)} a frame of 1920×1080{_while_busy(cost)}"
    return f"{speed} ({found.dtype}, {found.device}, {found.threads} threads)"


def _how_to_get(row: Variant) -> Iterator[str]:
    from birefvideo.family.shards import WEIGHTS
    from birefvideo.family.variants import VARIANTS

    if row.hub_id:
        yield "get it"
        yield f"  birefvideo models --download {row.name}"
        yield "get it through a mirror"
        yield f"  HF_ENDPOINT=https://MIRROR birefvideo models --download {row.name}"
        yield f"get it without a connection: on another machine, fetch {row.page}/resolve/main/{WEIGHTS}"
    else:
        yield "get it: fetch its .safetensors or .pth file"
    file = WEIGHTS if row.hub_id else "FILE"
    if row.name in VARIANTS:
        yield f"  birefvideo models {row.name} --from {file}"
    else:
        yield f"  birefvideo matte CLIP --model {file}"
