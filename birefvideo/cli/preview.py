"""`birefvideo matte --preview`: what a run would give and cost, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from birefvideo.cli.errors import Failures
from birefvideo.cli.printing import answer_lines, tell
from birefvideo.cli.report import JobBar, print_note, short
from birefvideo.errors import OptionError, named
from birefvideo.remote.places import url_of

if TYPE_CHECKING:
    from birefvideo.comparison.preview import Preview
    from birefvideo.jobs.options import Options
    from birefvideo.jobs.plan import Target


def preview_all(
    jobs: Mapping[Path, Sequence[Target]],
    options: Options,
    failures: Failures,
    *,
    overwrite: bool,
    quiet: bool,
    review: bool = False,
    timeline: Sequence[str] = (),
) -> None:
    """Preview the clips one after another; an error of one stops no other.

    With `review` or `timeline`, it is told that no page and no timeline is made.
    """
    from birefvideo.comparison.preview import preview
    from birefvideo.jobs.elsewhere import fetch, urls_in_errors
    from birefvideo.jobs.loaded_model import LastModel

    if review and jobs and not quiet:
        print_note("--preview makes no review page: the run does, with --review and without --preview")
    if timeline and jobs and not quiet:
        print_note("--preview makes no timeline: the run does, with --timeline and without --preview")
    if options.directions and jobs and not quiet:
        names = ", ".join(f"--{name}" for name in options.directions)
        print_note(f"--preview shows the network's matte: {names} will act in the run")
    load = LastModel()
    for clip, targets in jobs.items():
        with failures.caught(clip), urls_in_errors():
            if url_of(targets[0].path) is not None:
                raise OptionError(
                    f"{named('preview', True)} writes its picture where outputs go, and these go to a URL: name a "
                    f"folder of this machine with {named('out')}, or leave it out"
                )
            with JobBar(clip, quiet) as bar:
                fetch(clip, bar.progress)
            found = preview(clip, targets, options, overwrite=overwrite, load=load)
            if not quiet:
                _print(found)


def _print(found: Preview) -> None:
    why = f" ({found.why_model})" if found.why_model else ""
    tell(f"{found.source}: model {found.row.model if not why else found.row.label}{why} on {found.device}")
    answer_lines(_lines(found))
    if found.needed > found.free:
        from birefvideo.jobs.disk import size_in_words

        needed, free = size_in_words(found.needed), size_in_words(found.free)
        print_note(f"a run needs about {needed} there for a while, and {free} are free", indent="  ")


def _lines(found: Preview) -> Iterator[str]:
    from birefvideo.advice.advise import duration
    from birefvideo.jobs.disk import size_in_words

    measured = found.trial
    if found.frames == 1:
        yield f"  a run takes about {duration(found.seconds)}, and writes about"
    elif found.frames:
        yield (
            f"  a run of {found.frames} frames takes about {duration(found.seconds)} "
            f"({measured.seconds:.2g} s a frame), and writes about"
        )
    else:
        yield f"  a run takes about {measured.seconds:.2g} s a frame, whose number is not known; a frame takes about"
    width = max(len(output.path.name) for output in found.outputs)
    for output in found.outputs:
        yield f"  {output.path.name:{width}}  {size_in_words(output.bytes):>8}"
    count = "the picture" if measured.frames == 1 else f"{measured.frames} frames in a row"
    yield f"  estimates, by encoding {count}; sound and the checks at the end come on top"
    yield f"  see the mattes: {short(found.sheet)}"
