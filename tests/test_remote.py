"""Clips and outputs at URLs: brought, matted as ever, delivered whole; a stop costs nothing, secrets are not shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import BirefvideoError, InputError, OutputError
from birefvideo.jobs import elsewhere
from birefvideo.jobs.delivered import Delivered
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.plan import Target
from birefvideo.media.format_table import get_format
from birefvideo.remote.places import in_words, is_url, name_in, out_place, place_of, shown, url_of
from birefvideo.remote.store import Store
from birefvideo.remote.transfer import Upload, bring

GetClip = Callable[[str], Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files at URLs lie meanwhile."""
    monkeypatch.setenv("BIREFVIDEO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def memory(clip: GetClip) -> Iterator[Any]:
    """A store in memory with a clip in it."""
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/in/plain.mp4", clip("plain").read_bytes())
    yield store
    store.rm("/bucket", recursive=True)


def invoke(network: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments), "--model", str(network), "--to", "matte"])


def matte(network: Path, out: str = "memory://bucket/out/", **choices: Any) -> birefvideo.Result:
    choices = {"to": "matte", **choices}
    return birefvideo.matte("memory://bucket/in/plain.mp4", out, model=network, **choices)


def objects(memory: Any) -> list[str]:
    return [path.removeprefix("/bucket/") for path in memory.find("/bucket") if "/in/" not in path]


def left(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


class TestNames:
    @pytest.mark.parametrize(
        ("url", "is_one", "called", "name"),
        [
            ("s3://bucket/a/clip.mp4", True, "s3://bucket/a/clip.mp4", "clip.mp4"),
            ("s3://bucket/what?#1.mp4", True, "s3://bucket/what?#1.mp4", "what?#1.mp4"),
            ("s3://bucket/clip.mp4?versionId=7", True, "s3://bucket/clip.mp4?…", "clip.mp4"),
            ("https://me:pass@host:8/My%20clip.mp4?sig=abc#t=1", True, "https://host:8/My%20clip.mp4?…", "My clip.mp4"),
            ("sftp://me:p@ss@host/clip.mp4", True, "sftp://host/clip.mp4", "clip.mp4"),
            ("abfs://box@me.dfs.core/a.mp4", True, "abfs://box@me.dfs.core/a.mp4", "a.mp4"),
            (r"C:\clips\clip.mp4", False, "", ""),
            ("C://clips/clip.mp4", False, "", ""),
            ("file:///clips/clip.mp4", False, "", ""),
            ("clip.mp4", False, "", ""),
        ],
    )
    def test_a_url_is_told_from_a_path_and_shown_without_secrets(
        self, url: str, is_one: bool, called: str, name: str
    ) -> None:
        assert is_url(url) is is_one
        if is_one:
            assert (shown(url), name_in(url)) == (called, name)

    def test_a_place_stands_for_its_url_and_messages_say_that(self) -> None:
        clip, out = place_of("sftp://me:secret@host/in/clip.mp4"), out_place("s3://bucket/out/")
        assert url_of(clip) == "sftp://me:secret@host/in/clip.mp4"
        assert url_of(out / "clip_alpha.mov") == "s3://bucket/out/clip_alpha.mov"
        assert in_words(f"{clip} and {out / 'x.mov'} fail") == "sftp://host/in/clip.mp4 and s3://bucket/out/x.mov fail"
        assert url_of(Path("/clips/clip.mp4")) is None

    def test_two_files_that_a_query_tells_apart_have_two_places(self) -> None:
        assert place_of("https://host/get.mp4?id=1") != place_of("https://host/get.mp4?id=2")

    def test_two_containers_and_two_accounts_have_two_places_and_two_passwords_one(self) -> None:
        assert place_of("abfs://one@account/in/a.mp4") != place_of("abfs://two@account/in/a.mp4")
        assert out_place("sftp://me:old@host/out/") != out_place("sftp://you:old@host/out/")
        assert out_place("sftp://me:old@host/out/") == out_place("sftp://me:new@host/out/")

    @pytest.mark.parametrize("url", ["zip://clip.mp4::s3://bucket/all.zip", "s3://bucket/a/.."])
    def test_what_no_file_here_can_be_called_is_refused(self, url: str) -> None:
        with pytest.raises(InputError):
            place_of(url)


class TestBring:
    def test_an_object_is_fetched_once_and_again_when_it_has_changed(self, memory: Any, tmp_path: Path) -> None:
        memory.pipe_file("/bucket/in/a.bin", b"one")
        place = bring("memory://bucket/in/a.bin", tmp_path / "here")
        before = place.stat()
        assert place == tmp_path / "here" / "a.bin" and place.read_bytes() == b"one"
        assert bring("memory://bucket/in/a.bin", tmp_path / "here").stat().st_ino == before.st_ino
        memory.pipe_file("/bucket/in/a.bin", b"two")
        assert bring("memory://bucket/in/a.bin", tmp_path / "here").read_bytes() == b"two"

    def test_what_does_not_fit_is_refused_before_it_is_fetched(
        self, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 10}))
        with pytest.raises(OutputError, match=r"plain\.mp4 has \d+ bytes, and 10 are free"):
            bring("memory://bucket/in/plain.mp4", tmp_path / "here")
        assert not (tmp_path / "here").exists()

    def test_an_object_that_changes_meanwhile_is_not_taken(
        self, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            type(memory), "get_file", lambda self, path, place, **_: Path(place).write_bytes(b"") and None
        )
        with pytest.raises(InputError, match="was changed while it was fetched"):
            bring("memory://bucket/in/plain.mp4", tmp_path / "here")
        assert left(tmp_path / "here") == []

    def test_what_a_tick_raises_ends_the_transfer(self, memory: Any, tmp_path: Path) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            bring("memory://bucket/in/plain.mp4", tmp_path / "here", tick=stop)
        assert left(tmp_path / "here") == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError("The specified bucket does not exist"), "does not exist (The specified bucket does not"),
        (PermissionError("Forbidden"), "cannot be read (Forbidden): check the credentials and what they allow"),
        (RuntimeError("Unable to locate credentials"), "cannot be read (Unable to locate credentials): check the cred"),
        (ConnectionError("no route"), "cannot be read (no route): check the network and the address"),
        (OSError("secret of me:secret"), "cannot be read (… of …): try again"),
        (OSError(22, "Bad Request"), "cannot be read (Bad Request): check the credentials, which may have expired"),
        (OSError(22, "The token is malformed"), "cannot be read (The token is malformed): check the credentials and"),
        (OSError(78, "Moved Permanently"), "cannot be read (Moved Permanently): name the bucket's own region and"),
        (OSError(5, "no sftp://host/token"), "cannot be read (no sftp://host/token): try again"),
        (
            ValueError('Invalid bucket name "!": Bucket name must match the regex "^[a-z]{1,255}$" or'),
            'cannot be read (Invalid bucket name "!"): check its name',
        ),
    ],
)
def test_a_failure_is_one_line_without_secrets(error: Exception, line: str, memory: Any) -> None:
    store = Store("memory://bucket/in/plain.mp4")
    store.url = "sftp://me:secret@host/plain.mp4"
    with pytest.raises(InputError) as caught, store.told("read"):
        raise error
    assert str(caught.value).startswith(f"sftp://host/plain.mp4 {line}") and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("nothing://host/clip.mp4", "no kind of store: download it first"),
        ("memory://bucket/in/none.mp4", "memory://bucket/in/none.mp4 does not exist: check its name"),
        ("memory://bucket/in/", "give the whole URL"),
    ],
)
def test_what_cannot_be_an_input_is_refused_in_one_line(url: str, line: str, memory: Any, network: Path) -> None:
    with pytest.raises(InputError, match=line):
        birefvideo.matte(url, "memory://bucket/out/", model=network)
    assert objects(memory) == []


class TestJobs:
    def test_outputs_receipts_page_and_timelines_are_delivered_and_nothing_stays_here(
        self, memory: Any, network: Path, cache: Path, clip: GetClip, tmp_path: Path
    ) -> None:
        made = matte(network, to=["webm", "png"], review=True, timeline="fcpxml")
        names = ["plain_alpha.webm", "plain_png", "plain_review.html", "plain_timeline.fcpxml"]
        receipts = ["plain_alpha.json", "plain_png.json"]
        assert made.urls == tuple(f"memory://bucket/out/{name}" for name in (*names, *receipts))
        again = matte(network, to=["webm", "png"], review=True, timeline="fcpxml")
        assert (again.was_done, again.urls) == (True, made.urls)
        assert (made.outputs, made.receipts, made.review, made.frames) == ((), (), None, 12)
        files = [name.removeprefix("out/") for name in objects(memory)]
        assert sorted({name.split("/")[0] for name in files}) == sorted([*names, *receipts]) and left(cache) == []
        here = birefvideo.matte(clip("plain"), tmp_path / "local/", to="webm", model=network)
        assert here.outputs[0].read_bytes() == memory.cat_file("/bucket/out/plain_alpha.webm")
        text = {path: memory.cat_file(path).decode(errors="replace") for path in memory.find("/bucket/out")}
        assert 'src="memory://bucket/out/plain_alpha.webm"' in text["/bucket/out/plain_timeline.fcpxml"]
        assert not any(str(cache) in one for one in text.values())

    def test_what_exists_is_refused_before_anything_is_fetched(
        self, memory: Any, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.pipe_file("/bucket/out/plain_matte.mp4", b"mine")
        with monkeypatch.context() as patched:
            patched.setattr(elsewhere, "bring", None)
            with pytest.raises(OutputError, match=r"^memory://bucket/out/plain_matte.mp4 exists already"):
                matte(network)
        assert objects(memory) == ["out/plain_matte.mp4"]
        matte(network, overwrite=True)
        assert memory.cat_file("/bucket/out/plain_matte.mp4") != b"mine"

    def test_what_receipts_prove_to_be_done_is_not_fetched_and_what_changed_is_made_again(
        self, memory: Any, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = ("-o", "memory://bucket/out/", "--skip-existing")
        assert invoke(network, "memory://bucket/in/plain.mp4", *out).exit_code == 0
        with monkeypatch.context() as patched:
            patched.setattr(elsewhere, "bring", None)
            again = invoke(network, "memory://bucket/in/plain.mp4", *out)
        assert "done already, by its receipts: memory://bucket/out/plain_matte.mp4" in again.output
        memory.pipe_file("/bucket/in/plain.mp4", memory.cat_file("/bucket/in/plain.mp4") + b"\0" * 9)
        memory.pipe_file("/bucket/out/plain_matte.mp4", b"edited")
        changed = invoke(network, "memory://bucket/in/plain.mp4", *out)
        assert changed.exit_code == 0 and "kept as memory://bucket/out/plain_matte.mp4.old" in changed.output
        assert memory.cat_file("/bucket/out/plain_matte.mp4.old") == b"edited"

    def test_a_damaged_clip_that_was_done_before_is_refused_where_a_whole_one_is_wanted(
        self, memory: Any, network: Path, clip: GetClip
    ) -> None:
        memory.pipe_file("/bucket/in/plain.mp4", clip("truncated_mp4").read_bytes())
        assert matte(network).losses
        assert matte(network).was_done
        with pytest.raises(InputError, match=r"plain\.mp4 is not whole"):
            matte(network, strict=True)

    def test_an_edited_series_is_kept_beside_the_new_one(self, memory: Any, network: Path) -> None:
        out = ("-o", "memory://bucket/out/", "--to", "png", "--skip-existing")
        invoke(network, "memory://bucket/in/plain.mp4", *out)
        first = "/bucket/out/plain_png/plain_000001.png"
        made = memory.cat_file(first)
        memory.pipe_file(first, b"edited")
        assert invoke(network, "memory://bucket/in/plain.mp4", *out).exit_code == 0
        assert memory.cat_file(first) == made
        kept = memory.find("/bucket/out/plain_png.old")
        assert (len(kept), memory.cat_file(kept[0])) == (13, b"edited")

    def test_the_end_of_a_job_takes_nothing_from_one_into_the_same_folder(self, memory: Any, network: Path) -> None:
        matte(network)
        source, place = place_of("memory://bucket/in/plain.mp4"), out_place("memory://bucket/out/")
        targets = [Target(get_format("matte"), place / "plain_matte.mp4")]
        mine, others = (Delivered(source, targets, Delivery()) for _ in range(2))
        others.forget()
        assert mine.entry(targets[0].path) is not None
        mine.forget()

    @pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
    def test_an_interrupted_upload_goes_on_without_computing_again(
        self, stop_at: int, memory: Any, network: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = 0

        def interrupted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == stop_at:
                    raise KeyboardInterrupt
                return real(*arguments, **more)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(type(memory), "cp_file", interrupted(type(memory).cp_file))
            patched.setattr(type(memory), "put_file", interrupted(type(memory).put_file))
            with pytest.raises(KeyboardInterrupt):
                matte(network, to=["matte", "green"])
        whole = [name for name in objects(memory) if not name.endswith(".birefvideo-tmp")]
        assert len(whole) == max(0, stop_at - 3)
        made = matte(network, to=["matte", "green"])
        assert (made.computed, made.was_done, len(made.urls)) == (0, False, 4) and left(cache) == []
        assert objects(memory) == sorted(url.removeprefix("memory://bucket/") for url in made.urls)

    def test_a_clip_that_changed_between_stop_and_resume_is_begun_anew(
        self, memory: Any, network: Path, clip: GetClip
    ) -> None:
        def stop() -> bool:
            return False

        with pytest.raises(birefvideo.CancelledError):
            matte(network, progress=stop)
        memory.pipe_file("/bucket/in/plain.mp4", clip("one_frame").read_bytes())
        made = matte(network)
        assert (made.computed, made.frames) == (1, 1)

    def test_events_name_urls_and_what_is_fetched(self, memory: Any, network: Path) -> None:
        told = invoke(network, "memory://bucket/in/", "-o", "memory://bucket/out/", "-r", "--json")
        events = [json.loads(line) for line in told.stdout.splitlines()]
        kinds = list(dict.fromkeys(event["event"] for event in events if event["event"] != "warning"))
        assert kinds == ["fetching", "planned", "frame", "finishing", "uploading", "finished"]
        assert {event["input"] for event in events} == {"memory://bucket/in/plain.mp4"}
        size = memory.size("/bucket/out/plain_matte.mp4")
        assert events[-1]["outputs"] == [{"path": "memory://bucket/out/plain_matte.mp4", "bytes": size}]

    def test_a_plan_says_what_would_be_fetched_and_fetches_nothing(
        self, memory: Any, network: Path, cache: Path
    ) -> None:
        told = invoke(network, "memory://bucket/in/plain.mp4", "--plan", "--json")
        (event,) = map(json.loads, told.stdout.splitlines())
        assert event["fetch"]["bytes"] == memory.size("/bucket/in/plain.mp4") and left(cache) == []
        assert event["outputs"] == [{"path": "memory://bucket/in/plain_matte.mp4", "format": "matte"}]

    def test_a_preview_of_a_clip_at_a_url_lies_where_the_outputs_go_if_that_is_here(
        self, memory: Any, network: Path, tmp_path: Path
    ) -> None:
        made = invoke(network, "memory://bucket/in/plain.mp4", "--preview", "-o", f"{tmp_path}/local/")
        assert (made.exit_code, [path.name for path in (tmp_path / "local").iterdir()]) == (0, ["plain_preview.png"])
        refused = invoke(network, "memory://bucket/in/plain.mp4", "--preview")
        assert (refused.exit_code, objects(memory)) == (2, [])
        assert "these go to a URL: name a folder of this machine with -o" in refused.stderr

    def test_the_report_of_several_inputs_goes_with_the_outputs_and_replaces_no_stranger(
        self, memory: Any, network: Path, cache: Path
    ) -> None:
        inputs = ("memory://bucket/in/plain.mp4", "memory://bucket/in/none.mp4")
        assert invoke(network, *inputs, "-o", "memory://bucket/out/").exit_code == 1
        report = json.loads(memory.cat_file("/bucket/out/report.json"))
        assert [row["status"] for row in report["inputs"]] == ["done", "failed"]
        assert invoke(network, *inputs).exit_code == 1 and memory.exists("/bucket/in/report.json")
        assert invoke(network, inputs[0], "--report", "memory://bucket/own.json").exit_code == 0
        assert json.loads(memory.cat_file("/bucket/own.json"))["counts"]["skipped"] == 1
        assert left(cache) == []
        memory.pipe_file("/bucket/own.json", b"{}")
        refused = invoke(network, inputs[0], "--report", "memory://bucket/own.json")
        assert refused.exit_code == 1 and "memory://bucket/own.json is no report of birefvideo" in refused.stderr

    def test_a_local_clip_goes_to_a_url_and_a_url_to_a_local_folder(
        self, memory: Any, network: Path, clip: GetClip, tmp_path: Path, cache: Path
    ) -> None:
        up = birefvideo.matte(clip("plain"), "memory://bucket/one.mp4", "matte", model=network)
        assert up.urls == ("memory://bucket/one.mp4", "memory://bucket/one.json")
        down = matte(network, out=str(tmp_path / "local"))
        assert down.outputs == (tmp_path / "local" / "plain_matte.mp4",) and down.urls == ()
        assert down.outputs[0].read_bytes() == memory.cat_file("/bucket/one.mp4") and left(cache) == []
        assert matte(network, out=str(tmp_path / "local")).was_done

    def test_an_ending_that_is_none_is_told_with_the_url(self, network: Path) -> None:
        with pytest.raises(BirefvideoError, match=r"^memory://bucket/x\.xyz is not a kind of file"):
            matte(network, out="memory://bucket/x.xyz", to=None)

    def test_the_web_is_only_read(self, network: Path) -> None:
        with pytest.raises(BirefvideoError, match="choose another out"):
            birefvideo.matte(__file__, "https://127.0.0.1:9/out/", model=network)


def test_an_upload_takes_no_place_that_is_taken_meanwhile(memory: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    memory.pipe_file("/bucket/a", b"theirs")
    with pytest.raises(OutputError, match="exists already"):
        Upload(tmp_path / "record").put([(tmp_path / "a", "memory://bucket/a")])
    assert memory.cat_file("/bucket/a") == b"theirs"


def test_a_missing_package_is_named(memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    monkeypatch.delitem(
        __import__("sys").modules["fsspec.registry"]._registry, "s3", raising=False
    )  # which knows it if a test has used it
    with pytest.raises(InputError, match=r"needs a package .*: pip install 'birefvideo\[remote\]'"):
        bring("s3://bucket/clip.mp4", tmp_path)
