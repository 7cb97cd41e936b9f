"""Jobs on several devices: who does which segment, what becomes of those that die, and that no byte depends on it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

import birefvideo
from birefvideo.errors import CancelledError, DeviceError, InputError, OptionError, OutputError
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs import blank, plan
from birefvideo.jobs.crew import Crew
from birefvideo.jobs.deal import Deal
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.engines import Made, Work
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.hands import Answer, Done, Failed, Frames, Lost, Ready, answer_to_begin
from birefvideo.jobs.loaded_model import LoadedModel, loaded_model
from birefvideo.jobs.manifest import MANIFEST
from birefvideo.jobs.options import Options
from birefvideo.jobs.pace import shared_frames
from birefvideo.jobs.plan import Segment, Target
from birefvideo.jobs.run import planned
from birefvideo.jobs.worker import Worker
from birefvideo.jobs.write_parts import WriteParts
from birefvideo.matting.predict import PredictReport
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import SegmentReport

GetClip = Callable[[str], Path]
SEGMENTS = [Segment(number, Span()) for number in range(6)]
WORK: Any = None  # these workers do not look at it


class Player:
    """A worker that answers what it was told to, each time it gets a segment; then it does its segments well."""

    def __init__(self, name: str, *script: Sequence[Answer], slow: int = 0) -> None:
        self.name, self.script, self.slow = name, deque(script), slow
        self.did: list[int] = []
        self.has_loaded = False
        self.answers: deque[Answer | None] = deque()

    def load(self) -> None:
        self.has_loaded = True

    def ask(self, method: str, *arguments: Any) -> Any:
        raise NotImplementedError

    def begin(self, work: Work, number: int) -> None:
        self.answers.append(Ready(number))

    def do(self, number: int) -> None:
        self.did.append(number)
        made = Made(SegmentReport(pts=[number]), "only")
        well = (Frames(2), *[None] * self.slow, Done(made, PredictReport(self.name, "float32")))
        self.answers.extend(self.script.popleft() if self.script else well)


class Players:
    """Hears players in turn."""

    count, early, beside, place = 2, 1, 2, "here"

    def start(self, number: int) -> Player:
        raise NotImplementedError

    def wait(self, hands: Sequence[Player]) -> Iterator[tuple[Player, Answer]]:
        assert any(hand.answers for hand in hands), "waits for ever"
        for hand in list(hands):
            answer = hand.answers.popleft() if hand.answers else None
            if answer is not None:
                yield hand, answer

    def is_alive(self, hand: Player) -> bool:
        return True

    def end(self, hands: Sequence[Player]) -> None:
        pass

    def close(self) -> None:
        pass


class Counts:
    """Stands for a Meter."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}

    def frame(self, segment: int) -> None:
        self.of[segment] = self.of.get(segment, 0) + 1

    def lost(self, segment: int) -> None:
        self.of.pop(segment, None)


def dealt(*players: Player) -> SimpleNamespace:
    meter: Any = Counts()
    told: list[str] = []
    deal = Deal(Players(), list(players), meter, told.append)
    reports = {segment.number: made.report for segment, made in deal.done(WORK, SEGMENTS)}
    return SimpleNamespace(reports=reports, told=told, frames=meter.of)


def test_workers_are_started_early_and_load_their_networks_once_memory_is_known_to_suffice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hands = [Dying("a"), Dying("b"), Dying("c")]
    monkeypatch.setattr(Players, "count", 3)
    monkeypatch.setattr(Players, "early", 2)
    crew = crew_of(monkeypatch, *hands)
    assert (len(crew._hands), [hand.has_loaded for hand in hands]) == (2, [True, False, False])
    crew.check_fits(cast(VideoInfo, None))
    assert (len(crew._hands), [hand.has_loaded for hand in hands]) == (3, [True, True, True])


@pytest.mark.parametrize(
    ("device", "count"),
    [("", 0), ("cpu", 0), ("cuda:1", 0), ("cpu:1", 0), ("cpu:x", 0), ("cpu:3", 3), ("cuda:0,cuda:1", 2)],
)
def test_processes_begin_for_a_device_that_stands_for_several(
    device: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blank, "Blanks", lambda count: count)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(blank, "free_memory", lambda: 9 << 30)
    assert blank.begun_for(device) == count
    monkeypatch.setattr(blank, "free_memory", lambda: 2 << 30)
    assert blank.begun_for("cpu:100") == 2


def test_a_process_that_waits_is_taken_unless_it_is_gone_and_nobody_is_left() -> None:
    blanks = blank.Blanks(2)
    gone, waits = list(blanks._waiting)
    gone.end()
    assert blanks.taken() is waits
    waits.end()
    blanks = blank.Blanks(1)
    blanks.close()
    assert multiprocessing.active_children() == []


def test_whoever_is_free_takes_the_next_segment() -> None:
    quick, slow = Player("a"), Player("b", slow=12)
    found = dealt(quick, slow)
    assert sorted(found.reports) == [0, 1, 2, 3, 4, 5]
    assert len(slow.did) == 1
    assert found.frames == dict.fromkeys(range(6), 2)


def test_the_segment_of_a_worker_that_dies_is_the_next_of_another() -> None:
    dies = Player("a", (Frames(1), Lost("was ended by SIGKILL")))
    other = Player("b")
    found = dealt(dies, other)
    assert other.did == [1, 0, 2, 3, 4, 5]
    assert sorted(found.reports) == [0, 1, 2, 3, 4, 5]
    assert found.frames == dict.fromkeys(range(6), 2), "the frames that are lost do not count"
    assert found.told == ["the worker on a was ended by SIGKILL: others do its segment"]


def test_where_all_workers_die_the_job_fails_in_one_line() -> None:
    with pytest.raises(DeviceError, match=r"no worker is left: the one on b ended with exit code 1; the same command"):
        dealt(Player("a", [Lost("was ended by SIGKILL")]), Player("b", [Lost("ended with exit code 1")]))


def test_an_error_of_a_segment_is_the_error_of_the_job() -> None:
    other = Player("b", slow=12)
    with pytest.raises(InputError, match="is damaged"):
        dealt(Player("a", [Failed(InputError("clip.mp4 is damaged"))]), other)
    assert other.did == [1], "nobody tries it again"


def test_an_answer_to_the_last_work_is_none_to_this_one() -> None:
    late = Player("a")
    late.answers.append(Ready(-1))  # it was loading its network while others did all of it
    assert sorted(dealt(late, Player("b")).reports) == [0, 1, 2, 3, 4, 5]


def test_a_worker_that_comes_too_late_to_the_last_work_fails_not_this_one() -> None:
    late = Player("a")
    late.answers.append(answer_to_begin(lambda: raised(OutputError("cannot see job.json")), -1))
    found = dealt(late, Player("b"))
    assert sorted(found.reports) == [0, 1, 2, 3, 4, 5]
    assert late.did, "it does its share of this one"


def test_a_question_is_asked_again_where_another_job_ended_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Player):
        def ask(self, method: str, *arguments: Any) -> Any:
            if method == "facts":
                return SimpleNamespace(identity=None, size=None, kind="cpu")
            if self.name == "ended":
                crew.end()
            if self.name != "alive":
                raise DeviceError(f"{self.name} is no more")
            return {"batch": 1}

    makers = Players()
    hands = [Asked("ended"), Asked("alive"), Asked("died")]
    monkeypatch.setattr(makers, "start", lambda number: hands.pop(0))
    crew: Crew[Player] = Crew(Options(), makers)
    info = cast(VideoInfo, None)
    assert crew.settings(info) == {"batch": 1}
    crew.end()
    with pytest.raises(DeviceError, match="died is no more"):
        crew.settings(info)


class Dying(Player):
    """A worker that dies of its first question of a kind, or none."""

    is_alive = True

    def __init__(self, name: str, dies_of: str = "") -> None:
        super().__init__(name)
        self.dies_of = dies_of

    def ask(self, method: str, *arguments: Any) -> Any:
        if method == self.dies_of:
            self.is_alive = False
            raise DeviceError(f"the worker on {self.name} was ended by SIGKILL")
        return SimpleNamespace(identity=None, size=None, kind="cpu") if method == "facts" else {"batch": 1}


def crew_of(monkeypatch: pytest.MonkeyPatch, *hands: Dying) -> Crew[Player]:
    makers, waiting = Players(), list(hands)
    monkeypatch.setattr(makers, "start", lambda number: waiting.pop(0))
    monkeypatch.setattr(makers, "is_alive", lambda hand: hand.is_alive)
    return Crew(Options(), makers)


@pytest.mark.parametrize("method", ["facts", "settings"])
def test_another_takes_over_where_the_first_worker_dies_before_the_work(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = crew_of(monkeypatch, Dying("a", method), Dying("b"), Dying("c"))
    assert crew.settings(cast(VideoInfo, None)) == {"batch": 1}
    told: list[str] = []
    plan: Any = SimpleNamespace(settings={"dtype": "float32", "batch": 1})
    meter: Any = Counts()
    with crew.at_work(plan) as engine:
        assert len(list(engine.run(WORK, SEGMENTS, meter, told.append))) == 6
        assert not list(engine.run(WORK, [], meter, told.append))
    assert told == engine.notes == ["the worker on a was ended by SIGKILL; another takes its place"]


def test_where_every_worker_dies_before_the_work_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = crew_of(monkeypatch, Dying("a", "settings"), Dying("b", "settings"), Dying("c"))
    with pytest.raises(DeviceError, match="the worker on b was ended by SIGKILL, and no worker is left: try again"):
        crew.settings(cast(VideoInfo, None))


def raised(error: Exception) -> None:
    raise error


def test_a_worker_takes_the_threads_that_it_was_given(copy: GetClip, network: Path, tmp_path: Path) -> None:
    options = Options(model=str(network), device="cpu:2")
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        made, _ = planned(
            copy("plain"), [Target(get_format("matte"), tmp_path / "m.mp4")], options, Delivery(), loaded_model
        )
        assert made.settings["threads"] == 2
        made.folder.mkdir()
        (made.folder / MANIFEST).touch()
        torch.set_num_threads(2)
        Worker(options.changed(device="cpu"), "cpu, number 1").begin(WriteParts(made, None))
    finally:
        torch.set_num_threads(threads)


def test_a_short_clip_is_shared_out_and_a_long_one_is_not_cut_finer() -> None:
    assert shared_frames(300, 240, 1) == 300
    assert shared_frames(300, 240, 4) == 60
    assert shared_frames(250, 625, 2) == 157, "four segments: of three, one worker would have two"
    assert shared_frames(48, 2000, 2) == 48
    assert shared_frames(300, 20, 4) == 12, "a piece is worth its begin"
    assert shared_frames(96, 0, 4) == 96, "how long it is nobody says"


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda clip, net: birefvideo.Session(net, device="cpu:2"), "several share jobs that make files: give 'cpu'"),
        (lambda clip, net: birefvideo.mattes(clip, model=net, device="cpu:2"), "give 'cpu', or call birefvideo.matte"),
        (lambda clip, net: birefvideo.load_model(net, "cpu:3"), "device is 'cpu:3'"),
        (lambda clip, net: birefvideo.matte(clip, model=birefvideo.load_model(net), device="cpu:2"), "save_pretrained"),
        (
            lambda clip, net: birefvideo.matte(clip, model=birefvideo.Session(net), device="cpu:2"),
            "the session was made",
        ),
        (
            lambda clip, net: birefvideo.Session(net).matte(clip, engine="ray"),
            "a Session is in this process, and engine='ray' asks for others: call birefvideo.matte with the name",
        ),
    ],
)
def test_what_runs_in_one_process_refuses_several_devices(
    copy: GetClip, network: Path, call: Callable[[Path, str], object], line: str
) -> None:
    with pytest.raises(OptionError, match=line):
        call(copy("plain"), str(network))


def test_memory_is_asked_for_all_processes(clip: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(clip("plain"))
    monkeypatch.setattr("birefvideo.memory.free_memory", lambda: 2 << 30)
    LoadedModel(Options(model=str(network), device="cpu:2")).check_fits(info)
    with pytest.raises(OptionError, match=r"100 processes at 64×32 take about 44.1 GB .* choose fewer with device"):
        LoadedModel(Options(model=str(network), device="cpu:100")).check_fits(info)


def test_a_worker_that_was_given_up_and_lives_spoils_nothing_of_its_successor(
    copy: GetClip, network: Path, tmp_path: Path
) -> None:
    options = Options(model=str(network), device="cpu")
    targets = [Target(get_format(name), tmp_path / f"clip{get_format(name).suffix}") for name in ("png", "matte")]
    job, model = planned(copy("plain"), targets, options, Delivery(), loaded_model)
    segment, seen, found = job.segments[0], list[int](), list[Made]()
    given_up, successor = (WriteParts(job, None).begun(model.predictor(1)) for _ in range(2))

    def overtake() -> None:
        seen.append(1)
        if len(seen) == 5:
            found.append(successor(segment, lambda: None))
            folder.finish(segment, found[0].report, found[0].attempt)

    with JobFolder(job, keeps=True) as folder:
        late = given_up(segment, overtake)
        assert late.attempt != found[0].attempt
        assert late.report == found[0].report == folder.finished(segment)
        parts = [folder.part(segment, target) for target in targets]
        theirs = [folder.part(segment, target, late.attempt) for target in targets]
        assert len(list(parts[0].glob("*.png"))) == 12
        assert parts_of(theirs) == parts_of(parts)
    assert not any(path.exists() for path in theirs) and all(path.exists() for path in parts)


def parts_of(paths: Sequence[Path]) -> list[bytes]:
    return [b"".join(p.read_bytes() for p in sorted(path.glob("*.png"))) or path.read_bytes() for path in paths]


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one_though_they_are_stopped_and_one_is_killed(
    clip: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 24))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    source = Path(shutil.copy(clip("short_gops"), tmp_path / "take.mp4"))
    wishes: dict[str, Any] = {"model": str(network), "to": ["prores", "green"], "people": 1}
    try:
        whole = birefvideo.matte(source, tmp_path / "whole", device="cpu", **wishes)
        seen: list[birefvideo.FrameProgress] = []

        def stop(at: birefvideo.FrameProgress) -> bool:
            seen.append(at)
            return len(seen) < 15

        with pytest.raises(CancelledError):
            birefvideo.matte(source, tmp_path, device="cpu:2", progress=stop, **wishes)
        deadline = time.monotonic() + 5
        while multiprocessing.active_children() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert multiprocessing.active_children() == []
        assert len({at.segment for at in seen}) > 2

        killed: list[int] = []

        def kill(at: birefvideo.FrameProgress) -> None:
            if at.frame >= 20 and not killed:
                killed.append(multiprocessing.active_children()[0].pid or 0)
                os.kill(killed[0], getattr(signal, "SIGKILL", signal.SIGTERM))

        made = birefvideo.matte(source, tmp_path, device="cpu:2", progress=kill, **wishes)
    finally:
        torch.set_num_threads(threads)
    assert multiprocessing.active_children() == []
    assert parts_of(made.outputs) == parts_of(whole.outputs)
    assert made.reused > 0, "what was finished is used"
    assert made.device == "cpu:2"
    assert any("the worker on cpu, number" in line and "was ended by SIGKILL" in line for line in made.warnings)
