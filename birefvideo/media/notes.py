"""What is to say of an output beside its pictures: lines for the user, told once for all outputs of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One line, of a subject and what there is to say of it."""

    about: str
    """The subject, such as 'audio stream 1 (aac)', or the whole line."""
    said: tuple[str, ...] = ()
    """What there is to say of it."""
    is_loss: bool = False
    """Whether the output lacks what the source once had, because it is damaged or cannot be read."""
    outputs: tuple[str, ...] = ()
    """Names of the outputs that it is true of; none where it is true of all of a job."""

    @property
    def line(self) -> str:
        """The line that the user reads."""
        line = f"{self.about}: {'; '.join(self.said)}" if self.said else self.about
        return f"{', '.join(self.outputs)}: {line}" if self.outputs else line


def merged(notes: Mapping[str, Sequence[Note]]) -> list[Note]:
    """Return the notes of several outputs, each thing said once, with the outputs that it is true of, in order.

    Args:
        notes: of every output of a job, by its name; those of an output without any are empty.
    """
    holders: dict[tuple[str, str, bool], list[str]] = {}
    for output, told in notes.items():
        for note in told:
            for said in note.said or ("",):
                names = holders.setdefault((note.about, said, note.is_loss), [])
                if output not in names:
                    names.append(output)
    found: dict[tuple[str, bool, tuple[str, ...]], list[str]] = {}
    for (about, said, is_loss), names in holders.items():
        outputs = () if len(names) == len(notes) else tuple(names)
        found.setdefault((about, is_loss, outputs), []).extend(filter(None, [said]))
    return [Note(about, tuple(said), is_loss, outputs) for (about, is_loss, outputs), said in found.items()]
