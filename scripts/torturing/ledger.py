"""What has been found, kept in a file: a run that was stopped goes on, unless the package has changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import birefvideo


@dataclass(frozen=True)
class Found:
    """What became of one case."""

    part: str
    """Which of the tortures."""
    number: int
    """Which of its cases."""
    how: str
    """What was done, or to what."""
    ended: str
    """In a word how it ended, for the table."""
    fault: str = ""
    """What was wrong, or ''."""
    facts: str = ""
    """What else is to be told."""


class Ledger:
    """The file, `state.jsonl` in a folder; lines of another seed or of other code are passed over."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "state.jsonl"
        self._key: dict[str, object] = {"code": _code_digest(), "seed": seed}
        self._found: dict[tuple[str, int], Found] = {}
        for line in self._file.read_text().splitlines() if self._file.exists() else ():
            try:
                one = json.loads(line)
                if all(one.pop(name) == value for name, value in self._key.items()):
                    self.take(Found(**one))
            except (ValueError, LookupError, TypeError):  # the last line of a run that was killed itself
                continue

    def take(self, found: Found) -> None:
        """Take what is true of this run only, such as what it leaves out."""
        self._found[found.part, found.number] = found

    def missing(self, part: str, numbers: Iterable[int]) -> Iterator[int]:
        """Yield the numbers of the cases that are still to be done."""
        return (number for number in numbers if (part, number) not in self._found)

    def add(self, found: Found) -> None:
        """Keep what became of a case."""
        self.take(found)
        with self._file.open("a") as file:
            file.write(json.dumps({**self._key, **asdict(found)}) + "\n")

    def of(self, part: str) -> list[Found]:
        """Return the cases of a part, in order."""
        return [self._found[key] for key in sorted(self._found) if key[0] == part]


def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(birefvideo.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
