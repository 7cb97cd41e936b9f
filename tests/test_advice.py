"""Advice: which frames are looked at, what is measured on them, which rule holds, and what is said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import picture, write_clip
from drawn_scenes import HD, SCENES, person, wall

from birefvideo.advice import advise, look
from birefvideo.advice.measures import Measures, measured, summary
from birefvideo.advice.rules import RULES, in_words, reason_for, rule_for, what_would_change, why_unfit
from birefvideo.advice.surface import lone_object, lost_detail
from birefvideo.errors import InputError, ModelError
from birefvideo.family.costs import Cost
from birefvideo.family.hub import Stored
from birefvideo.family.measured import Measured
from birefvideo.family.variants import EMBEDDED, GUIDE, README, VARIANTS, Variant
from birefvideo.frames import Span, VideoInfo
from birefvideo.matting.devices import Device, find_device
from birefvideo.media.reading import decode
from birefvideo.media.reading.normalize import prepare
from birefvideo.media.reading.probe import probe

GetClip = Callable[[str], Path]

HEAD = Measures(people=1.0, share=0.3, subjects=1, at_bottom=0.9, contrast=40, tones=70, width=1920, height=1080)
"""A plain talking head."""


def pts_of(source: Path, span: Span = Span()) -> list[int]:  # noqa: B008 - frozen
    return [seen.frame.pts for seen in look.look(probe(source), span)]


class TestLook:
    def test_frames_are_spread_over_the_clip_and_the_hardest_come_last(self, tmp_path: Path) -> None:
        def jumps(index: int, width: int, height: int) -> np.ndarray:
            return np.roll(picture(0, width, height), 12 if index > 70 else 0, axis=1)

        info = probe(write_clip(tmp_path / "long.mp4", frames=96, size=(160, 96), pictures=jumps))
        seen = list(look.look(info))
        spread = [one.frame.pts / 48000 for one in seen if one.why == "spread"]
        assert len(spread) == look.SPREAD and spread == sorted(spread)
        assert spread[0] < 0.2 and spread[-1] > 0.8
        assert len(seen) <= look.SPREAD + 3 and {one.why for one in seen[look.SPREAD :]} <= {"motion", "detail"}

    def test_the_same_file_gives_the_same_frames(self, clip: GetClip) -> None:
        assert pts_of(clip("plain")) == pts_of(clip("plain"))

    def test_no_frame_is_given_twice(self, clip: GetClip) -> None:
        found = pts_of(clip("vfr"))
        assert len(found) == len(set(found))

    def test_of_a_large_clip_few_frames_are_decoded_near_each_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write_clip(tmp_path / "long.mp4", frames=240, options={"g": "12", "bf": "0"})
        info = probe(source)
        monkeypatch.setattr(look, "_READ_WHOLE", 100 * info.width * info.height)
        monkeypatch.setattr(look, "_PER_PLACE", 4 * info.width * info.height)
        counted: list[int | None] = []

        def counting(frame: av.VideoFrame, info: VideoInfo) -> av.VideoFrame:
            counted.append(frame.pts)
            return prepare(frame, info)

        monkeypatch.setattr(decode, "prepare", counting)
        found = pts_of(source)
        assert len(found) >= look.SPREAD
        assert max(found) - min(found) > 0.7 * 240 * 500
        assert len(counted) <= 3 * 16 + 1  # one by probing

    def test_a_span_is_kept_to(self, tmp_path: Path) -> None:
        source = write_clip(tmp_path / "long.mp4", frames=48)
        assert all(6000 <= pts < 12000 for pts in pts_of(source, Span(6000, 12000)))

    @pytest.mark.parametrize("frames", [1, 2, 3])
    def test_of_a_few_frames_all_are_seen(self, tmp_path: Path, frames: int) -> None:
        assert len(pts_of(write_clip(tmp_path / "short.mp4", frames=frames))) == frames

    def test_a_photo_is_one_frame_without_motion(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "photo.png"), picture(0))
        (seen,) = look.look(probe(tmp_path / "photo.png"))
        assert seen.flow is None

    def test_numbered_pictures_are_seen(self, tmp_path: Path) -> None:
        for number in range(5):
            cv2.imwrite(str(tmp_path / f"{number:04d}.png"), picture(number))
        assert len(pts_of(tmp_path)) == 5

    def test_a_cut_is_no_motion(self, tmp_path: Path) -> None:
        def cuts(index: int, width: int, height: int) -> np.ndarray:
            return picture(0, width, height) if index % 2 else 255 - picture(0, width, height)

        info = probe(write_clip(tmp_path / "cuts.mp4", frames=12, pictures=cuts))
        assert all(seen.flow is None for seen in look.look(info))

    def test_a_step_over_a_frame_that_a_converter_dropped_is_no_fast_motion(self, tmp_path: Path) -> None:
        def moved(index: int, width: int, height: int) -> np.ndarray:
            return np.roll(picture(0, width, height), index + 8 * (index // 5), axis=1)

        info = probe(write_clip(tmp_path / "cadence.mp4", size=(320, 180), frames=24, pictures=moved))
        flows = [seen.flow for seen in look.look(info) if seen.flow is not None]
        assert len(flows) >= look.SPREAD
        assert max(float(np.percentile(np.abs(flow), 95)) for flow in flows) < 2 / 320

    def test_a_span_without_frames_is_told(self, clip: GetClip) -> None:
        with pytest.raises(InputError, match="no frame that can be decoded there"):
            pts_of(clip("plain"), Span(10**9, 2 * 10**9))


class TestMeasures:
    def test_framing_is_that_of_the_figure(self) -> None:
        found = measured(wall(HD), person(HD, 0.5, 0.8, 0.92))
        assert found.subjects == 1 and found.at_bottom == 0
        assert found.head_room == pytest.approx(0.12, abs=0.02)
        assert found.subject_size == pytest.approx(0.8 * HD[1], rel=0.05)
        assert measured(wall(HD), person(HD, 0.5, 0.9)).at_bottom > 0.5

    def test_small_specks_are_nobody(self) -> None:
        alpha = np.zeros((HD[1], HD[0]), np.float32)
        alpha[100:120, 100:120] = 1
        assert measured(wall(HD), alpha).people == 0

    def test_soft_edges_are_measured_by_their_width(self) -> None:
        sharp_one = person(HD, 0.5, 0.9)
        widths = [measured(wall(HD), cv2.GaussianBlur(sharp_one, (0, 0), s)).soft_width for s in (2.0, 4.0, 8.0)]
        assert widths[0] == pytest.approx(2 * 1.645 * 2, rel=0.3)  # from 5 to 95 % of a Gaussian step
        assert widths == sorted(widths)
        assert widths[2] / widths[1] == pytest.approx(2, rel=0.2)

    def test_detail_counts_what_1024_pixels_lose_and_not_pixels(self) -> None:
        sharp_one, blown = (SCENES[name][1]().rgb for name in ("a talk, large and sharp", "a talk, enlarged"))
        assert lost_detail(sharp_one) > 0.45
        assert lost_detail(blown) < 0.35
        assert lost_detail(sharp_one[:576, :1024]) == 0

    def test_noise_is_no_detail(self) -> None:
        noise = np.random.default_rng(0).normal(0, 8, (1440, 2560, 3))
        blown = SCENES["a talk, enlarged"][1]().rgb
        assert lost_detail(np.clip(128 + noise, 0, 255).astype(np.uint8)) < 0.05
        assert lost_detail(np.clip(blown + noise, 0, 255).astype(np.uint8)) < 0.35

    def test_an_object_stands_out_from_a_plain_border_only(self) -> None:
        lab = np.zeros((360, 640, 3), np.float32)
        lab[..., 0] = 80
        lab[120:240, 240:400] = (40, 30, 0)
        share, contrast = lone_object(lab)
        assert share == pytest.approx(1 / 12, rel=0.1)
        assert contrast == pytest.approx(50, rel=0.1)
        lab[:, :320, 0] = 30
        assert lone_object(lab) == (0.0, 0.0)

    def test_what_the_pictures_own_opacity_hides_is_no_surroundings(self) -> None:
        alpha = person(HD, 0.5, 0.9)
        flat = np.full((HD[1], HD[0], 3), 90, np.uint8)
        assert measured(flat, alpha).blended == 1
        assert measured(flat, alpha, opacity=alpha).blended == 0

    def test_a_clip_is_the_summary_of_most_of_its_frames(self) -> None:
        found = summary([HEAD, replace(HEAD, share=0.5, motion=0.1), replace(HEAD, people=0.0)])
        assert (found.frames, found.people) == (3, pytest.approx(2 / 3))
        assert found.share == pytest.approx(0.4) and found.motion == pytest.approx(0.05)
        nobody = replace(HEAD, people=0.0, subjects=0, tones=10.0)
        assert summary([HEAD, nobody, nobody]).tones == 10

    def test_every_measure_is_explained(self) -> None:
        source = Path(measured.__code__.co_filename).read_text(encoding="utf-8")
        for field in fields(Measures):
            assert f"    {field.name}: " in source and '"""' in source.split(f"    {field.name}: ")[1][:60]


class TestRules:
    @pytest.mark.parametrize("name", SCENES)
    def test_a_scene_of_each_kind_gets_its_rule(self, name: str) -> None:
        wanted, make = SCENES[name]
        assert rule_for(make().measures()).name == wanted

    def test_every_rule_has_a_scene(self) -> None:
        assert {rule.name for rule in RULES} == {wanted for wanted, _ in SCENES.values()}

    def test_rules_name_variants_of_the_family(self) -> None:
        for rule in RULES:
            assert {rule.model, *rule.next_best} <= VARIANTS.keys() - {EMBEDDED}
            assert rule.model not in rule.next_best

    def test_reasons_say_what_was_measured(self) -> None:
        soft = replace(HEAD, soft_share=0.614)
        assert "soft edges along 61 % of the outline" in reason_for(rule_for(soft), soft)
        assert all("{" not in reason_for(rule, soft) for rule in RULES)

    def test_thresholds_in_the_guides_text_are_those_of_the_conditions(self) -> None:
        for rule in RULES:
            for condition in rule.conditions:
                if condition.measure in ("soft_share", "blended", "motion", "clutter", "tones"):
                    assert in_words(condition.measure, condition.threshold) in rule.when

    def test_what_would_change_names_the_nearest_first(self) -> None:
        near = replace(HEAD, soft_share=0.3, motion=0.002)
        lines = what_would_change(rule_for(near), near)
        assert lines[0] == "soft edges: 35 % or more (here 30 %) → matting"
        soft = replace(HEAD, soft_share=0.4)
        assert "soft edges: less than 35 % (here 40 %) → portrait" in what_would_change(rule_for(soft), soft)

    def test_the_embedded_model_is_called_unfit_where_it_is(self) -> None:
        assert not why_unfit(HEAD)
        assert "nobody" in why_unfit(replace(HEAD, people=0.0))
        assert "groups" in why_unfit(replace(HEAD, subjects=2))
        assert "whole bodies" in why_unfit(replace(HEAD, at_bottom=0.0))
        assert "background's colour" in why_unfit(replace(HEAD, blended=0.6))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which variants are on this machine, beside the embedded one, and what they cost."""

    def arrange(*names: str, **costs: Cost) -> None:
        monkeypatch.setattr(advise, "stored", lambda row: Stored(Path("x")) if row.name in (EMBEDDED, *names) else None)
        monkeypatch.setattr(advise, "cost_of", lambda row, device: costs.get(row.name, Cost()))

    return arrange


def taking(seconds: float) -> Measured:
    """A measurement of so many seconds a frame."""
    return Measured(seconds, 0, (1024, 1024), "float32", "a CPU", 2, own_weights=True)


class _Gpu(Device):
    """A CPU that counts as able to run large models."""

    @property
    def runs_large_models(self) -> bool:
        return True


CPU = find_device("cpu")
GPU = _Gpu(CPU.torch_device, CPU.kind)


class TestAdvice:
    @pytest.fixture
    def info(self, clip: GetClip) -> VideoInfo:
        return probe(clip("plain"))

    def advice(self, info: VideoInfo, measures: Measures, device: Device = GPU, **more: bool) -> advise.Advice:
        return advise.advice_from(measures, info, Span(), device, **more)

    def test_the_best_is_chosen_where_it_is_here(self, info: VideoInfo, here: Callable[..., None]) -> None:
        here("portrait", "matting")
        found = self.advice(info, HEAD)
        assert (found.choice, found.best, found.why_not_best, found.get) == ("portrait", "portrait", "", "")
        assert self.advice(info, replace(HEAD, soft_share=0.6)).choice == "matting"

    def test_the_next_best_is_named_where_it_is_not(self, info: VideoInfo, here: Callable[..., None]) -> None:
        here("general")
        found = self.advice(info, HEAD)
        assert (found.choice, found.best) == ("general", "portrait")
        assert found.why_not_best == "its weights are not on this machine"
        assert found.get == "birefvideo models --download portrait"

    def test_the_embedded_one_comes_last(self, info: VideoInfo, here: Callable[..., None]) -> None:
        here()
        assert self.advice(info, HEAD).choice == EMBEDDED

    def test_a_download_is_told_with_size_and_time(self, info: VideoInfo, here: Callable[..., None]) -> None:
        here(portrait=Cost(download=(440_000_000, 880_000_000)))
        assert self.advice(info, HEAD).get_note == "0.4 to 0.9 GB, 1 to 2 min at 50 Mbit/s"

    def test_commercial_use_leaves_out_weights_that_forbid_it(self, info: VideoInfo, here: Callable[..., None]) -> None:
        here("rmbg-2.0")
        nobody = replace(HEAD, people=0.0, subjects=0)
        assert self.advice(info, nobody).choice == "rmbg-2.0"
        assert self.advice(info, nobody, commercial=True).choice == EMBEDDED
        assert advise.candidates(info, Span(), GPU, commercial=True) == [EMBEDDED]

    def test_a_cpu_takes_large_models_only_where_their_speed_is_known_and_enough(
        self, info: VideoInfo, here: Callable[..., None]
    ) -> None:
        here("portrait")
        found = self.advice(info, HEAD, CPU)
        assert found.choice == EMBEDDED and "was not measured" in found.why_not_best
        here("portrait", portrait=Cost(measured=taking(10.0)))
        found = self.advice(info, HEAD, CPU)
        assert (found.choice, found.seconds) == ("portrait", 10.0 * info.frame_count)
        here("portrait", portrait=Cost(measured=taking(1000.0)))
        found = self.advice(info, HEAD, CPU)
        assert found.choice == EMBEDDED and "would take 3.3 h" in found.why_not_best

    def test_too_little_memory_leaves_a_variant_out(self, info: VideoInfo, here: Callable[..., None]) -> None:
        here("portrait", portrait=Cost(memory=10**15, measured=taking(0.1)))
        assert "GB of memory" in self.advice(info, HEAD, CPU).why_not_best

    def test_a_damaged_lock_of_another_variant_is_no_error(
        self, info: VideoInfo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stored(row: Variant) -> Stored | None:
            if row.name == "hr":
                raise ModelError("hr.json is damaged")
            return Stored(Path("x")) if row.name == EMBEDDED else None

        monkeypatch.setattr(advise, "stored", stored)
        assert advise.candidates(info, Span(), GPU) == [EMBEDDED]

    def test_a_trimmed_part_counts_its_own_frames(self, info: VideoInfo) -> None:
        half = Span(None, info.start + round(info.duration / info.time_base / 2))
        assert advise.frames_of(info, half) == pytest.approx(info.frame_count / 2, abs=1)
        assert Fraction(advise.frames_of(info, Span())) == info.frame_count


class TestGuide:
    """docs/choosing.md says what the code does."""

    GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "choosing.md").read_text(encoding="utf-8")

    def table(self, heading: str) -> list[list[str]]:
        lines = self.GUIDE.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")][2:]

    def test_its_table_is_the_rules(self) -> None:
        rules = [[rule.when, f"`{rule.model}`", ", ".join(f"`{name}`" for name in rule.next_best)] for rule in RULES]
        assert self.table("The table") == rules

    def test_its_variants_and_figures_are_those_of_the_family(self) -> None:
        letters = {README: "R", GUIDE: "G"}
        rows = [
            [
                f"`{row.name}`",
                row.best_for,
                row.avoid,
                "; ".join(f"{figure.text} [{letters[figure.source]}]" for figure in row.figures),
            ]
            for row in VARIANTS.values()
        ]
        assert self.table("The variants") == rows

    def test_the_figures_in_its_text_are_published(self) -> None:
        published = " ".join(figure.text for row in VARIANTS.values() for figure in row.figures)
        text = self.GUIDE.split("## Resolution")[1].split("## ")[0]
        found = set(re.findall(r"\b0\.\d{3}\b", text))
        assert found and all(value in published for value in found)

    def test_its_page_of_questions_leads_to_every_variant_of_the_rules(self) -> None:
        page = self.GUIDE.split("## On one page")[1].split("## ")[0]
        assert all(f"→ {rule.model}" in page for rule in RULES)
