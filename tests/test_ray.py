"""The Ray engine: what it says without a cluster, and that no byte depends on a node that is lost."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

import birefvideo
from birefvideo.cli.run_all import Work
from birefvideo.errors import DeviceError, OptionError
from birefvideo.frames import Span
from birefvideo.jobs import job_model, on_ray, plan
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.engine_wish import EngineWish
from birefvideo.jobs.manifest import versions
from birefvideo.jobs.on_ray import RayHand, RayHands
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Segment
from birefvideo.jobs.ray_cluster import reason

GetClip = Callable[[str], Path]


@pytest.mark.parametrize(
    ("wishes", "line"),
    [
        ({"engine": "dask"}, "engine is 'dask': give local or ray"),
        ({"address": "auto"}, "address is for engine='ray': add it, or leave address out"),
        ({"workers": 2}, "workers is for engine='ray': add it"),
        ({"engine": "ray", "workers": 0}, "workers is 0: give a number from 1 to 10000"),
    ],
)
def test_wishes_that_do_not_go_with_an_engine_are_refused(clip: GetClip, wishes: dict[str, Any], line: str) -> None:
    with pytest.raises(OptionError, match=line):
        birefvideo.matte(clip("plain"), **wishes)


def test_without_ray_a_line_says_how_to_get_it(copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"needs Ray, which is not installed: pip install 'birefvideo\[ray\]'"):
        birefvideo.matte(copy("plain"), model=str(network), engine="ray")


def test_an_address_that_does_not_answer_is_told_at_once(copy: GetClip, network: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DeviceError, match=f"no Ray cluster answers at {address}"):
            birefvideo.matte(copy("plain"), model=str(network), engine="ray", address=address)
    with pytest.raises(OptionError, match="give auto, local, or HOST:PORT"):
        birefvideo.matte(copy("plain"), model=str(network), engine="ray", address="ray://head:10001")


@pytest.mark.slow
def test_a_job_ends_right_though_a_node_of_the_cluster_is_lost(
    clip: GetClip, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 24))
    source = Path(shutil.copy(clip("short_gops"), tmp_path / "take.mp4"))
    wishes: dict[str, Any] = {"model": str(network), "to": ["prores", "green"], "device": "cpu"}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started: list[RayHand] = []
    real = RayHands.start

    def start(self: RayHands, number: int) -> RayHand:
        started.append(real(self, number))
        return started[-1]

    monkeypatch.setattr(RayHands, "start", start)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        whole = birefvideo.matte(source, tmp_path / "whole", **wishes)
        nodes = {node.node_id: node for node in (cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1))}
        cluster.wait_for_nodes()

        def where(actor: object) -> str:
            return str(ray.get_runtime_context().get_node_id())

        where.__module__ = "__main__"  # so that it is sent, and not its name

        def lose(at: birefvideo.FrameProgress) -> None:
            if at.frame >= 4 and len(nodes) == 2:
                asked = started[0].actor.__ray_call__.options(concurrency_group="asks").remote(where)
                cluster.remove_node(nodes.pop(ray.get(asked)), allow_graceful=False)

        made = birefvideo.matte(source, tmp_path, engine="ray", address=cluster.address, progress=lose, **wishes)
    finally:
        torch.set_num_threads(threads)
        cluster.shutdown()
    assert len(nodes) == 1
    assert [path.read_bytes() for path in made.outputs] == [path.read_bytes() for path in whole.outputs]
    assert made.device == "ray, 2 × cpu"
    assert any("was lost" in line for line in made.warnings)


def test_a_cluster_that_was_started_here_and_does_not_do_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    empty = SimpleNamespace(nodes=list, shutdown=lambda: ended.append(True))
    monkeypatch.setattr(on_ray, "joined", lambda address: (empty, True))
    with pytest.raises(DeviceError, match="neither CPUs nor GPUs"):
        RayHands(Options(device="cpu"), None, None)
    assert ended == [True]


def test_frames_asked_for_in_the_last_work_do_not_count_in_this_one() -> None:
    actor = SimpleNamespace(do=SimpleNamespace(remote=lambda number: "order"))
    hand = RayHand(actor, "Ray, number 1")
    hand.asked = "of the last work"
    hand.do(0)
    assert (hand.asked, hand.under_way) == (None, "order")


def test_what_is_waited_for_is_told_once_where_others_hold_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = iter(range(100)), iter(range(1, 100))
    nodes = [{"Alive": True, "Resources": {"CPU": 4.0}}]
    held = SimpleNamespace(
        nodes=lambda: nodes, available_resources=lambda: {"CPU": 1.0}, wait=lambda references, timeout: ([], references)
    )
    monkeypatch.setattr(on_ray, "joined", lambda address: (held, False))
    monkeypatch.setattr("birefvideo.jobs.on_ray.time.monotonic", lambda: next(clock))
    told: list[str] = []
    hands = RayHands(Options(device="cpu"), None, 2, told.append, lambda: next(looks) % 10 == 0)
    assert hands.early == 1
    for is_place in (False, True, True):
        with pytest.raises(KeyboardInterrupt):  # Ctrl-C reaches the main thread alone
            hands._wait_for("here", is_place)
    assert told == [
        "waiting for the Ray cluster to start a worker, which takes 2 CPU, which others hold: 'ray status' shows what "
        "is free, Ctrl-C ends it"
    ]


def test_a_node_with_another_version_is_refused() -> None:
    with pytest.raises(DeviceError, match="the worker on far has another version of torch than the machine"):
        on_ray._same_as_ours({**versions(), "torch": "1.0"}, "far")
    on_ray._same_as_ours(versions(), "near")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("The actor died.\n\tclass_name: _Node\n\tnode: lost", "The actor died"),
        ("\x1b[36mray::_Node\x1b[39m died\ntraceback:\nValueError: no such thing", "ValueError: no such thing"),
        (
            "It died\nModuleNotFoundError: No module named 'birefvideo'",
            "ModuleNotFoundError: No module named 'birefvideo'; install the same versions on every node",
        ),
        ("", "RuntimeError"),
    ],
)
def test_of_an_error_of_ray_the_line_is_told_that_says_what_happened(text: str, line: str) -> None:
    assert reason(RuntimeError(text)) == line


def test_of_jobs_at_once_the_main_thread_joins_the_cluster_and_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[object] = []
    cluster = SimpleNamespace(shutdown=lambda: happened.append("left"))

    def join(address: str | None) -> tuple[object, bool]:
        happened.append((address, threading.current_thread() is threading.main_thread()))
        return cluster, True

    monkeypatch.setattr(job_model, "joined", join)
    monkeypatch.setattr(Work, "_run_in_threads", lambda *arguments: happened.append("worked"))
    wish, nothing = EngineWish("ray", "head:6379"), cast(Any, None)
    Work(Options(), Delivery(), nothing, nothing, quiet=True, engine=wish).run([], at_once=2)
    assert happened == [("head:6379", True), "worked", "left"]
    happened.clear()
    Work(Options(), Delivery(), nothing, nothing, quiet=True).run([], at_once=2)
    assert happened == ["worked"]


class Actor:
    """Stands for an actor: whatever is asked of it, it answers at once."""

    def __init__(self) -> None:
        self.load = self.here = self.ask = self.begin = self.frames = self

    def options(self, **wishes: str) -> Actor:
        return self

    def remote(self, *arguments: object) -> Any:
        return type("Facts", (), {"identity": None, "size": None, "kind": "cpu"})()


def test_ctrl_c_ends_the_actors_and_the_cluster_that_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    actors: list[Actor] = []
    happened: list[object] = []

    def start(*arguments: object) -> Actor:
        actors.append(Actor())
        return actors[-1]

    def wait(references: list[object], **wishes: float) -> tuple[list[object], list[object]]:
        if len(references) == 1:  # whether one worker is there
            return references, []
        raise KeyboardInterrupt

    ray = SimpleNamespace(
        nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}],
        available_resources=lambda: {"CPU": 2.0},
        remote=lambda **takes: lambda kind: SimpleNamespace(remote=start),
        get=lambda reference: reference,
        wait=wait,
        kill=happened.append,
        shutdown=lambda: happened.append("ended"),
        exceptions=SimpleNamespace(RayError=RuntimeError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(on_ray, "joined", lambda address: (ray, True))
    plan: Any = SimpleNamespace(settings={"dtype": "float32", "batch": 1})
    nothing: Any = None
    with pytest.raises(KeyboardInterrupt), job_model.JobModels(EngineWish("ray", workers=2)) as load:
        model = load(Options(model="talk", device="cpu"))
        model.check_fits(nothing)
        with model.at_work(plan) as engine:
            list(engine.run(nothing, [Segment(number, Span()) for number in range(3)], nothing, print))
    assert len(actors) == 2
    assert happened == [*actors, "ended"]
