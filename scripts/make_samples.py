#!/usr/bin/env python3
"""Make the clips in samples/: one person, animated from a single cut-out, composited over drawn rooms.

Every clip comes with the alpha it was composited with, exact to the code: alpha is rounded to 8 bits first,
and the picture is `alpha * foreground + (1 - alpha) * background` on gamma-encoded values, as editors and matting
benchmarks do it. Needs numpy, opencv and av only; seeded, so that a second run makes the same pictures.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray
from scenes.person import draw_person, load_person, make_poses, wander
from scenes.room import draw_room
from scenes.voice import SOUND_RATE, speak

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
Array = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """What one sample is."""

    name: str
    """File name in samples/, with the container's suffix."""
    size: tuple[int, int]
    """Coded width and height."""
    frames: int
    rate: int
    codec: str
    options: dict[str, str]
    zoom: float
    """Output pixels to one pixel of the cut-out."""
    centre: float
    """Where the person's middle is, as a share of the shown width."""
    headroom: float
    """Where the top of the head is, as a share of the shown height."""
    seed: int
    blur: float
    """Radius of the lens blur of the room, in pixels."""
    shake: float = 1.0
    """Size of the camera's movement; 1 is a tripod on a wooden floor, 4 is a hand."""
    rotation: bool = False
    """Whether it is coded on its side, with a display matrix that turns it upright."""
    vfr: bool = False
    sound: bool = False

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a player shows it."""
        return self.size[::-1] if self.rotation else self.size


X264 = {"preset": "slower", "crf": "20"}
VP9 = {"crf": "30", "b": "0", "auto-alt-ref": "0"}
FFV1 = {"level": "3", "coder": "1", "context": "1", "g": "600", "slices": "4"}
CLIPS = (
    Clip("talking_head.mp4", (1280, 720), 175, 25, "libx264", X264, 2.0, 0.49, 0.10, 7, 11.0, sound=True),
    Clip("vfr.mp4", (640, 360), 48, 30, "libx264", X264, 1.0, 0.44, 0.10, 21, 5.0, vfr=True),
    Clip("rotated.mp4", (640, 360), 60, 30, "libx264", X264, 1.55, 0.5, 0.2, 35, 6.0, 4.0, rotation=True, sound=True),
    Clip("odd_size.webm", (641, 361), 36, 24, "libvpx-vp9", VP9, 1.0, 0.53, 0.10, 49, 5.0),
)


def frame_times(clip: Clip, rng: np.random.Generator) -> list[int]:
    """Return when each frame is shown, in ticks of 1/90000 s."""
    steps = np.full(clip.frames, 90000 // clip.rate)
    if clip.vfr:  # as phones do: jitter, half the rate for a while (dim light), one hitch
        steps = steps + rng.integers(-450, 450, clip.frames)
        steps[clip.frames // 3 : clip.frames // 2] *= 2
        steps[clip.frames * 3 // 4] *= 5
    return [0, *(int(t) for t in np.cumsum(steps)[:-1])]


def render(clip: Clip, ticks: list[int], voice: Array, rng: np.random.Generator) -> Iterator[tuple[Picture, Picture]]:
    """Yield every frame as it is shown, uint8 BGR (height, width, 3), and its alpha (height, width)."""
    width, height = clip.shown_size
    times = np.array(ticks, np.float32) / np.float32(90000)
    person = load_person(SAMPLES / "astronaut_rgba.png")
    margin = 1.12
    room = draw_room((round(width * margin), round(height * margin)), clip.blur, rng)
    poses = make_poses(times, np.interp(times, np.arange(voice.size) / 200, voice).astype(np.float32), rng)
    unit = clip.shake * width / 640
    pan = np.stack([wander(rng, times, 4.0 / clip.shake**0.5), wander(rng, times, 3.3 / clip.shake**0.5)], 1) * unit
    light = 1 + 0.012 * wander(rng, times, 4.0)  # clouds
    falloff = np.linspace(1.07, 0.88, width, dtype=np.float32)[None, :, None]  # the window is on the left
    for i, pose in enumerate(poses):
        zoom = 1 + 0.02 * float(times[i] / times[-1])
        shift = (np.array([width, height]) * (1 - margin * zoom) / 2 + pan[i]).astype(np.float32)
        matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]], np.float32)
        background = cv2.warpAffine(room, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        # The person is nearer than the wall: the camera's movement shifts them more.
        anchor = (clip.centre * width + 1.4 * float(pan[i, 0]), clip.headroom * height + 1.4 * float(pan[i, 1]))
        drawn = draw_person(person, pose, (width, height), clip.zoom * zoom, anchor)
        alpha = np.round(drawn[..., 3] * 255).astype(np.uint8)
        foreground = np.clip(0.03 + 0.93 * drawn[..., :3] * falloff, 0, 1)
        opacity = np.float32(alpha / 255)[..., None]
        picture = (opacity * foreground + (1 - opacity) * background) * light[i]
        picture += rng.normal(0, 0.005, picture.shape[:2])[..., None] + rng.normal(0, 0.003, picture.shape)
        yield np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8), alpha


def to_video_frame(picture: Picture, pix_fmt: str, pts: int) -> av.VideoFrame:
    """Convert a picture to a BT.709 limited-range frame; gray codes stay as they are."""
    # One thread: swscale's slices corrupt rows of odd widths otherwise.
    if pix_fmt == "gray":
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
    else:
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
        frame = rgb.reformat(format=pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG", threads=1)
        frame.color_primaries = frame.color_trc = 1
    frame.pts, frame.time_base = pts, Fraction(1, 90000)
    return frame


def add_video(
    container: OutputContainer, size: tuple[int, int], rate: int, codec: str, options: dict[str, str]
) -> VideoStream:
    """Add a video stream on a 1/90000 s clock."""
    pix_fmt = "gray" if codec == "ffv1" else "yuv420p"
    stream = cast(VideoStream, container.add_stream(codec, rate=rate, options={**options, "flags": "+bitexact"}))
    stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
    context = stream.codec_context
    context.time_base = Fraction(1, 90000)
    context.thread_count = 2
    if pix_fmt != "gray":
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    return stream


def write_sound(container: OutputContainer, stream: AudioStream, sound: Array) -> None:
    """Encode mono samples."""
    frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
    frame.rate, frame.pts, frame.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
    for item in (frame, None):
        container.mux(stream.encode(item))


def set_rotation(path: Path, height: int) -> None:
    """Patch the first track's display matrix to a quarter turn clockwise, as phones write it for upright video."""
    data = path.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, height << 16, 0, 1 << 30)
    place = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:place] + turned + data[place + len(turned) :])


def make_clip(clip: Clip, folder: Path) -> None:
    """Write a clip and its alpha."""
    rng = np.random.default_rng(clip.seed)
    ticks = frame_times(clip, rng)
    sound, voice = speak((ticks[-1] + 90000 // clip.rate) / 90000, rng)
    path, alpha_path = folder / clip.name, folder / f"{Path(clip.name).stem}_alpha.mkv"
    exact = {"fflags": "+bitexact"}
    with (
        av.open(
            str(path), "w", container_options={**exact, "movie_timescale": "90000", "movflags": "+faststart"}
        ) as film,
        av.open(str(alpha_path), "w", container_options=exact) as mask,
    ):
        video = add_video(film, clip.size, clip.rate, clip.codec, clip.options)
        alpha_video = add_video(mask, clip.shown_size, clip.rate, "ffv1", FFV1)
        audio = film.add_stream("aac", rate=SOUND_RATE, layout="mono", options={"b": "64000"}) if clip.sound else None
        for pts, (picture, alpha) in zip(ticks, render(clip, ticks, voice, rng), strict=True):
            coded = np.rot90(picture) if clip.rotation else picture
            for container, stream, image in ((film, video, coded), (mask, alpha_video, alpha)):
                container.mux(stream.encode(to_video_frame(image, stream.pix_fmt or "", pts)))
        for container, stream in ((film, video), (mask, alpha_video)):
            container.mux(stream.encode(None))
        if audio is not None:
            write_sound(film, audio, sound)
    if clip.rotation:
        set_rotation(path, clip.size[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of the files to make (default: all)")
    parser.add_argument("--out", type=Path, default=SAMPLES, help="folder to write to (default: samples/)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    for clip in CLIPS:
        if not args.names or clip.name in args.names:
            make_clip(clip, args.out)
            print(clip.name, flush=True)


if __name__ == "__main__":
    main()
