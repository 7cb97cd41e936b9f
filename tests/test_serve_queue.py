"""The queue of `birefvideo serve`: turns, cancelling, restarts, limits, and what stays on the disk."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

import httpx
from studios import run, stand_in, studio_at, until

from birefvideo.errors import OutputError
from birefvideo.serve import data_folder, keeper, queue, sizes
from birefvideo.serve.data_folder import DataFolder, size_of_tree
from birefvideo.serve.order import Order
from birefvideo.serve.store import Store
from birefvideo.serve.studio import Studio
from birefvideo.serve.view import Views, job_view


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return stand_in(monkeypatch).asked


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def _send(client: httpx.AsyncClient, name: str = "clip.mp4", **options: str) -> dict[str, Any]:
    answer = await client.post("/v1/jobs", files={"video": (name, b"a clip")}, data=options)
    assert answer.status_code == 201, answer.text
    return answer.json()


def _calls(data: Path) -> list[str]:
    return [" ".join(line.split()[:2]) for line in (data / "calls.txt").read_text().splitlines()]


def test_a_job_gives_its_outputs_and_what_it_said(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = await _send(client, end="0.5", to="prores,png", deinterlace="false", review="true")
        job = await studio.wait(sent["id"], 20)
        assert job.state == "succeeded"
        shown = (await client.get(f"/v1/jobs/{job.id}")).json()
        assert [output["name"] for output in shown["outputs"]] == ["clip_alpha.mov", "pictures", "clip_alpha.json"]
        assert shown["progress"] == {"done": 1, "total": 2, "fps": 5.0, "eta": 0.2}
        assert shown["plan"]["outputs"] == [{"path": "clip_alpha.mov", "format": "prores"}]
        assert (await client.get(shown["urls"]["log"])).json() == {"lines": ["a note"]}
        part = await client.get(shown["outputs"][0]["url"], headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
        zipped = await client.get(shown["outputs"][1]["url"])
        assert zipped.content.startswith(b"PK")
        assert b"pictures/00001.png" in zipped.content
        events = (await client.get(shown["urls"]["events"])).text
        assert events.count("event: job") == 1

    run(data, use)
    (line,) = [line for line in (data / "calls.txt").read_text().splitlines() if line.startswith("start")]
    words = line.split()[3:]
    assert words[1:] == ["--end=0.5", "--no-deinterlace", "--to=prores", "--to=png", "--review"]


def test_jobs_of_one_device_take_turns_and_others_do_not_wait(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        first, second = await _send(client, "slow.mp4"), await _send(client, "second.mp4")
        other = await _send(client, "other.mp4", device="cuda:1")
        await until(studio, first["id"], lambda job: bool(job.progress))
        assert (await studio.wait(other["id"], 20)).state == "succeeded"
        assert studio.job(second["id"]).state == "queued"
        assert (await client.get(f"/v1/jobs/{second['id']}")).json()["position"] == 1
        await studio.cancel(first["id"])
        assert (await studio.wait(second["id"], 20)).state == "succeeded"

    run(data, use)
    assert _calls(data).index("start second") > _calls(data).index("start slow")


def test_a_job_of_two_devices_keeps_others_off_the_second(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        both = await _send(client, "slow.mp4", device="cuda:0,cuda:1")
        other = await _send(client, "other.mp4", device="cuda:1")
        free = await _send(client, "free.mp4", device="cuda:2")
        assert (await studio.wait(free["id"], 20)).state == "succeeded"
        assert (studio.job(other["id"]).state, other["position"]) == ("queued", 1)
        await studio.cancel(both["id"])
        assert (await studio.wait(other["id"], 20)).state == "succeeded"

    run(data, use)
    calls = _calls(data)
    assert calls.index("start other") > calls.index("start slow")


def test_cancelling_a_job_that_runs_removes_its_parts(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = await _send(client, "slow.mp4")
        folder = data / "jobs" / sent["id"]
        await until(studio, sent["id"], lambda job: (folder / "slow.birefvideo" / "part_0000.mov").exists())
        answer = await client.post(f"/v1/jobs/{sent['id']}/cancel")
        assert answer.json()["status"] == "canceled"
        assert sorted(path.name for path in folder.iterdir()) == [".birefvideo-serve", "log.txt"]
        again = await client.post(f"/v1/jobs/{sent['id']}/cancel")
        assert again.json()["status"] == "canceled"

    run(data, use)


def test_a_job_that_waits_is_cancelled_without_being_run(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        first, second = await _send(client, "slow.mp4"), await _send(client, "second.mp4")
        assert (await studio.cancel(second["id"])).state == "canceled"
        await studio.cancel(first["id"])

    run(data, use)
    assert "start second" not in _calls(data)


def test_a_job_that_ran_when_the_server_ended_goes_on_at_the_next_start(
    data: Path, asked: list[dict[str, Any]]
) -> None:
    async def whole() -> None:
        async with studio_at(data) as (client, studio):
            sent, later = await _send(client, "slow.mp4"), await _send(client, "later.mp4")
            await until(studio, sent["id"], lambda job: bool(job.progress))
        async with studio_at(data) as (client, studio):
            job = await studio.wait(sent["id"], 20)
            assert (job.state, job.started is not None) == ("succeeded", True)
            assert (await studio.wait(later["id"], 20)).state == "succeeded"

    asyncio.run(whole())
    assert _calls(data) == ["start slow", "start slow", "end slow", "start later", "end later"]


def test_a_full_queue_refuses_and_says_when_to_come_again(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = [await _send(client, "slow.mp4"), await _send(client)]
        answer = await client.post("/v1/jobs", files={"video": ("clip.mp4", b"a clip")})
        assert answer.status_code == 429
        assert 5 <= int(answer.headers["retry-after"]) <= 600
        assert answer.json()["error"]["kind"] == "queue_full"
        for one in sent:
            await studio.cancel(one["id"])

    run(data, use, most_waiting=2)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("fails.mp4", "InputError", "fails.mp4 holds no video"),
        ("dies.mp4", "killed", "the system ended it (signal 9): perhaps memory ran out"),
    ],
)
def test_a_job_that_fails_says_why_without_telling_where_its_files_are(
    name: str, kind: str, message: str, data: Path, asked: list[dict[str, Any]]
) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = await _send(client, name)
        await studio.wait(sent["id"], 20)
        shown = (await client.get(f"/v1/jobs/{sent['id']}")).json()
        assert (shown["status"], shown["error"]) == ("failed", {"kind": kind, "message": message})
        assert str(data) not in str(shown)

    run(data, use)


def test_a_job_that_runs_for_too_long_is_stopped(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        job = await studio.wait((await _send(client, "slow.mp4"))["id"], 20)
        assert (job.state, job.error and job.error["kind"]) == ("failed", "too_long")

    run(data, use, most_hours=0.5 / 3600)


def test_deleting_a_job_removes_its_files_and_its_upload_but_not_that_of_another(
    data: Path, asked: list[dict[str, Any]]
) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        first = await _send(client)
        second = (await client.post("/v1/jobs", json={"upload": first["upload"]})).json()
        await studio.wait(first["id"], 20)
        await studio.wait(second["id"], 20)
        assert (await client.delete(f"/v1/uploads/{first['upload']}")).status_code == 409
        assert (await client.delete(f"/v1/jobs/{first['id']}")).status_code == 204
        assert [path.name for path in (data / "uploads").iterdir()] == [first["upload"]]
        assert (await client.get(f"/v1/jobs/{first['id']}")).status_code == 404
        await client.delete(f"/v1/jobs/{second['id']}")
        assert not [*(data / "uploads").iterdir(), *(data / "jobs").iterdir()]

    run(data, use)


def test_what_is_too_old_goes_and_so_does_what_is_too_much(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        old, new = await _send(client), await _send(client)
        for one in (old, new):
            await studio.wait(one["id"], 20)
        studio.store.change_job(old["id"], ended=1.0)
        await client.post("/v1/uploads", content=b"unused", headers={"Content-Type": "video/mp4"})
        studio._keeper.expire(studio.job(new["id"]).ended + 2 * 86400)
        assert [path.name for path in (data / "jobs").iterdir()] == [new["id"]]
        assert [path.name for path in (data / "uploads").iterdir()] == [new["upload"]]
        (data / "jobs" / new["id"] / "big").write_bytes(bytes(5000))
        studio.data.recount()
        await _send(client)
        assert new["id"] not in [path.name for path in (data / "jobs").iterdir()]

    run(data, use, most_data=3000, keep_days=3)


def _measured(data: Path) -> int:
    paths = [path for kind in ("uploads", "jobs", "incoming") for path in (data / kind).rglob("*")]
    return sum(path.stat().st_size for path in paths if path.is_file())


async def _agreed(studio: Studio, data: Path) -> int:
    """Waits until what is known of the folder lies in it, as a child may write between two looks; returns it."""
    for _ in range(400):
        if (known := await studio.data.size()) == _measured(data):
            return known
        await asyncio.sleep(0.05)
    raise AssertionError(f"{known} bytes are known of {_measured(data)}")


def test_what_lies_in_the_folder_is_known_whatever_becomes_of_jobs_and_after_a_kill(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "_FRESH", 0.0)

    async def whole() -> None:
        async with studio_at(data) as (client, studio):
            assert await studio.data.size() == 0
            sent = [await _send(client, name) for name in ("a.mp4", "fails.mp4", "slow.mp4", "b.mp4", "c.mp4")]
            parts = data / "jobs" / sent[2]["id"] / "slow.birefvideo"
            await until(studio, sent[2]["id"], lambda job: (parts / "part_0000.mov").exists())
            (parts / "part_0001.mov").write_bytes(bytes(777))
            assert await _agreed(studio, data) > 777
            await client.delete(f"/v1/jobs/{sent[3]['id']}")
            await client.post(f"/v1/jobs/{sent[2]['id']}/cancel")
            await studio.wait(sent[4]["id"], 20)
            assert await _agreed(studio, data) < 777
            await client.delete(f"/v1/jobs/{sent[0]['id']}")
            await _agreed(studio, data)
            last = await _send(client, "slow.mp4")
            parts = data / "jobs" / last["id"] / "slow.birefvideo"
            await until(studio, last["id"], lambda job: (parts / "part_0000.mov").exists())
        folder = DataFolder(data)
        (folder.make("jobs", "a" * 24) / "half.mov").write_bytes(bytes(100))
        folder.incoming().write_bytes(bytes(100))
        folder.close()
        async with studio_at(data) as (client, studio):
            await studio.wait(last["id"], 20)
            assert await _agreed(studio, data) > 200

    asyncio.run(whole())


def test_room_is_looked_for_without_another_look_at_what_has_not_changed(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []

    def measured(folder: Path) -> int:
        looked.append(folder)
        return size_of_tree(folder)

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        for _ in range(3):
            await studio.wait((await _send(client))["id"], 20)
        await studio.data.size()
        monkeypatch.setattr(data_folder, "size_of_tree", measured)
        await studio.data.size()
        assert looked == [data / "incoming"]
        job = await studio.wait((await _send(client))["id"], 20)
        (data / "jobs" / job.id / "later").write_bytes(bytes(500))
        await studio.data.size()
        assert set(looked) <= {data / "incoming", data / "jobs" / job.id, data / "uploads" / job.upload}
        before = await studio.data.size()
        (data / "jobs" / job.id / "later").write_bytes(bytes(700))
        assert await studio.data.size() == before
        studio.data.recount()
        assert await studio.data.size() == before + 200

    run(data, use)


def test_a_look_that_is_broken_off_is_taken_again() -> None:
    broken = threading.Event()

    def measure(place: sizes.Place) -> int:
        broken.wait(5)
        return 10

    async def use() -> None:
        known = sizes.Sizes(measure)
        known.doubt([("jobs", "a"), ("jobs", "b")])
        task = asyncio.create_task(known.total())
        await asyncio.sleep(0.01)
        task.cancel()
        broken.set()
        await asyncio.gather(task, return_exceptions=True)
        assert await asyncio.gather(known.total(), known.total()) == [20, 20]

    asyncio.run(use())


def test_a_disk_that_refuses_once_does_not_end_the_tidying(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_EVERY", 0.01)
    refused: list[str] = []
    remove = DataFolder.remove

    def refuse_once(folder: DataFolder, kind: str, key: str) -> None:
        if not refused:
            refused.append(key)
            raise PermissionError(13, "Permission denied")
        remove(folder, kind, key)

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        keys = [(await _send(client))["id"] for _ in range(2)]
        for key in keys:
            await studio.wait(key, 20)
        monkeypatch.setattr(DataFolder, "remove", refuse_once)
        for key in keys:
            studio.store.change_job(key, ended=1.0)
        for _ in range(500):
            if not studio.jobs():
                break
            await asyncio.sleep(0.01)
        assert (studio.jobs(), len(refused)) == ([], 1)

    run(data, use)


def test_a_folder_of_others_is_not_used_and_a_second_server_waits_for_the_first(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files and was not made by birefvideo serve"):
        DataFolder(tmp_path)
    first = DataFolder(tmp_path / "data")
    with pytest.raises(OutputError, match="another birefvideo serve works in"):
        DataFolder(tmp_path / "data", patience=0.1)
    first.close()
    DataFolder(tmp_path / "data", patience=0.1).close()


def test_only_folders_with_our_mark_are_removed(data: Path, asked: list[dict[str, Any]]) -> None:
    folder = DataFolder(data)
    key, other = "a" * 24, "b" * 24
    folder.make("jobs", key)
    (data / "jobs" / other).mkdir()
    (data / "jobs" / "notes").mkdir()
    for one in (key, other):
        folder.remove("jobs", one)
    folder.close()
    assert sorted(path.name for path in (data / "jobs").iterdir()) == [other, "notes"]


def test_what_a_kill_left_between_disk_and_table_goes_at_the_next_start(
    data: Path, asked: list[dict[str, Any]]
) -> None:
    folder = DataFolder(data)
    folder.make("jobs", "a" * 24)
    folder.make("uploads", "b" * 24)
    folder.incoming().write_bytes(b"half")
    folder.close()

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        await asyncio.sleep(0.1)
        for name in ("jobs", "uploads", "incoming"):
            assert not list((data / name).iterdir())

    run(data, use)


def test_a_damaged_table_is_told_in_one_line(data: Path) -> None:
    DataFolder(data).close()
    (data / "jobs.sqlite3").write_bytes(b"no table" * 100)
    with pytest.raises(OutputError, match=r"jobs\.sqlite3 cannot be read"):
        run(data, None)  # type: ignore[arg-type]
    assert sqlite3.sqlite_version


def test_an_order_survives_the_table() -> None:
    order = Order.of(
        {"to": ["prores", "webm"], "end": 2.5, "levels": [0.05, 0.9], "review": "yes", "premultiplied": True}
    )
    assert Order.from_dict(order.as_dict()) == order
    assert order.options == {"end": "2.5", "levels": "0.05,0.9", "premultiplied": "black"}


def test_a_job_that_cannot_be_begun_fails_and_the_next_one_runs(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_AFTER_TROUBLE", 0.05)

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        slow = await _send(client, "slow.mp4")
        await until(studio, slow["id"], lambda job: bool(job.progress))
        bad, old, good = [await _send(client, name) for name in ("bad.mp4", "old.mp4", "good.mp4")]
        studio.store.change_job(bad["id"], order={"options": {"marks": f"upload:{'a' * 24}"}})
        studio.store.change_job(old["id"], order={"options": {"end": "1"}, "flags": {"once": True}})
        shown = (await client.get("/v1/jobs")).json()["jobs"]
        assert [job["name"] for job in shown] == ["good.mp4", "old.mp4", "bad.mp4", "slow.mp4"]
        await client.post(f"/v1/jobs/{slow['id']}/cancel")
        assert (await studio.wait(bad["id"], 20)).error == {
            "kind": "failed",
            "message": "the server could not run it (there is no upload of that id: it was deleted, has expired, or "
            "never was): send it again",
        }
        assert (await studio.wait(good["id"], 20)).state == "succeeded"

    run(data, use)
    assert "start old --end=1 --once" in [
        " ".join(word for word in line.split() if not word.startswith(("--json", "--out", "matte")))
        for line in (data / "calls.txt").read_text().splitlines()
    ]


def test_a_clock_that_is_set_back_keeps_no_job_for_ever(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        future = await studio.wait((await _send(client))["id"], 20)
        studio.store.change_job(future.id, started=future.started + 9e6, ended=future.ended + 9e6)
        (data / "jobs" / future.id / "big").write_bytes(bytes(5000))
        studio.data.recount()
        await _send(client)
        assert future.id not in [path.name for path in (data / "jobs").iterdir()]

    run(data, use, most_data=3000)


def test_a_job_ends_although_the_table_cannot_be_written_and_is_written_later(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(store: Store, key: str, **values: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        slow = await _send(client, "slow.mp4")
        good, stopped = await _send(client, "good.mp4"), await _send(client, "stopped.mp4")
        await until(studio, slow["id"], lambda job: bool(job.progress))
        with monkeypatch.context() as full:
            full.setattr(Store, "change_job", refuse)
            await client.post(f"/v1/jobs/{stopped['id']}/cancel")
            await client.post(f"/v1/jobs/{slow['id']}/cancel")
            assert (await studio.wait(good["id"], 20)).state == "succeeded"
            shown = (await client.get("/v1/jobs")).json()["jobs"]
            assert [job["status"] for job in shown] == ["canceled", "succeeded", "canceled"]
        await studio.wait((await _send(client))["id"], 20)
        states = [studio.store.job(one["id"]).state for one in (slow, good, stopped)]
        assert states == ["canceled", "succeeded", "canceled"]

    run(data, use)


def test_a_job_whose_folder_is_removed_fails_and_says_so(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = await _send(client, "slow.mp4")
        await until(studio, sent["id"], lambda job: bool(job.progress))
        shutil.rmtree(data)
        await client.post(f"/v1/jobs/{sent['id']}/cancel")
        job = await studio.wait(sent["id"], 20)
        assert (job.state, job.error) == (
            "failed",
            {
                "kind": "failed",
                "message": "the server could not run it (No such file or directory): send it again",
            },
        )
        answer = await client.post("/v1/uploads", content=b"a clip", headers={"Content-Type": "video/mp4"})
        assert answer.status_code == 507

    run(data, use)


def test_a_data_folder_that_is_gone_is_told_and_stops_nothing(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        await studio.wait((await _send(client))["id"], 20)
        data.rename(data.with_name("gone"))
        for path in ("/v1/uploads", "/v1/jobs"):
            answer = await client.post(path, content=b"a clip", headers={"Content-Type": "video/mp4"})
            assert (answer.status_code, answer.json()["error"]["kind"]) == (507, "no_disk")
            assert str(data) not in answer.text
        assert (await client.get("/v1/health")).status_code == 200
        data.with_name("gone").rename(data)
        assert (await studio.wait((await _send(client))["id"], 20)).state == "succeeded"

    run(data, use)


def test_an_answer_that_is_kept_is_never_older_than_the_job(data: Path, asked: list[dict[str, Any]]) -> None:
    seen: set[tuple[str, str, int]] = set()

    async def compare(studio: Studio) -> None:
        views = Views(studio)
        while True:
            for job in studio.jobs():
                fresh = job_view(studio, job)
                assert json.loads(views(job.id)) == json.loads(json.dumps(fresh))
                seen.add((job.name, job.state, fresh["position"]))
            await asyncio.sleep(0.002)

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        task = asyncio.create_task(compare(studio))
        try:
            names = ("slow.mp4", "fails.mp4", "stopped.mp4", "removed.mp4", "good.mp4")
            sent = {name.partition(".")[0]: (await _send(client, name))["id"] for name in names}
            await until(studio, sent["slow"], lambda job: bool(job.progress))
            await asyncio.sleep(0.01)
            await client.post(f"/v1/jobs/{sent['stopped']}/cancel")
            await asyncio.sleep(0.01)
            await client.delete(f"/v1/jobs/{sent['removed']}")
            await asyncio.sleep(0.01)
            await client.post(f"/v1/jobs/{sent['slow']}/cancel")
            await studio.wait(sent["good"], 20)
            studio.note(sent["good"], told=True)
            await asyncio.sleep(0.01)
            assert not task.done()
            assert (await client.get(f"/v1/jobs/{sent['removed']}")).status_code == 404
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    run(data, use)
    assert {("good.mp4", "queued", 4), ("good.mp4", "queued", 3), ("good.mp4", "queued", 2)} < seen
    ends = {("slow.mp4", "canceled"), ("stopped.mp4", "canceled"), ("fails.mp4", "failed"), ("good.mp4", "succeeded")}
    assert ends < {(name, state) for name, state, _ in seen}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has classes of priority instead")
def test_a_job_steps_back_behind_the_server(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = await _send(client, "slow.mp4")
        await until(studio, sent["id"], lambda job: bool(job.progress))
        process = studio._queue._children[sent["id"]]._process
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, own + 5)
        await studio.cancel(sent["id"])

    run(data, use)
