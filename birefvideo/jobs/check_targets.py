"""Refusing outputs, before anything is written, that would cost a user something or cannot be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from birefvideo.errors import OptionError, OutputError, named
from birefvideo.jobs.plan import Target
from birefvideo.media.sequence_json import is_sequence


def clashes(jobs: Mapping[Path, Sequence[Target]]) -> dict[tuple[Path, ...], OptionError]:
    """Return what is wrong with inputs of one command whose outputs would be each other, or another input.

    The keys are the inputs that nothing can be made of for that reason; all others are good.
    """
    inputs = {source.resolve() for source in jobs}
    found: dict[tuple[Path, ...], OptionError] = {}
    spelt: dict[str, dict[Path, dict[Path, Path]]] = {}  # by what a name is without capitals, and by the name
    for source, targets in jobs.items():
        for target in targets:
            path = target.path.resolve()
            if path in inputs - {source.resolve()}:
                found[(source,)] = OptionError(
                    f"{source} would overwrite the input {target.path}: choose another folder with {named('out')}"
                )
            spelt.setdefault(str(path).casefold(), {}).setdefault(path, {})[source] = target.path
    for by_name in spelt.values():
        alike = list(by_name.values())
        if len(alike) > 1 and not _tells_case_apart(next(iter(by_name))):
            alike = [{source: place for makers in alike for source, place in makers.items()}]
        for makers in alike:
            (*others, last) = makers
            if others:
                verb = "would both write" if len(others) == 1 else "would all write"
                found[tuple(makers)] = OptionError(
                    f"{', '.join(map(str, others))} and {last} {verb} {makers[last]}: run them with different "
                    f"{named('out')}"
                )
    return found


def _tells_case_apart(path: Path) -> bool:
    """Return whether the disk that a path is on can hold two names that differ in capitals only."""
    nearest = next(folder for folder in path.parents if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(prefix=".birefvideo-a", dir=nearest) as probe:
            return not Path(probe.name).with_name(Path(probe.name).name.upper()).exists()
    except OSError:  # said where the output is written
        return True


def check_targets(source: Path, targets: Sequence[Target], background: object = None) -> None:
    """Refuse outputs that are what the job reads or a folder not of our pictures, or whose folder cannot be written.

    Args:
        source: the clip.
        targets: its outputs.
        background: `Options.background`, which may be a file.

    Raises:
        OutputError: as above; nothing has been written by then.
    """
    for target in targets:
        path = target.path
        try:
            if path.exists() and not path.is_dir() and not path.is_file():
                raise OutputError(f"{path} is no file but a pipe or a device: choose another {named('out')}")
            if isinstance(background, Path) and path.exists() and path.samefile(background):
                raise OutputError(f"{path} is the background itself: choose another {named('out')}")
            if path.is_dir() and not (target.format.is_sequence and is_sequence(path)):
                raise OutputError(f"{path} is a folder: remove it or choose another {named('out')}")
            if target.format.is_sequence and path.is_file():
                raise OutputError(
                    f"{path} is a file where a folder is to be: remove it or choose another {named('out')}"
                )
            if path.exists() and source.exists() and path.samefile(source):
                raise OutputError(f"{path} is the input itself: choose another {named('out')}")
            # Folders that are missing are made when there is something to put into them.
            nearest = next(folder for folder in path.absolute().parents if folder.exists())
            with tempfile.TemporaryFile(prefix=".birefvideo-", dir=nearest):  # nameless where the system can
                pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(
                f"cannot write into {path.parent} ({reason}): choose another folder with {named('out')}"
            ) from error


def check_free(targets: Sequence[Target], page: Path | None = None) -> None:
    """Refuse outputs, and a review page, that exist.

    Raises:
        OutputError: names the first.
    """
    for path in [*(target.path for target in targets), *([page] if page else [])]:
        if os.path.lexists(path):
            replaces = f"pass {named('overwrite', True)} to replace it"
            raise OutputError(f"{path} exists already: {replaces}, or choose another {named('out')}")
