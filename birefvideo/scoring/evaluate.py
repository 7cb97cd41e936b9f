"""Scoring a finished matte against the true one: frames are paired by their times, read, compared, and summed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from birefvideo.errors import InputError, OptionError, named
from birefvideo.frames import Alpha
from birefvideo.scoring.metrics import ClipScore, FrameScore, Score
from birefvideo.scoring.read_mattes import RGB, MatteFolder, MatteVideo, open_mattes, read_colours

SAME_TIME = Fraction(3, 1000)
"""Seconds by which the times of one frame may differ in two files: Matroska counts in milliseconds."""


@dataclass(frozen=True)
class Metric:
    """How one figure is shown."""

    name: str
    """Field of `FrameScore` and `Score`."""
    title: str
    """For people."""
    factor: float
    """What the figure was multiplied by."""

    @property
    def heading(self) -> str:
        """Title and factor, in ASCII but for their signs."""
        return f"{self.title} ×{self.factor:g}" if self.factor >= 1 else f"{self.title} ÷{1 / self.factor:g}"


METRICS = (
    Metric("mad", "MAD", 1e3),
    Metric("mse", "MSE", 1e3),
    Metric("grad", "Grad", 1e-3),
    Metric("conn", "Conn", 1e-3),
    Metric("dtssd", "dtSSD", 1e2),
    Metric("band_mad", "edge-band MAD", 1e3),
    Metric("flicker", "flicker where still", 1e3),
    Metric("foreground_sad", "foreground SAD", 1e-3),
)
"""Every figure, in the order in which they are shown."""


@dataclass(frozen=True)
class Evaluation:
    """What a comparison found."""

    truth: Path
    """The true matte."""
    result: Path
    """The matte that was scored."""
    size: tuple[int, int]
    """Width and height."""
    times: tuple[Fraction, ...] | None
    """Seconds at which every frame is shown, on the result's clock if it has one; None for two folders of pictures."""
    frames: tuple[FrameScore, ...]
    """The errors of every frame."""
    score: Score
    """The errors of the clip."""

    def series(self, metric: Metric) -> list[float | None]:
        """Return a figure over the frames."""
        return [getattr(frame, metric.name) for frame in self.frames]

    def worst(self, metric: Metric) -> int | None:
        """Return the frame with the largest error, or None where no frame has one."""
        known = [(value, -index) for index, value in enumerate(self.series(metric)) if value is not None]
        return -max(known)[1] if known else None

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        mean = asdict(self.score)
        worst = {metric.name: self.worst(metric) for metric in METRICS}
        return {
            "truth": str(self.truth),
            "result": str(self.result),
            "width": self.size[0],
            "height": self.size[1],
            "frames": mean.pop("frames"),
            "factor": {metric.name: metric.factor for metric in METRICS},
            "mean": mean,
            "worst_frame": worst,
            "per_frame": [
                {"time": round(float(self.times[index]), 6) if self.times else None, **asdict(frame)}
                for index, frame in enumerate(self.frames)
            ],
        }


def evaluate(
    truth: Path,
    result: Path,
    *,
    truth_foreground: Path | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
    with_conn: bool = True,
    on_frame: Callable[[int], object] = lambda total: None,
) -> Evaluation:
    """Compare the matte in `result` with the one in `truth`, frame by frame.

    Args:
        truth: gray or alpha video, or a folder of pictures.
        result: the same kinds.
        truth_foreground: video of the true straight colours, with the frames of `truth`; adds foreground SAD.
        start: seconds from the first frame of `truth` at which `result` begins, where it was made with --start.
        end: seconds at which it ends.
        with_conn: compute Conn too, which takes longer than all else.
        on_frame: called after each frame with the number of all.

    Raises:
        InputError: a file cannot be read or holds no matte, or frames or sizes do not fit each other.
        OptionError: start or end are given for pictures, or hold no frame.
    """
    true, found = open_mattes(truth), open_mattes(result)
    window = _window(true, start, end)
    for mattes in (found, true):
        next(mattes.mattes())  # a file that holds no matte is refused for that before its times are
    _check_frames(true, found, window, start is not None)
    colours: Iterator[tuple[RGB, RGB]] | None = None
    if truth_foreground is not None:
        if not found.has_alpha:
            raise InputError(
                f"{result} has no colours beside an alpha: score the foreground of a ProRes or WebM output"
            )
        colours = _colours(truth_foreground, result, window, len(found))
    clip, scores = ClipScore(with_conn), []
    size = (0, 0)
    for alpha, wanted in zip(found.mattes(), islice(true.mattes(), window.start, window.stop), strict=True):
        alpha = _cropped(alpha, wanted, true.path, found.path)
        size = (wanted.shape[1], wanted.shape[0])
        pair = next(colours) if colours else None
        if pair and (pair[0].shape != pair[1].shape or pair[1].shape[:2] != wanted.shape):
            raise InputError(f"{truth_foreground} and {result} differ in size from {truth}: scale them to one size")
        scores.append(clip.add(alpha, wanted, pair))
        on_frame(len(found))
    times = found.times or (true.times[window] if true.times else None)
    return Evaluation(truth, result, size, times, tuple(scores), clip.score())


def _window(true: MatteVideo | MatteFolder, start: Fraction | None, end: Fraction | None) -> slice:
    """Return the frames of truth that a trimmed result has."""
    if start is None and end is None:
        return slice(0, len(true))
    if true.times is None:
        raise OptionError(
            f"{named('start')} and {named('end')} need times, and {true.path} is a folder of pictures: give a video"
        )
    inside = [
        index
        for index, time in enumerate(true.times)
        if (start is None or time - true.times[0] >= start) and (end is None or time - true.times[0] < end)
    ]
    if not inside:
        raise OptionError(f"{true.path} has no frame between {named('start')} and {named('end')}")
    return slice(inside[0], inside[-1] + 1)


def _check_frames(
    true: MatteVideo | MatteFolder, found: MatteVideo | MatteFolder, window: slice, trimmed: bool
) -> None:
    """Refuse files of which one lacks frames that the other has."""
    if true.times is None or found.times is None:
        count = len(range(len(true))[window])
        if count != len(found):
            raise InputError(
                f"{found.path} has {len(found)} frames and {true.path} {count}: without times both must have as many"
            )
        return
    wanted = true.times[window]
    # One clock first: it shows which frame is missing. A trimmed file, or another tool's, may start at its own 0.
    shifts = [wanted[0] - found.times[0]] if trimmed else [Fraction(0), wanted[0] - found.times[0]]
    slack = max(SAME_TIME, 2 * true.slack + found.slack)  # the first picture's time is rounded too
    lacking, extra = min(
        (_unpaired(wanted, found.times, shift, slack) for shift in shifts),
        key=lambda pair: sum(map(len, pair)),
    )
    for times, lacks, has in ((lacking, found.path, true.path), (extra, true.path, found.path)):
        if times:
            raise InputError(
                f"{lacks} lacks {len(times)} of the {len(wanted if lacks == found.path else found.times)} frames of "
                f"{has}, the first at {float(times[0]):.3f} s: name files of one clip, and pass the "
                f"{named('start')} and {named('end')} that a trimmed result was made with"
            )


def _unpaired(
    wanted: Sequence[Fraction], found: Sequence[Fraction], shift: Fraction, slack: Fraction
) -> tuple[list[Fraction], list[Fraction]]:
    """Return the times of the wanted frames that were not found, and of those found that were not wanted."""
    lacking, extra = [], []
    i = j = 0
    while i < len(wanted) and j < len(found):
        late = found[j] + shift - wanted[i]
        if abs(late) <= slack:
            i, j = i + 1, j + 1
        elif late > 0:
            lacking.append(wanted[i])
            i += 1
        else:
            extra.append(found[j])
            j += 1
    return [*lacking, *wanted[i:]], [*extra, *found[j:]]


def _cropped(alpha: Alpha, truth: Alpha, true_path: Path, found_path: Path) -> Alpha:
    """Return a matte without the column and row that an encoder of even sizes added."""
    height, width = truth.shape
    if alpha.shape in ((height, width), (height + height % 2, width + width % 2)):
        return alpha[:height, :width]
    raise InputError(
        f"{found_path} is {alpha.shape[1]}×{alpha.shape[0]} and {true_path} {width}×{height}: "
        "scale one to the other's size"
    )


def _colours(truth: Path, result: Path, window: slice, count: int) -> Iterator[tuple[RGB, RGB]]:
    """Return the colours of result and truth of every frame compared."""
    true = islice(read_colours(truth), window.start, window.stop)
    pairs = 0
    for (_, found), (_, wanted) in zip(read_colours(result), true, strict=False):
        yield found, wanted
        pairs += 1
    if pairs < count:
        raise InputError(f"{truth} has colours of {pairs} of the {count} frames of {result}: name the whole clip's")
