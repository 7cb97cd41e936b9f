"""What is to say of an output beside its pictures: lines for the user, told once for all outputs of a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Note:
    """One line, of a subject and what there is to say of it."""

    about: str
    """The subject, such as 'audio stream 1 (aac)', or the whole line."""
    said: tuple[str, ...] = ()
    """What there is to say of it."""
    is_loss: bool = False
    """Whether the output lacks what the source once had, because it is damaged or cannot be read."""

    @property
    def line(self) -> str:
        """The line that the user reads."""
        return f"{self.about}: {'; '.join(self.said)}" if self.said else self.about


def merged(notes: Iterable[Note]) -> list[Note]:
    """Return notes of several outputs with what they say of one subject said once, in order."""
    found: dict[str, Note] = {}
    for note in notes:
        before = found.setdefault(note.about, note)
        said = tuple(dict.fromkeys((*before.said, *note.said)))
        found[note.about] = replace(before, said=said, is_loss=before.is_loss or note.is_loss)
    return list(found.values())
