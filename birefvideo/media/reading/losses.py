"""What is missing in a file that was damaged or cut off, by what its container promises and how it is built.

Times alone prove nothing: screens, phones and browsers leave out frames on purpose. They only say how many frames a
hole has that something else gives away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from birefvideo.frames import Loss, VideoInfo
from birefvideo.media.animation_containers import is_animated_webp
from birefvideo.media.reading import boxes, ebml, flv_tags, mpeg_packets
from birefvideo.media.reading.joined_files import second_file
from birefvideo.media.reading.scan import Scan, clock_may_jump, has_times
from birefvideo.media.reading.tagged_end import tagged_end

_INDEXED = {"avi": 8, "mov,mp4,m4a,3gp,3g2,mj2": 0}
"""Formats whose index names every packet, and the bytes from an entry's position to its packet's."""
_UNSET = (2**31 - 1, 2**32 - 1)
"""Lengths, in ticks, that writers leave in a head that they could not go back to."""
_SHORT = Fraction(1, 2)
"""Seconds that a file may end before it says, where nothing else shows that it was cut off."""
_NEAR = 5
"""Pictures beside a hole in which to look for damage: they need not be stored in the order that they are shown in."""

_WALKS = {"matroska,webm": ebml.walk, "flv": flv_tags.walk}
"""Formats whose structure shows damage."""
_JUMPING = {"mpegts": mpeg_packets.walk_transport, "mpeg": mpeg_packets.walk_program}
"""Formats whose clock may jump and that say nothing of lengths."""
_UNREAD = 0.1
"""Share of a file behind damage, and behind all that could be read, that is told of whatever the file says."""

Index = tuple[int, ...]
"""Byte positions of a stream's packets, in order, as the container promises them."""


def promised(container: InputContainer, stream: VideoStream) -> Index:
    """Return what the index of a freshly opened file promises; empty where the format has none of all packets."""
    offset = _INDEXED.get(container.format.name)
    if offset is None:
        return ()
    return tuple(entry.pos + offset for entry in stream.index_entries if not entry.is_discard)


def find_losses(
    info: VideoInfo, container: InputContainer, stream: VideoStream, index: Index, found: Scan
) -> tuple[Loss, ...]:
    """Return what is missing in a file, or behind it where another one is joined.

    Args:
        info: the clip as its head describes it.
        container: the open file.
        stream: its pictures.
        index: what `promised` said before the file was read.
        found: what was read.
    """
    # A stream that is made while it is read, of an animated WebP, has no structure of its own; what is damaged there is
    # refused.
    if not len(found.times) or is_animated_webp(info.path):
        return ()
    losses = _within(info, container, stream, index, found)
    joined_at = second_file(info.path, container.format.name, found.read_to)
    if joined_at is None:
        return losses
    # What seems cut off ends where the other file begins.
    holes = (loss for loss in losses if not loss.is_end)
    return (*holes, Loss(0, int(found.times[-1]), is_end=True, joined_at=joined_at))


def _within(
    info: VideoInfo, container: InputContainer, stream: VideoStream, index: Index, found: Scan
) -> tuple[Loss, ...]:
    """Return what is missing in the file itself."""
    if len(promised(container, stream)) > len(index):
        index = ()  # it has grown while the file was read: there is none, and FFmpeg makes one as it goes
    is_claimed = has_times(container) and not clock_may_jump(container)
    short = _shortage(info, container, stream, found) if is_claimed else 0
    if walk := _WALKS.get(container.format.name):
        return tuple(_by_structure(info, walk, found, short))
    if walk := _JUMPING.get(container.format.name):
        return tuple(_of_broadcast(info, walk, found))
    if clock_may_jump(container):
        return ()
    structure = boxes.walk(info.path) if container.format.name.startswith("mov,") else None
    if structure and structure.last and (structure.damage or structure.is_cut):
        return (_end(found, max(0, short)),)  # in fragments, of which no index names the lost ones
    losses = _not_delivered(index, found)
    is_cut = bool(found.corrupt[-_NEAR:].any()) or _is_cut_riff(info)
    is_short = (short * info.time_base > _SHORT and not index) or (is_cut and short > 1.5 * found.step)
    if (is_short or is_cut) and not any(loss.is_end for loss in losses):
        losses.append(_end(found, short))
    return tuple(losses)


def _shortage(info: VideoInfo, container: InputContainer, stream: VideoStream, found: Scan) -> int:
    """Return by how many ticks the pictures, or all streams, end before the head says so."""
    if stream.duration in _UNSET:
        return 0
    if stream.duration is not None and stream.duration > 0:
        claimed = round(info.duration / info.time_base)
        if container.format.name == "avi":  # which counts in frames; FFmpeg makes its length fit a file that is cut off
            claimed = max(claimed, stream.frames)
        return int(found.times[0]) + claimed - found.end
    if container.duration is None or container.duration <= 0:
        return 0
    whole = Fraction(container.duration, av.time_base)
    if "matroska" not in container.format.name:
        whole += Fraction(container.start_time or 0, av.time_base)
    else:
        own = tagged_end(stream)  # of a track alone; older than the file where it is longer
        if own is not None and own <= whole + Fraction(1, 100):
            return round(own / info.time_base) - found.end
    return round((whole - found.all_end) / info.time_base)


def _not_delivered(index: Index, found: Scan) -> list[Loss]:
    """Return the packets that an index names and that could not be read, each run of them as one."""
    places = {int(position): int(time) for position, time in zip(found.positions, found.times, strict=True)}
    losses: list[Loss] = []
    before, missing = int(found.times[0]), 0
    for position in index:
        if position not in places:
            missing += 1
            continue
        if missing:
            losses.append(Loss(missing, before))
        before, missing = places[position], 0
    return [*losses, Loss(missing, before, is_end=True)] if missing else losses


def _by_structure(info: VideoInfo, walk: Callable[[Path], ebml.Structure], found: Scan, short: int) -> list[Loss]:
    """Return what damage to a file's structure has cost; it is looked for where times leave room for it."""
    holes = _holes(found)
    is_short = short > 0.75 * found.step
    size, read = info.path.stat().st_size, int(found.positions.max())
    is_late = int(found.times[0]) < info.start
    if not (len(holes) or is_late or is_short or found.error or size - found.read_to > _UNREAD * size):
        return []
    structure = walk(info.path)
    losses = [*_lead(info, found, structure.damage)]
    losses += [_hole(found, i) for i in holes if any(_lies_in(found, i, place) for place in structure.damage)]
    late = is_short and any(place > found.positions[-_NEAR:].min() for place in structure.damage)
    behind = [place for place in structure.damage if place > read]
    is_unread = is_short and structure.last > found.read_to
    if late or (behind and size - behind[0] > _UNREAD * size) or structure.is_cut or is_unread:
        losses.append(_end(found, short))
    return losses


def _of_broadcast(info: VideoInfo, walk: Callable[[Path], ebml.Structure], found: Scan) -> Iterator[Loss]:
    """Find where packets are broken, or flagged so by the demuxer, and where pictures are missing at such a place."""
    structure = walk(info.path)
    yield from _lead(info, found, structure.damage)
    for number in _holes(found):
        is_flagged = found.corrupt[max(0, number - _NEAR) : number + 1 + _NEAR].any()
        if is_flagged or any(_lies_in(found, number, place) for place in structure.damage):
            yield _hole(found, number)
    if structure.is_cut or any(place > int(found.positions.max()) for place in structure.damage):
        yield _end(found, 0)


def _lead(info: VideoInfo, found: Scan, damage: list[int]) -> Iterator[Loss]:
    """Find damage before the first picture that can be decoded, and what it may have cost.

    A recording may begin amid a group of pictures, and amid a packet.
    """
    shown = found.positions[found.times >= info.start][:_NEAR]
    if len(shown) and any(0 < place < shown.min() for place in damage):
        yield Loss(1 + int((found.times < info.start).sum()), info.start)


def _holes(found: Scan) -> list[int]:
    """Return the numbers of the pictures after which there is room for at least one more."""
    return [int(number) for number in np.flatnonzero(np.diff(found.times) > 1.5 * found.step)]


def _hole(found: Scan, number: int) -> Loss:
    width = int(found.times[number + 1] - found.times[number])
    return Loss(max(1, round(width / found.step) - 1), int(found.times[number]))


def _end(found: Scan, short: int) -> Loss:
    return Loss(max(0, round(short / found.step)), int(found.times[-1]), is_end=True)


def _lies_in(found: Scan, number: int, place: int) -> bool:
    """Return whether a byte lies between the pictures before and after a hole."""
    before = found.positions[max(0, number + 1 - _NEAR) : number + 1]
    after = found.positions[number + 1 : number + 1 + _NEAR]
    return bool(before.min() < place <= after.max())


def _is_cut_riff(info: VideoInfo) -> bool:
    """Return whether a file says that it is RIFF and longer than it is."""
    with info.path.open("rb") as file:
        head = file.read(12)
    is_riff = head[:4] == b"RIFF" and head[8:] == b"AVI "
    return is_riff and int.from_bytes(head[4:8], "little") + 8 > info.path.stat().st_size + 1
