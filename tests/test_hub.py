"""Downloads against a real HTTP server: whole, broken off, damaged, refused, moved, gone, changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hub_server import HubServer
from huggingface_hub import constants, try_to_load_from_cache

from birefvideo.errors import ModelError
from birefvideo.family import hub
from birefvideo.family.locks import Lock, lock_path, read_lock
from birefvideo.family.variants import VARIANTS, variant

ROW = VARIANTS["portrait"]
CONTENT = os.urandom(700_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILES = {"model.safetensors": CONTENT, "config.json": b'{"architectures": ["BiRefNet"]}'}


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A hub that has `portrait`, and a cache of this test's own."""
    with HubServer() as server:
        server.publish(ROW.hub_id, FILES)
        use(server.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "none"), raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 14)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's attempts
        yield server


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does when the client is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


def refused(match: str, update: bool = False) -> str:
    """Expects one line, and nothing that counts as weights."""
    with pytest.raises(ModelError, match=match) as error:
        hub.download(ROW, update=update)
    assert "\n" not in str(error.value)
    assert hub.stored(ROW) is None
    return str(error.value)


def partials() -> list[Path]:
    return list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete"))


def test_a_download_lies_in_the_hubs_own_cache_locked_and_is_not_made_twice(server: HubServer) -> None:
    assert hub.stored(ROW) is None
    got = hub.download(ROW)
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.fetched) == (SHA256, True)
    assert try_to_load_from_cache(ROW.hub_id, "model.safetensors", cache_dir=constants.HF_HUB_CACHE) == str(got.path)
    config = try_to_load_from_cache(ROW.hub_id, "config.json", cache_dir=constants.HF_HUB_CACHE)
    assert isinstance(config, str) and Path(config).read_bytes() == FILES["config.json"]
    assert server.sent() == len(CONTENT)
    assert read_lock(ROW) == Lock(SHA256, got.path.parent.name)
    assert not partials()
    before = len(server.requests)
    again = hub.download(ROW)
    assert (again.path, again.fetched) == (got.path, False)
    assert len(server.requests) == before


def test_a_broken_off_download_goes_on_in_a_later_run_where_it_stopped(server: HubServer) -> None:
    server.breaks_at = 300_000
    refused("broke off")
    (partial,) = partials()
    done = partial.stat().st_size
    assert 0 < done <= 300_000
    assert CONTENT.startswith(partial.read_bytes())
    server.breaks_at, before = None, len(server.requests)
    assert hub.download(ROW).path.read_bytes() == CONTENT
    (get,) = [r for r in server.requests[before:] if r.method == "GET" and "config" not in r.path]
    assert (get.range, get.sent) == (f"bytes={done}-", len(CONTENT) - done)


def test_one_hiccup_is_bridged_within_a_run(server: HubServer) -> None:
    server.hiccup_at = 300_000
    assert hub.download(ROW).path.read_bytes() == CONTENT
    assert server.sent() < 1.2 * len(CONTENT)


def test_a_server_that_ignores_ranges_gives_the_whole_file_in_the_end(server: HubServer) -> None:
    server.breaks_at = 300_000
    refused("broke off")
    server.breaks_at, server.ranges = None, False
    with suppress(ModelError):  # old clients notice by the size only, and then begin again
        hub.download(ROW)
    assert hub.download(ROW).path.read_bytes() == CONTENT


def test_content_that_does_not_hash_to_what_the_hub_says_is_removed(server: HubServer) -> None:
    server.etag = "0" * 64
    refused("is damaged .SHA-256 .*, should be 000000000000….* was removed")
    assert not partials()
    assert not [path for path in Path(constants.HF_HUB_CACHE).rglob("blobs/*") if path.is_file()]
    assert read_lock(ROW) is None
    server.etag = None
    assert hub.download(ROW).sha256 == SHA256


def test_a_hub_that_tells_no_sha256_is_refused(server: HubServer) -> None:
    server.etag = "0" * 40
    refused("cannot be checked")
    assert server.sent() == 0


@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_a_gated_repository_says_how_to_get_access(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    row = VARIANTS["rmbg-2.0"]
    server.publish(row.hub_id, FILES)
    server.gated[row.hub_id] = "hf_right"
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelError, match="accept its terms, and set HF_TOKEN") as error:
        hub.download(row)
    assert f"({403 if token else 401})" in str(error.value)
    assert hub.stored(row) is None


def test_a_token_opens_a_gated_repository_and_is_shown_to_no_other_host(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated[ROW.hub_id] = "hf_right"
    server.redirect = "elsewhere"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert hub.download(ROW).path.read_bytes() == CONTENT
    elsewhere = [r for r in server.requests if r.host.startswith("localhost")]
    assert elsewhere and not any(r.token for r in elsewhere)


def test_what_is_not_there_is_told(server: HubServer) -> None:
    server.versions[ROW.hub_id] = {"0" * 40: {"config.json": b"{}"}}
    refused(r"has no model\.safetensors of ZhengPeng7/BiRefNet-portrait \(404\)")
    del server.versions[ROW.hub_id]
    refused(r"refuses ZhengPeng7/BiRefNet-portrait \(401\)")  # as the hub does, to those who show no token


def test_redirects_are_followed_here_and_elsewhere_and_resumed_there(server: HubServer) -> None:
    server.redirect = "relative"
    assert hub.download(ROW).path.read_bytes() == CONTENT
    shutil.rmtree(constants.HF_HUB_CACHE)
    server.redirect, server.breaks_at = "elsewhere", server.sent() + 300_000
    refused("broke off")
    server.breaks_at = None
    assert hub.download(ROW).path.read_bytes() == CONTENT
    last = [r for r in server.requests if r.path.startswith("/files/")][-1]
    assert last.range.startswith("bytes=") and last.sent < len(CONTENT)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_told(server: HubServer, status: int) -> None:
    server.status = status
    assert "try again later" in refused(f"answered {status}")


def test_a_server_that_is_gone_is_told_with_the_ways_out(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use("http://127.0.0.1:9", monkeypatch)  # the discard port: nobody listens
    line = refused("broke off")
    assert "HF_ENDPOINT" in line and "birefvideo models portrait --from FILE" in line


def test_a_newer_file_on_the_hub_does_not_replace_the_locked_one_unasked(server: HubServer) -> None:
    first = hub.download(ROW)
    newer = os.urandom(1000)
    server.publish(ROW.hub_id, {"model.safetensors": newer})
    shutil.rmtree(constants.HF_HUB_CACHE)
    assert hub.download(ROW).path.read_bytes() == CONTENT
    assert read_lock(ROW) == Lock(SHA256, first.path.parent.name)
    assert hub.download(ROW, update=True).path.read_bytes() == newer
    found = hub.stored(ROW)
    assert found and found.path.read_bytes() == newer


def test_a_file_exchanged_under_the_locked_commit_is_refused(server: HubServer) -> None:
    commit = hub.download(ROW).path.parent.name
    shutil.rmtree(constants.HF_HUB_CACHE)
    server.versions[ROW.hub_id][commit] = {"model.safetensors": os.urandom(1000)}
    before = server.sent()
    assert "--update" in refused("no longer the file that was locked")
    assert server.sent() == before


def test_a_pinned_hash_is_held_against_the_hub(server: HubServer) -> None:
    from dataclasses import replace

    with pytest.raises(ModelError, match="no longer the file that was locked"):
        hub.download(replace(ROW, sha256="1" * 64))
    assert hub.download(replace(ROW, sha256=SHA256)).sha256 == SHA256


def test_a_damaged_file_in_the_cache_is_fetched_again(server: HubServer) -> None:
    path = hub.download(ROW).path.resolve()
    path.write_bytes(b"x" * len(CONTENT))
    assert hub.download(ROW).path.read_bytes() == CONTENT


def test_weights_that_another_program_fetched_are_found_checked_and_locked(server: HubServer) -> None:
    got = hub.download(ROW)
    lock_path(ROW).unlink()
    found = hub.stored(ROW)
    assert found and (found.path, found.sha256) == (got.path, SHA256)
    before = len(server.requests)
    assert hub.download(ROW).fetched is False
    assert len(server.requests) == before
    assert read_lock(ROW) == Lock(SHA256, got.path.parent.name)


def test_too_little_room_is_told_before_a_byte_is_fetched(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: NamedTuple("Usage", [("free", int)])(1000))
    assert "make room" in refused("are needed")
    assert server.sent() == 0


def test_a_disk_that_fills_up_keeps_what_came(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = hub.http_get  # type: ignore[attr-defined]

    def full(url: str, file: object, **more: object) -> None:
        file.write(CONTENT[:1000])  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub, "http_get", full)
    refused("no room left")
    monkeypatch.setattr(hub, "http_get", real)
    before = server.sent()
    assert hub.download(ROW).path.read_bytes() == CONTENT
    assert server.sent() - before == len(CONTENT) - 1000


def test_a_damaged_lock_is_told(server: HubServer) -> None:
    hub.download(ROW)
    for text in ("", "{}", json.dumps({"sha256": "../../etc"}), json.dumps({"x": 1})):
        lock_path(ROW).write_text(text)
        with pytest.raises(ModelError, match="is damaged"):
            hub.stored(ROW)


def test_a_variant_that_is_not_on_the_hub_says_where_it_is() -> None:
    with pytest.raises(ModelError, match=r"GitHub release asset.*--from FILE"):
        hub.download(VARIANTS["massive"])


def test_from_pretrained_fetches_published_weights_whose_config_tells_nothing(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import save

    from birefvideo.family.modeling import BiRefNetForImageSegmentation
    from birefvideo.network.birefnet import BiRefNet, Geometry
    from birefvideo.network.swin import SWIN_SIZES, SwinSize

    monkeypatch.setitem(SWIN_SIZES, "swin_v1_t", SwinSize(16, (2, 2, 6, 2), (2, 2, 2, 2), 7))
    torch.manual_seed(3)
    published = BiRefNet(Geometry("swin_v1_t")).eval()
    files = {**FILES, "model.safetensors": save(published.state_dict(), {"format": "pt"})}
    image = torch.rand(1, 3, 64, 64)
    for name in (VARIANTS["lite"].hub_id, "somebody/their-lite"):
        commit = server.publish(name, files)
        model = BiRefNetForImageSegmentation.from_pretrained(name, cache_dir=tmp_path / "hub")
        assert model.config.backbone == "swin_v1_t"
        with torch.inference_mode():
            torch.testing.assert_close(model.eval()(image).logits, published(image))
        before = len(server.requests)
        options: dict[str, Any] = {"cache_dir": tmp_path / "hub", "local_files_only": True, "revision": commit}
        BiRefNetForImageSegmentation.from_pretrained(name, **options)
        assert len(server.requests) == before


@pytest.fixture
def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows without developer mode: snapshots hold real files."""
    monkeypatch.setattr("huggingface_hub.file_download.are_symlinks_supported", lambda *folder: False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS_WARNING", True)


@pytest.mark.usefixtures("without_links")
def test_a_cache_without_links_keeps_one_copy_that_counts_as_here(server: HubServer) -> None:
    path = hub.download(ROW).path
    assert not path.is_symlink() and path.read_bytes() == CONTENT
    assert sum(found.stat().st_size == len(CONTENT) for found in path.parents[2].rglob("*")) == 1
    before = server.sent()
    assert hub.download(ROW).fetched is False and server.sent() == before
    lock_path(ROW).unlink()  # as after another program's download
    assert hub.stored(ROW) == hub.Stored(path)
    again = hub.download(ROW)
    assert (again.fetched, again.sha256, server.sent()) == (False, SHA256, before)
    path.write_bytes(b"x" * len(CONTENT))
    assert hub.download(ROW).path.read_bytes() == CONTENT


def test_a_download_that_only_began_does_not_count_as_here_and_is_told(server: HubServer) -> None:
    from birefvideo.family.checkpoints import find

    server.breaks_at = 300_000
    refused("broke off")
    with pytest.raises(ModelError, match=r"only a part of a download in .*: run birefvideo models --download portrait"):
        find("portrait")


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/1", "commit"])
def test_a_revision_is_fetched_found_and_locked_beside_the_newest(server: HubServer, revision: str) -> None:
    old = os.urandom(1000)
    commit = server.publish(ROW.hub_id, {"model.safetensors": old})
    newest = server.publish(ROW.hub_id, FILES)
    if revision == "commit":
        revision = commit
    else:
        server.names[revision] = commit
    row = variant(f"portrait@{revision}")
    assert hub.stored(row) is None
    got = hub.download(row)
    assert (row.name, got.path.read_bytes(), got.path.parent.name) == (f"portrait@{revision}", old, commit)
    assert hub.stored(row) == hub.Stored(got.path, got.sha256)
    assert hub.stored(ROW) is None
    assert hub.download(ROW).path.parent.name == newest
    assert hub.download(row).path == got.path


def test_a_branch_that_moved_is_taken_with_update_only(server: HubServer) -> None:
    commits = [server.publish(ROW.hub_id, {"model.safetensors": os.urandom(1000)}) for _ in range(2)]
    server.names["dev"] = commits[0]
    row = variant(f"{ROW.hub_id}@dev")
    assert hub.download(row).path.parent.name == commits[0]
    server.names["dev"] = commits[1]
    assert hub.download(row).path.parent.name == commits[0]
    assert hub.download(row, update=True).path.parent.name == commits[1]
    found = hub.stored(row)
    assert found and found.path.parent.name == commits[1]


def test_a_revision_that_the_hub_does_not_have_is_named(server: HubServer) -> None:
    with pytest.raises(ModelError, match=r"has no revision 'v9' with a model\.safetensors .*: check the revision"):
        hub.download(variant("portrait@v9"))


def test_what_is_here_counts_although_its_lock_cannot_be_written(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = hub.download(ROW)
    shutil.rmtree(lock_path(ROW).parent)
    monkeypatch.setattr(constants, "HF_HOME", "/proc/nowhere")  # as a cache of others, mounted read-only
    assert hub.download(ROW).path == got.path


def test_weights_that_come_in_chunks_are_whole(server: HubServer) -> None:
    server.chunked = True
    assert hub.download(ROW).path.read_bytes() == CONTENT


def test_a_server_that_does_not_answer_in_time_is_told(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.05)
    server.waits = 0.3
    assert "HF_HUB_DOWNLOAD_TIMEOUT" in refused("did not answer in time")


def test_another_programs_weights_of_another_form_count_as_here(server: HubServer) -> None:
    from huggingface_hub import hf_hub_download

    server.publish("somebody/theirs", {"pytorch_model.bin": CONTENT, "config.json": b"{}"})
    row = variant("somebody/theirs")
    with pytest.raises(ModelError, match="fetch its other files with hf download somebody/theirs"):
        hub.download(row)
    path = hf_hub_download(row.hub_id, "pytorch_model.bin", cache_dir=constants.HF_HUB_CACHE)
    assert hub.stored(row) == hub.Stored(Path(path), SHA256)
