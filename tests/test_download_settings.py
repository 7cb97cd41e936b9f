"""Settings of a download that cannot be used: one line that names the setting, and no connection is opened."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from test_models_command import run_models

from birefvideo.errors import ModelError
from birefvideo.family import connection, hub, hub_place
from birefvideo.family.client import constants
from birefvideo.family.variants import VARIANTS

ROW = VARIANTS["portrait"]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    """No setting of this machine's; a connection fails the test."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("HF_", "HUGGING", "SSL_CERT")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(empty_cache / "token"))


def line() -> str:
    with pytest.raises(ModelError) as error:
        hub.download(ROW)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_socks_proxy_without_its_package_names_both(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "socks5://me:secret@proxy:1080")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda what: None if "socks" in what else real(what))
    told = line()
    assert told.startswith(f"{name} is a SOCKS proxy (socks5://proxy:1080)") and "pip install" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "proxy", ["ftp://proxy:1", "http://proxy:99999", "http://", "http://a b:3", "http://[::1", "http://me:secret@p:x"]
)
def test_a_proxy_that_is_no_address_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    told = line()
    assert told.startswith("HTTPS_PROXY is ") and "such as http://proxy:3128" in told
    assert "secret" not in told


@pytest.mark.parametrize("address", ["nonsense", "https:", "ftp://hub", "http://hub:port", "http://a b", "http://[::1"])
def test_an_endpoint_that_is_no_address_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", address)
    assert line().startswith(f"HF_ENDPOINT is '{address}', which cannot be used")


@pytest.mark.parametrize("token", ["hf_é", "hf_a\nb", "hf_a b", "hf_\x1b[0m", "“hf_a”"])
def test_a_token_that_no_header_can_carry_is_named_and_not_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    told = line()
    assert told.startswith("the token in HF_TOKEN has characters") and token not in told


def test_a_token_file_that_is_no_text_is_named(empty_cache: Path) -> None:
    empty_cache.mkdir()
    (empty_cache / "token").write_bytes(b"\xff\xfe\x00")
    assert line().startswith(f"the token in {empty_cache / 'token'} cannot be read")


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in connection._CERTIFICATES:
        monkeypatch.setenv(name, "/nowhere")
    assert line().startswith(f"{connection._CERTIFICATES[0]} is '/nowhere', which is not there")


@pytest.mark.parametrize("name", ["HF_HOME", "HF_HUB_CACHE"])
@pytest.mark.parametrize("deeper", ["", "deeper"])
def test_a_place_that_is_a_file_holds_nothing_and_is_named(
    name: str, deeper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(constants, name, str(tmp_path / "file" / deeper))
    assert hub.stored(ROW) is None
    assert f"{name} is {tmp_path / 'file' / deeper}" in hub_place.why_unusable()
    assert f"({name} is " in line()


def test_a_place_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HOME", "/proc/nowhere")
    assert "cannot write /proc/nowhere" in line() and "set HF_HOME" in line()


@pytest.mark.parametrize(("name", "value"), [("HF_HUB_DOWNLOAD_TIMEOUT", "abc"), ("HF_ENDPOINT", "http://[::1")])
def test_a_setting_that_the_client_cannot_even_start_with_is_named(name: str, value: str) -> None:
    made = run_models("--download", "portrait", **{name: value})
    if made.stderr.startswith("birefvideo: fetching"):
        pytest.skip("this client starts with it")
    assert made.returncode == 1
    assert made.stderr.startswith(f"birefvideo: {name} is '{value}'") and len(made.stderr.splitlines()) == 1
