"""The clips in samples/ are what their README says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
NAMES = ("talking_head.mp4", "vfr.mp4", "rotated.mp4", "odd_size.webm")


def packet_times(path: Path) -> list[Fraction]:
    """When each picture is shown, in order, in seconds; one packet is one picture in these files."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        return sorted(p.pts * p.time_base for p in packets)


def first_picture(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def alpha_of(name: str) -> Path:
    return SAMPLES / f"{Path(name).stem}_alpha.mkv"


def test_all_files_together_are_small_enough_for_git() -> None:
    made = [*NAMES, *(alpha_of(name).name for name in NAMES), "astronaut_rgba.png", "README.md"]
    assert sum((SAMPLES / name).stat().st_size for name in made) <= 8 * 2**20


def test_the_readme_names_every_clip() -> None:
    text = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(name in text and alpha_of(name).name in text for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEveryClip:
    def test_has_an_alpha_frame_for_each_picture_at_its_time(self, name: str) -> None:
        pictures, mattes = packet_times(SAMPLES / name), packet_times(alpha_of(name))
        assert len(pictures) == len(mattes) > 30
        assert pictures[0] == 0
        # Matroska's clock is 1 ms.
        assert max(abs(p - m) for p, m in zip(pictures, mattes, strict=True)) <= Fraction(1, 1000)

    def test_has_an_alpha_of_the_size_that_is_shown(self, name: str) -> None:
        picture, matte = first_picture(SAMPLES / name), first_picture(alpha_of(name))
        size = (picture.width, picture.height)
        assert (matte.width, matte.height) == (size[::-1] if picture.rotation % 180 else size)

    def test_has_background_person_and_soft_edges(self, name: str) -> None:
        alpha = first_picture(alpha_of(name)).to_ndarray(format="gray", threads=1)
        assert (alpha == 0).mean() > 0.2
        assert (alpha == 255).mean() > 0.2
        assert 0.002 < ((alpha > 0) & (alpha < 255)).mean() < 0.05
        assert len(np.unique(alpha)) > 200

    def test_shows_a_person_cut_by_the_lower_edge(self, name: str) -> None:
        alpha = first_picture(alpha_of(name)).to_ndarray(format="gray", threads=1)
        assert (alpha[-1] == 255).mean() > 0.3
        assert not alpha[0].any()

    def test_is_tagged_bt709(self, name: str) -> None:
        picture = first_picture(SAMPLES / name)
        assert (picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc) == (1, 1, 1, 1)


def test_the_talking_head_is_hd_with_sound_as_long_as_its_picture() -> None:
    with av.open(str(SAMPLES / "talking_head.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.codec_context.name) == (1280, 720, "h264")
        assert audio.codec_context.name == "aac"
        pictures, sound = video.duration * video.time_base, audio.duration * audio.time_base
        assert 6 <= pictures <= 8
        assert abs(pictures - sound) < Fraction(1024, 48000)


def test_the_sound_is_heard_and_pauses() -> None:
    with av.open(str(SAMPLES / "talking_head.mp4")) as container:
        sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    loudness = np.abs(sound[: sound.size // 4800 * 4800]).reshape(-1, 4800).max(axis=1)  # each 0.1 s
    assert 0.2 < loudness.max() <= 1
    assert loudness.min() < 0.05 * loudness.max()


def test_the_vfr_clip_has_a_variable_frame_rate() -> None:
    steps = np.diff(np.array(packet_times(SAMPLES / "vfr.mp4"), dtype=float))
    assert steps.min() > 0
    assert steps.max() > 3 * steps.min()
    assert len(np.unique(steps.round(4))) > 10


def test_the_rotated_clip_is_coded_on_its_side_and_shown_upright() -> None:
    picture = first_picture(SAMPLES / "rotated.mp4")
    assert (picture.width, picture.height) == (640, 360)
    assert picture.rotation == -90


def test_the_odd_clip_is_odd_both_ways() -> None:
    picture = first_picture(SAMPLES / "odd_size.webm")
    assert (picture.width, picture.height) == (641, 361)
