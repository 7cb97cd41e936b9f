"""Finding and reading checkpoints: names, folders, files, what does not fit, and transformers' own loading."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import birefvideo
from birefvideo.errors import ModelError, OptionError
from birefvideo.matting import checkpoints
from birefvideo.matting.checkpoints import EMBEDDED, find, load, save_folder
from birefvideo.matting.variants import VARIANTS
from birefvideo.network.birefnet import BACKBONES, BiRefNet, Geometry

SMALL = Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint folder of our own layout."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("small")
    save_folder(BiRefNet(SMALL).eval(), path, long_side=96)
    return path


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails on any connection, and hides this machine's cache."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def test_the_embedded_checkpoint_is_there_small_and_described() -> None:
    checkpoint = find(EMBEDDED)
    assert checkpoint.weights.stat().st_size <= 20_000_000
    assert checkpoint.weights.with_name("README.md").stat().st_size > 1000
    assert load(checkpoint).geometry == checkpoint.geometry


def test_auto_without_a_gpu_is_the_embedded_one_and_says_why() -> None:
    checkpoint = find("auto", has_gpu=False)
    assert checkpoint.name == EMBEDDED
    assert "GPU" in checkpoint.reason


def test_auto_with_a_gpu_takes_official_weights_only_if_they_are_cached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert find("auto", has_gpu=True).name == EMBEDDED
    weights = tmp_path / "model.safetensors"
    monkeypatch.setattr(checkpoints, "try_to_load_from_cache", lambda hub_id, name: str(weights))
    found = find("auto", has_gpu=True)
    assert (found.name, found.weights, found.geometry) == ("portrait", weights, Geometry("swin_v1_l"))


def test_an_unknown_name_is_refused_with_all_names() -> None:
    with pytest.raises(OptionError) as error:
        find("birefnet")
    assert all(name in str(error.value) for name in [EMBEDDED, *VARIANTS])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_that_is_not_cached_says_what_to_do(name: str) -> None:
    assert VARIANTS[name].backbone in BACKBONES
    with pytest.raises(ModelError, match="--model FOLDER"):
        find(name)


def test_a_folder_round_trips(folder: Path) -> None:
    found = find(str(folder))
    assert found.size.network_size(1920, 1080) == (96, 64)
    torch.manual_seed(1)
    original, loaded = BiRefNet(SMALL).eval(), load(found)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(loaded(image), original(image), atol=5e-3, rtol=0)  # stored as fp16


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "birefnet."])
def test_prefixes_that_wrappers_leave_are_ignored(folder: Path, tmp_path: Path, prefix: str) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({prefix + k: v for k, v in state.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    load(find(str(tmp_path)))


def test_published_weights_without_config_or_index_buffers_tell_their_backbone(tmp_path: Path) -> None:
    state = BiRefNet(Geometry("swin_v1_t")).state_dict()
    state = {k: v.half() for k, v in state.items() if not k.endswith("relative_position_index")}
    save_file(state, tmp_path / "lite.safetensors")
    torch.save(state, tmp_path / "lite.pth")
    for name in ("lite.safetensors", "lite.pth"):
        checkpoint = find(str(tmp_path / name))
        assert checkpoint.size.network_size(1920, 1080) == (1024, 1024)
        assert load(checkpoint).geometry.backbone == "swin_v1_t"


def test_weights_that_do_not_fit_name_the_first_differing_key(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    state = load_file(folder / "model.safetensors")
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**config, "head_width": 16}))
    with pytest.raises(ModelError, match=r"decoder\.head\.conv1\.weight is \(8, 28, 3, 3\), should be \(16"):
        load(find(str(tmp_path)))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "run",))

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load(find(str(tmp_path / "evil.pth")))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cut\.safetensors cannot be read as weights") as error:
        load(find(str(path)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"hi", b"not a pickle at all"])
def test_a_pth_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.pth cannot be read as weights"):
        load(find(str(path)))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        find(str(tmp_path))


def test_load_model_is_a_transformers_model_that_saves_and_loads(folder: Path, tmp_path: Path) -> None:
    from transformers import PreTrainedModel

    from birefvideo.matting.modeling import BiRefNetForImageSegmentation

    model = birefvideo.load_model(str(folder))
    assert isinstance(model, PreTrainedModel)
    model.save_pretrained(tmp_path)
    again = BiRefNetForImageSegmentation.from_pretrained(tmp_path)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(again(image).logits, model(image).logits)
        assert model(image, labels=torch.zeros(1, 1, 64, 64)).loss > 0


def test_published_keys_load_through_from_pretrained(tmp_path: Path) -> None:
    from birefvideo.matting.modeling import BiRefNetConfig, BiRefNetForImageSegmentation

    torch.manual_seed(2)
    published = BiRefNet(SMALL).eval()
    save_file(published.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    from dataclasses import asdict

    config = BiRefNetConfig(**asdict(SMALL))
    model = BiRefNetForImageSegmentation.from_pretrained(tmp_path, config=config)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(image).logits, published(image))
