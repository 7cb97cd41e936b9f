"""What is wrong with a clip's file, in words: missing frames, and a clock that jumps; one line each."""

from __future__ import annotations

from collections.abc import Iterator

from birefvideo.frames import Loss, Span, VideoInfo
from birefvideo.media.metadata import counted

_MOST_HOLES = 4
"""Places with missing frames that are named one by one."""


def file_losses(info: VideoInfo, span: Span) -> list[str]:
    """Return what is missing in a part of a file, as far as that shows without decoding; one line each."""
    lost = [loss for loss in info.losses if span.holds(loss.at)]
    holes, ends = [loss for loss in lost if not loss.is_end], [loss for loss in lost if loss.is_end]
    if len(holes) > _MOST_HOLES:
        count = sum(loss.frames for loss in holes)
        whole = f"from {clock(info, holes[0].at)} to {clock(info, holes[-1].at)}"
        lines = [f"about {missing(count)} in {len(holes)} places of the file, {whole}"]
    else:
        lines = [_hole(info, loss) for loss in holes]
    return [*lines, *(_end(info, loss) for loss in ends)]


def _hole(info: VideoInfo, loss: Loss) -> str:
    return f"about {missing(loss.frames)} around {clock(info, loss.at)}: the file is damaged there"


def _end(info: VideoInfo, loss: Loss) -> str:
    if loss.joined_at is not None:
        size = info.path.stat().st_size
        return (
            f"another file is joined behind this one, from byte {loss.joined_at} of {size} on, and is not read: "
            "join clips with an editor, or matte them one by one"
        )
    if info.still:
        return "the picture is cut off or damaged: a part of it is missing"
    if not loss.frames:
        return f"the file is cut off at {clock(info, loss.at)}: it looks truncated"
    seconds = float(loss.frames / info.rate)
    return (
        f"the file ends {seconds:.{1 if seconds >= 1 else 2}f} s before it says: it looks truncated, "
        f"about {missing(loss.frames)}"
    )


def missing(frames: int) -> str:
    """Return a number of frames with what is wrong with them, such as '3 frames are missing'."""
    return f"{counted(frames, 'frame')} {'are' if frames > 1 else 'is'} missing"


def clock_jumps(info: VideoInfo, span: Span) -> Iterator[str]:
    """Say in one line where the clock of a part of a file jumps."""
    joints = [joint for joint in info.timeline.joints if span.holds(round(joint.time / info.time_base))]
    if not joints:
        return
    first = joints[0]
    way = "back" if first.jump < 0 else "ahead"
    place = clock(info, round(first.time / info.time_base))
    more = f", and at {counted(len(joints) - 1, 'more place')}" if len(joints) > 1 else ""
    yield (
        f"the file's clock jumps {way} by {float(abs(first.jump)):.2f} s at {place}{more}: "
        "what follows is put directly behind, as players do"
    )


def clock(info: VideoInfo, pts: int) -> str:
    """Return a time as a player shows it, from the first frame on."""
    tenths = max(0, round((pts - info.start) * info.time_base * 10))
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02d}" if hours else f"{minutes}"
    return (f"{hours}:" if hours else "") + f"{clock}:{rest // 10:02d}.{rest % 10}"
