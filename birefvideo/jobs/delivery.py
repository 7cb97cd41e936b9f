"""How a job delivers: what lies beside its outputs, what may be replaced, and what ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from birefvideo.editing.kinds import get_kinds


@dataclass(frozen=True)
class Delivery:
    """What is asked of a job besides its options: none of it changes a byte of an output."""

    receipts: bool = True
    """Write what is known of an output beside it, as JSON."""
    review: bool = False
    """Add a page to judge the matte with."""
    timeline: Sequence[str] = ()
    """Kinds of timeline files for editors."""
    overwrite: bool = False
    """Replace files that have the outputs' names."""
    skip_done: bool | None = None
    """Do not make outputs again that receipts prove to be of this very job; None: unless `overwrite`."""
    renew: bool = False
    """Make outputs again that are of another job, or damaged, instead of finding them in the way (see `Renewal`)."""
    strict: bool = False
    """A clip that is damaged or cut off, so that frames or sound are missing, is an error; nothing is delivered."""
    keep_cache: bool = False
    """Keep the network's alpha beside the outputs, for later jobs that want something else of it."""
    command: Sequence[Sequence[str]] | None = None
    """What the user typed, for the page to tell how to run it with marks."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeline", get_kinds(self.timeline))

    @property
    def skips_done(self) -> bool:
        """Whether outputs that are finished stay as they are."""
        return not self.overwrite if self.skip_done is None else self.skip_done
