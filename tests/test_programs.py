"""What programs have of jobs: events, progress, jobs in threads, plans, and the schema of receipts."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from json_schema import faults
from outputs import ANIMATIONS, SEQUENCES, WRITABLE
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.comparison.outlook import outlook
from birefvideo.errors import InputError, OutputError
from birefvideo.jobs import disk, plan
from birefvideo.jobs.arguments import JobArguments, MatteArguments
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.loaded_model import LastModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets

GetClip = Callable[[str], Path]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames at 24 a second."""
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))


@pytest.fixture(scope="module")
def session(network: Path) -> birefvideo.Session:
    return birefvideo.Session(network)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments)])


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class TestEvents:
    def test_the_passes_of_a_directed_job_are_told(self, copy: GetClip, network: Path) -> None:
        told = events_of(invoke(copy("plain"), "--model", network, "--to", "matte", "--people", 1, "--json").stdout)
        kinds = [one["event"] for one in told if one["event"] != "warning"]
        frames = [[one["done"] for one in told if one["event"] == "frame"][k] for k in (0, -1)]
        assert kinds[:2] == ["planned", "pass"] and kinds.count("pass") == 2 and kinds[-2:] == ["finishing", "finished"]
        assert [one["number"] for one in told if one["event"] == "pass"] == [1, 2]
        second = kinds.index("pass", 2)
        assert kinds[second - 1] == kinds[second + 1] == "frame" and frames == [1, 12]

    def test_stdout_has_one_object_a_line_from_the_plan_to_the_outputs(self, copy: GetClip, network: Path) -> None:
        source = copy("plain")
        result = invoke(source, "--model", network, "--to", "matte", "--json", "--premultiplied")
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
        (failed,) = events_of(result.stdout)
        assert (failed["event"], failed["error"], failed["exit_code"]) == ("failed", "OptionError", 2)
        result = invoke(source, "--model", network, "--to", "matte", "--json", "--background", "blue")
        assert (result.exit_code, result.stderr) == (0, "")
        events = events_of(result.stdout)
        kinds = list(dict.fromkeys(event["event"] for event in events))
        assert kinds == ["warning", "planned", "frame", "finishing", "finished"]
        assert events[0]["input"] is None and "--background" in events[0]["message"]
        assert {event["input"] for event in events[1:]} == {str(source)}
        frames = [event for event in events if event["event"] == "frame"]
        assert frames[0]["done"] == 1 and (frames[-1]["done"], frames[-1]["total"], frames[-1]["eta"]) == (12, 12, 0)
        planned, finished = events[1], events[-1]
        output = source.with_name("plain_matte.mp4")
        assert planned["outputs"] == [{"path": str(output), "format": "matte"}] and planned["segments"] == 1
        assert finished["outputs"] == [{"path": str(output), "bytes": output.stat().st_size}]
        assert finished["receipts"] == [str(output.with_suffix(".json"))] and finished["computed"] == 12

    def test_stderr_has_nothing_but_objects(self, copy: GetClip, network: Path) -> None:
        source = copy("one_frame")
        bad = source.with_name("bad.mp4")
        bad.write_bytes(b"no video")
        result = invoke(bad, source, "--model", network, "--to", "matte", "--progress", "json")
        assert result.exit_code == 1
        events = events_of(result.stderr)
        assert [(e["event"], e["input"]) for e in events if e["event"] in ("failed", "finished")] == [
            ("failed", str(bad)),
            ("finished", str(source)),
        ]
        assert events[-1] == {"event": "message", "input": None, "message": "1 of 2 inputs failed"}
        assert "wrote" in result.stdout
        nothing = invoke(source.parent / "none.mp4", "--progress", "json")
        assert [event["error"] for event in events_of(nothing.stderr)] == ["InputError"]

    def test_events_of_frames_come_ten_times_a_second_and_the_last_always(
        self, copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("birefvideo.cli.events._BETWEEN_FRAMES", 1e6)
        result = invoke(copy("plain"), "--model", network, "--to", "matte", "--json")
        assert [e["done"] for e in events_of(result.stdout) if e["event"] == "frame"] == [1, 12]

    @pytest.mark.parametrize("inputs", [("bad.mp4",), ("none.mp4",)])
    def test_an_error_that_is_debugged_is_told_too(
        self, inputs: tuple[str, ...], tmp_path: Path, network: Path
    ) -> None:
        (tmp_path / "bad.mp4").write_bytes(b"no video")
        result = invoke(*[tmp_path / name for name in inputs], "--model", network, "--json", "--debug")
        (failed,) = events_of(result.stdout)
        assert (failed["event"], failed["error"], failed["exit_code"]) == ("failed", "InputError", 1)
        assert isinstance(result.exception, InputError) and failed["message"] == str(result.exception)

    def test_a_stopped_input_says_so(
        self, copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, short_segments: None
    ) -> None:
        source = copy("plain")

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("birefvideo.jobs.run.join", stop)
            result = invoke(source, "--model", network, "--to", "matte", "--json")
        last = events_of(result.stdout)[-1]
        assert (result.exit_code, last["event"], last["error"], last["exit_code"]) == (130, "failed", "Stopped", 130)
        events = events_of(invoke(source, "--model", network, "--to", "matte", "--json").stdout)
        assert [e["done"] for e in events if e["event"] == "frame"] == [12] and events[-1]["computed"] == 0

    def test_every_input_has_one_last_event_also_where_several_run_or_one_is_not_there(
        self, copy: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = copy("plain")
        other, gone = Path(shutil.copy(one, tmp_path / "other.mp4")), tmp_path / "gone.mp4"
        (tmp_path / "list").write_text(f"{one}\n{gone}\n{other}\n")
        both = threading.Barrier(2)

        def stop(*_: object) -> None:
            both.wait(30)
            raise KeyboardInterrupt

        monkeypatch.setattr("birefvideo.jobs.run.join", stop)
        result = invoke("--files-from", tmp_path / "list", "--jobs", 2, "--json", "--model", network, "--to", "matte")
        last = {e["input"]: e["error"] for e in events_of(result.stdout) if e["event"] in ("failed", "finished")}
        assert last == {str(gone): "InputError", str(one): "Stopped", str(other): "Stopped"}
        assert result.exit_code == 130 and result.stderr.count("stopped;") == 1

    def test_a_reader_that_is_gone_stops_no_job(self, copy: GetClip, network: Path) -> None:
        source = copy("plain")
        read, write = os.pipe()
        os.close(read)
        command = [
            sys.executable,
            "-m",
            "birefvideo",
            "matte",
            str(source),
            "--model",
            str(network),
            "--to",
            "matte",
            "--json",
        ]
        with os.fdopen(write, "wb") as pipe:
            done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, timeout=600, check=False)
        assert (done.returncode, done.stderr) == (0, b"") and source.with_name("plain_matte.mp4").exists()

    def test_what_does_not_go_together_is_refused(self, copy: GetClip) -> None:
        source = copy("one_frame")
        for more in (["--progress", "xml"], ["--json", "--preview"], ["--plan", "--preview"]):
            result = invoke(source, *more)
            assert (result.exit_code, result.stderr.count("\n")) == (2, 1), more


class TestProgress:
    def test_a_callback_is_told_how_far_the_job_is(
        self, copy: GetClip, session: birefvideo.Session, short_segments: None
    ) -> None:
        seen: list[birefvideo.FrameProgress] = []
        session.matte(copy("plain"), to="matte", progress=seen.append)
        assert [one.frame for one in seen] == list(range(1, 13))
        assert [one.segment for one in seen] == [1] * 4 + [2] * 4 + [3] * 4
        assert {(one.total, one.segments) for one in seen} == {(12, 3)}
        assert seen[0].fps is None and seen[0].eta is None and seen[-1].eta == 0 and (seen[-1].fps or 0) > 0

    def test_false_cancels_and_the_same_call_goes_on(
        self, copy: GetClip, session: birefvideo.Session, short_segments: None
    ) -> None:
        source = copy("plain")
        with pytest.raises(birefvideo.CancelledError, match=r"plain\.mp4 was cancelled after 6 frames"):
            session.matte(source, to="matte", progress=lambda one: one.frame < 6)
        assert not source.with_name("plain_matte.mp4").exists()
        seen: list[int] = []
        result = session.matte(source, to="matte", progress=lambda one: seen.append(one.frame))
        assert seen == list(range(5, 13)) and (result.frames, result.computed) == (12, 8)

    def test_functions_that_need_no_argument_are_given_none(self, copy: GetClip, session: birefvideo.Session) -> None:
        source, counts = copy("one_frame"), []

        def step(count: int = 1) -> None:
            counts.append(count)

        session.matte(source, to="matte", progress=step)
        session.matte(source, to="matte", overwrite=True, progress=lambda: counts.append(2))
        assert counts == [1, 2]
        with pytest.raises(birefvideo.OptionError, match="a function of one argument"):
            session.matte(source, progress=lambda one, other: None)  # type: ignore[arg-type]


class TestJob:
    def test_it_takes_what_matte_takes(self) -> None:
        parameters = inspect.signature(birefvideo.matte).parameters.values()
        own = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
        assert own == set(MatteArguments.__annotations__) - set(JobArguments.__annotations__)

    def test_it_runs_in_a_thread_and_gives_its_result(self, copy: GetClip, session: birefvideo.Session) -> None:
        job = birefvideo.Job(copy("plain"), to="matte", model=session)
        assert (job.done, job.progress) == (False, None)
        assert job.start() is job and job.result(60).frames == 12
        assert job.done and job.progress is not None and job.progress.frame == 12
        assert not job.cancel() and job.result().frames == 12, "what is over cannot be cancelled"

    def test_cancel_ends_it_and_another_goes_on(
        self, copy: GetClip, session: birefvideo.Session, short_segments: None
    ) -> None:
        source, reached, go_on = copy("plain"), threading.Event(), threading.Event()

        def wait(progress: birefvideo.FrameProgress) -> None:
            if progress.frame == 6:
                reached.set()
                go_on.wait(60)

        job = birefvideo.Job(source, to="matte", model=session, progress=wait).start()
        assert reached.wait(60)
        with pytest.raises(TimeoutError):
            job.result(0.01)
        assert job.cancel()
        go_on.set()
        with pytest.raises(birefvideo.CancelledError):
            job.result(60)
        assert birefvideo.Job(source, to="matte", model=session).result(60).computed == 8

    def test_errors_come_with_the_result(self, session: birefvideo.Session, tmp_path: Path) -> None:
        with pytest.raises(birefvideo.InputError, match=r"none\.mp4"):
            birefvideo.Job(tmp_path / "none.mp4", model=session).result()

    def test_a_block_that_raises_cancels(self, copy: GetClip, session: birefvideo.Session) -> None:
        go_on = threading.Event()
        with (
            pytest.raises(ZeroDivisionError),
            birefvideo.Job(
                copy("plain"), to="matte", model=session, progress=lambda one: go_on.wait(60) and None
            ) as job,
        ):
            threading.Timer(0.2, go_on.set).start()
            raise ZeroDivisionError
        with pytest.raises(birefvideo.CancelledError):
            job.result()

    def test_many_are_awaited_at_once_with_one_session(
        self, copy: GetClip, session: birefvideo.Session, tmp_path: Path
    ) -> None:
        source = copy("plain")

        async def main() -> list[birefvideo.Result]:
            jobs = [birefvideo.Job(source, tmp_path / str(i), to="matte", model=session) for i in range(3)]
            return await asyncio.gather(*jobs)

        files = [result.outputs[0].read_bytes() for result in asyncio.run(main())]
        assert len(files) == 3 and len(set(files)) == 1

    def test_a_cancelled_task_cancels_it(self, copy: GetClip, session: birefvideo.Session) -> None:
        go_on = threading.Event()
        job = birefvideo.Job(copy("plain"), to="matte", model=session, progress=lambda one: go_on.wait(60) and None)

        async def main() -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(job, 0.3)
            go_on.set()

        asyncio.run(main())
        with pytest.raises(birefvideo.CancelledError):
            job.result(60)


class TestPlan:
    def test_it_tells_what_a_run_would_do_and_writes_nothing(self, copy: GetClip, network: Path) -> None:
        source = copy("plain")
        before = {path: path.stat().st_mtime_ns for path in source.parent.iterdir()}
        result = invoke(source, "--model", network, "--to", "prores,matte", "--plan")
        assert result.exit_code == 0, result.output
        for line in (
            "plain_alpha.mov  prores ",
            "plain_matte.mp4  matte ",
            "1 segments, in ",
            "time: about ",
            "disk: ",
        ):
            assert line in result.stdout
        assert {path: path.stat().st_mtime_ns for path in source.parent.iterdir()} == before

    def test_it_tells_programs_the_same(self, copy: GetClip, network: Path, short_segments: None) -> None:
        source = copy("plain")
        with pytest.raises(birefvideo.CancelledError):
            birefvideo.matte(source, to="matte", model=str(network), progress=lambda one: one.frame < 10)
        (told,) = events_of(invoke(source, "--model", network, "--to", "matte", "--plan", "--json").stdout)
        assert (told["event"], told["segments"], told["segments_done"], told["frames_done"]) == ("plan", 3, 2, 8)
        assert (told["frames"], told["device"], told["dtype"]) == (12, "cpu", "float32")
        assert (told["engine"], told["address"], told["workers"]) == ("local", None, None)
        assert told["seconds"] == pytest.approx(4 * told["seconds_a_frame"], abs=0.06)
        made = birefvideo.matte(source, to="matte", model=str(network))
        assert made.computed == 4, "the plan left the parts where they were"
        (told,) = events_of(invoke(source, "--model", network, "--to", "matte", "--plan", "--json").stdout)
        assert told["was_done"] and told["seconds"] == 0 and told["disk"] is None
        source.with_name("plain_matte.json").unlink()
        result = invoke(source, "--model", network, "--to", "matte", "--plan")
        assert result.exit_code == 1 and "exists already" in result.stderr

    def test_sizes_count_parts_outputs_and_sound(self, copy: GetClip, network: Path) -> None:
        source, options = copy("plain"), Options(model=str(network))
        found = outlook(
            source, plan_targets(source, None, ["prores", "png"], options), options, Delivery(), load=LastModel()
        )
        assert found.disk is not None and found.trial is not None
        pictures = [cost.bytes for cost in found.trial.outputs]
        prores, png = found.disk.outputs
        assert png == pictures[1] and 0.4 * 16_000 < prores - pictures[0] < 2 * 16_000, "AAC is copied"
        assert found.disk.needed == 2 * (prores + png)

    def test_it_counts_the_alpha_that_is_kept_between_two_passes(self, copy: GetClip, network: Path) -> None:
        source = copy("plain")
        planned = ("--model", network, "--to", "matte", "--plan")
        one, two = (events_of(invoke(source, *planned, *more, "--json").stdout)[0] for more in ((), ("--keep-cache",)))
        assert one["disk"]["alpha"] == one["disk"]["stays"] == 0 < two["disk"]["alpha"]
        assert two["disk"]["needed"] == 2 * sum(one["bytes"] for one in two["outputs"]) + two["disk"]["alpha"]
        assert "two passes, with about" in invoke(source, *planned, "--people", 1).stdout
        assert [path.name for path in source.parent.iterdir()] == ["plain.mp4"]

    def test_alpha_that_is_kept_already_takes_no_more_of_the_disk(self, copy: GetClip, network: Path) -> None:
        source = copy("plain")
        planned = (source, "--model", network, "--to", "matte", "--plan", "--keep-cache", "--json", "--overwrite")
        assert events_of(invoke(*planned).stdout)[0]["disk"]["alpha"] > 0
        birefvideo.matte(source, to="matte", model=str(network), keep_cache=True)
        (told,) = events_of(invoke(*planned, "--remove", "0,0,9,9").stdout)
        assert told["disk"]["alpha"] == 0
        assert told["disk"]["needed"] == 2 * sum(one["bytes"] for one in told["outputs"])
        assert told["disk"]["stays"] > sum(one["bytes"] for one in told["outputs"]), "parts, and the alpha"
        assert told["alpha_done"] == 12
        text = invoke(*planned[:-2], "--overwrite", "--remove", "0,0,9,9").stdout
        assert "network's alpha of 12 frames is there" in text and "stay beside the outputs" in text

    def test_the_time_counts_the_network_only_for_frames_whose_alpha_is_not_kept(
        self, copy: GetClip, network: Path
    ) -> None:
        source, options = copy("plain"), Options(model=str(network), people=1)
        targets = plan_targets(source, None, ["matte"], options)
        found = outlook(source, targets, options, Delivery(), load=LastModel())
        assert found.trial is not None and 0 < found.trial.network < found.trial.seconds
        measured = replace(found.trial, seconds=1.0, network=0.75)
        for kept, seconds in ((0, 12.0), (8, 6.0), (12, 3.0)):
            assert replace(found, trial=measured, alpha_done=kept).seconds == pytest.approx(seconds)
        once = outlook(source, targets, replace(options, people=None), Delivery(), load=LastModel())
        assert once.trial is not None and once.trial.network == 0

    def test_a_disk_that_is_too_small_is_told_before_the_run(
        self, copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = copy("plain")
        usage = shutil._ntuple_diskusage(10**9, 10**9, 10)
        monkeypatch.setattr("birefvideo.jobs.disk.shutil.disk_usage", lambda path: usage)
        with pytest.raises(OutputError, match=r"needs about .* on the disk, .* and 1 kB are free"):
            birefvideo.matte(source, model=str(network))
        assert [path.name for path in source.parent.iterdir()] == ["plain.mp4"]
        assert "needs about" in invoke(source, "--model", network, "--plan").stdout
        needed = disk.usual_disk(
            outlook(source, _targets(source, network), Options(model=str(network)), Delivery()).plan
        ).needed
        monkeypatch.setattr("birefvideo.jobs.disk.shutil.disk_usage", lambda path: usage._replace(free=needed - 1))
        result = invoke(source, "--model", network)
        assert result.exit_code == 0 and "it may do" in result.stdout


def _targets(source: Path, network: Path) -> tuple[plan.Target, ...]:
    return plan_targets(source, None, [], Options(model=str(network)))


ALL_FORMATS = [row.name for row in (*WRITABLE, *SEQUENCES, *ANIMATIONS)]


def test_receipts_of_every_format_keep_to_the_schema(copy: GetClip, session: birefvideo.Session) -> None:
    source, schema = copy("plain"), birefvideo.receipt_schema()
    result = session.matte(source, to=ALL_FORMATS)
    assert len(result.outputs) == len(ALL_FORMATS)
    receipts = [json.loads(path.read_text(encoding="utf-8")) for path in result.receipts]
    assert sum(len(receipt["outputs"]) for receipt in receipts) == len(ALL_FORMATS)
    for receipt in receipts:
        assert not faults(receipt, schema, schema)
        for entry in receipt["outputs"].values():
            assert set(entry) == set(schema["$defs"]["output"]["properties"]), "the schema names every key"
    broken = json.loads(json.dumps(receipts[0]))
    (entry, *_) = broken["outputs"].values()
    entry["sha256"], entry["verified"]["frames"] = "abc", -1
    assert len(faults(broken, schema, schema)) == 2
