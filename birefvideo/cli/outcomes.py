"""What became of the inputs of a command: the table at its end, and the report for programs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.cli.errors import Failures, reported
from birefvideo.cli.printing import tell
from birefvideo.cli.report import short
from birefvideo.cli.table import table
from birefvideo.errors import OutputError, named, with_flags
from birefvideo.remote.places import called, url_of, worded

if TYPE_CHECKING:
    from birefvideo.jobs.result import Result

REPORT = "report.json"
"""What a report is called where the user names none."""
_MARK, _VERSION = "birefvideo_report", 1
_OFTEN = 10.0
"""Seconds between two writings of a report while the work goes on."""
_ROWS = 40
"""Rows from which on the table leaves out the inputs that went well."""
STATUSES = ("done", "lossy", "skipped", "failed", "stopped")
"""Made; made of an input that lacks something; made by an earlier run; failed; not finished when all was stopped."""


@dataclass(frozen=True)
class Outcome:
    """What became of one input."""

    input: str
    """Its name, as the command had it or found it."""
    status: str
    """One of `STATUSES`."""
    outputs: tuple[str, ...] = ()
    """The files made of it, from the root on."""
    receipts: tuple[str, ...] = ()
    """Their receipts."""
    frames: int = 0
    """Frames in each output."""
    seconds: float = 0.0
    """Wall time."""
    fps: float | None = None
    """Frames that were computed in a second; None where none was."""
    message: str = ""
    """The error, or the losses and warnings."""
    losses: tuple[str, ...] = ()
    """What the input once had and the outputs lack."""


def of_result(clip: Path, result: Result) -> Outcome:
    """Return what became of an input that there is a result of."""
    status = "skipped" if result.was_done else "lossy" if result.losses else "done"
    return Outcome(
        input=str(clip),
        status=status,
        outputs=tuple(_whole_name(path) for path in result.outputs),
        receipts=tuple(_whole_name(path) for path in result.receipts),
        frames=result.frames,
        seconds=round(result.seconds, 3),
        fps=round(result.computed / result.seconds, 3) if result.computed and result.seconds else None,
        message="; ".join(map(with_flags, result.warnings)),
        losses=tuple(map(with_flags, result.losses)),
    )


class Outcomes:
    """The outcomes of a command so far, and the report that holds them; threads may share it.

    Args:
        report: where the report is written; None: nowhere.

    Raises:
        OutputError: something else than a report of ours is there.
    """

    def __init__(self, report: Path | None = None) -> None:
        self._report = report
        self._by_input: dict[str, Outcome] = {}
        self._began = datetime.now(timezone.utc)
        self._written = time.monotonic()
        self._lock = threading.Lock()
        if report is not None:
            _check_ours(report)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(list(self._by_input.values()))

    def __len__(self) -> int:
        return len(self._by_input)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome, in place of an earlier one of the same input; the report has it soon."""
        with self._lock:
            self._by_input[outcome.input] = outcome
            if time.monotonic() - self._written > _OFTEN:
                with suppress(OutputError):  # which is told at the end, if it is still so
                    self._write()

    def add_missing(self, lines: Mapping[Path, str], status: str = "failed") -> None:
        """Add inputs that no job ran of, each with the reason, but for those that there is an outcome of."""
        for name, line in lines.items():
            if str(name) not in self._by_input:
                self.add(Outcome(str(name), status, message=line))

    def add_failed(self, clips: Iterable[Path], failures: Failures) -> None:
        """Add those of some inputs that an error was told of."""
        self.add_missing({clip: failures.lines[str(clip)] for clip in clips if str(clip) in failures.lines})

    def write(self) -> None:
        """Write the report, if there is to be one.

        Raises:
            OutputError: it cannot be written.
        """
        with self._lock:
            self._write()

    def _write(self) -> None:
        from birefvideo.own_files import make_folders, write_whole
        from birefvideo.paths import writing
        from birefvideo.remote.transfer import put_small

        self._written = time.monotonic()
        if self._report is None:
            return
        text = json.dumps(self._as_json(), indent=1, ensure_ascii=False) + "\n"
        with writing(self._report):
            make_folders(self._report.absolute().parent)
            write_whole(self._report, text)
        if (url := url_of(self._report)) is not None:
            put_small(self._report, url)

    def _as_json(self) -> dict[str, object]:
        counts = Counter(outcome.status for outcome in self)
        return {
            _MARK: _VERSION,
            "began": self._began.isoformat(timespec="seconds"),
            "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "counts": {status: counts[status] for status in STATUSES},
            "inputs": [worded(asdict(outcome)) for outcome in self],
        }


def report_place(inputs: Sequence[Path], out: Path | None) -> Path:
    """Return where the report of several inputs lies: with the outputs, or in the folder that holds all inputs."""
    if out is not None:
        return out / REPORT
    folders = [(item if item.is_dir() else item.parent).resolve() for item in inputs]
    try:
        common = Path(os.path.commonpath(folders))
    except ValueError:  # several drives
        return Path(REPORT)
    return Path(REPORT) if common == Path(common.anchor) else common / REPORT


@contextmanager
def closing(outcomes: Outcomes, inputs: Iterable[Path], *, quiet: bool) -> Iterator[None]:
    """Print the table and write the report when the work is over, or is stopped: what had not begun is told so."""
    try:
        yield
    finally:
        outcomes.add_missing(dict.fromkeys(inputs, "not begun"), "stopped")
        for line in () if quiet else closing_lines(outcomes):
            tell(line)
        with reported(debug=False):
            outcomes.write()


def closing_lines(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield the table of a command's inputs; of many, of those that did not go well; and how many went how."""
    every = list(outcomes)
    rows = [o for o in every if len(every) <= _ROWS or o.status not in ("done", "skipped")]
    if rows:
        yield ""
        yield from table([("input", "", "frames", "seconds", "fps", ""), *map(_cells, rows)], (2, 0, 0, 0, 0, 3))
    counts = Counter(outcome.status for outcome in every)
    yield f"{len(every)} inputs: {', '.join(f'{counts[status]} {status}' for status in STATUSES if counts[status])}"


def _cells(outcome: Outcome) -> tuple[str, ...]:
    was_made = outcome.status in ("done", "lossy")
    return (
        short(Path(outcome.input)),
        outcome.status,
        str(outcome.frames) if outcome.frames else "",
        f"{outcome.seconds:.1f}" if was_made else "",
        f"{outcome.fps:.1f}" if outcome.fps else "",
        outcome.message if outcome.status in ("failed", "lossy", "stopped") else "",
    )


def _whole_name(path: Path) -> str:
    return called(path) if url_of(path) else str(path.absolute())


def _check_ours(report: Path) -> None:
    from birefvideo.json_files import MOST_BYTES, read_json_object
    from birefvideo.own_files import remove_if_empty
    from birefvideo.remote.transfer import bring_small

    url = url_of(report)
    if not (os.path.lexists(report) if url is None else bring_small(url, report, MOST_BYTES)):
        return
    try:
        is_ours = _MARK in read_json_object(report)
    except (OSError, ValueError):
        is_ours = False
    if url is not None:
        report.unlink(missing_ok=True)
        remove_if_empty(report.parent)
    if not is_ours:
        raise OutputError(f"{called(report)} is no report of birefvideo: name another file with {named('report')}")
