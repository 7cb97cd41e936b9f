"""Finding and reading checkpoints: names, folders, files, what does not fit, and transformers' own loading."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import birefvideo
from birefvideo.errors import ModelError, OptionError
from birefvideo.family.checkpoints import find, load, save_folder
from birefvideo.family.importing import import_weights
from birefvideo.family.native_size import native_size
from birefvideo.family.shards import sha256_of
from birefvideo.family.variants import EMBEDDED, VARIANTS
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.swin import SWIN_SIZES, SwinSize

pytestmark = pytest.mark.usefixtures("empty_cache")

SMALL = Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint folder of our own layout."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("small")
    save_folder(BiRefNet(SMALL).eval(), path, long_side=96)
    return path


SMALL_SWIN = SwinSize(16, (2, 2, 6, 2), (2, 2, 2, 2), 7)


@pytest.fixture(scope="module")
def swin_network() -> BiRefNet:
    """A network of published geometry, but for the few channels of what stands in for Swin-T here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SWIN_SIZES, "swin_v1_t", SMALL_SWIN)
        torch.manual_seed(3)
        return BiRefNet(Geometry("swin_v1_t")).eval()


@pytest.fixture
def small_swin(swin_network: BiRefNet, monkeypatch: pytest.MonkeyPatch) -> BiRefNet:
    """That network, in a test for which Swin-T is that small."""
    monkeypatch.setitem(SWIN_SIZES, "swin_v1_t", SMALL_SWIN)
    return swin_network


def cached(hub_id: str, weights: Path) -> Path:
    """Puts a file where another program's download would have left it."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    commit = "c" * 40
    snapshot = folder / "snapshots" / commit
    for path in (snapshot, folder / "refs", folder / "blobs"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    blob = folder / "blobs" / sha256_of(weights)
    blob.write_bytes(weights.read_bytes())
    (snapshot / "model.safetensors").symlink_to(blob)
    return snapshot / "model.safetensors"


def test_the_embedded_checkpoint_is_there_small_and_described() -> None:
    checkpoint = find(EMBEDDED)
    assert checkpoint.weights.stat().st_size <= 25_000_000
    assert checkpoint.weights.with_name("README.md").stat().st_size > 1000
    assert load(checkpoint).geometry == checkpoint.geometry


def test_auto_without_a_gpu_is_the_embedded_one_and_says_why() -> None:
    checkpoint = find("auto", has_gpu=False)
    assert checkpoint.name == EMBEDDED
    assert "GPU" in checkpoint.reason


def test_auto_with_a_gpu_takes_official_weights_only_if_they_are_cached(tmp_path: Path) -> None:
    assert find("auto", has_gpu=True).name == EMBEDDED
    (tmp_path / "any").write_bytes(b"any")
    weights = cached(VARIANTS["portrait"].hub_id, tmp_path / "any")
    found = find("auto", has_gpu=True)
    assert (found.name, found.weights, found.geometry) == ("portrait", weights, Geometry("swin_v1_l"))
    assert find("auto", has_gpu=False).name == EMBEDDED


@pytest.mark.parametrize("name", ["birefnet", "x" * 300, "a\0b", "~nobody-of-that-name/model"])
def test_an_unknown_name_is_refused_with_all_names(name: str) -> None:
    with pytest.raises(OptionError) as error:
        find(name)
    assert all(name in str(error.value) for name in VARIANTS)


@pytest.mark.parametrize("name", [*(name for name in VARIANTS if name != EMBEDDED), "somebody/their-model"])
def test_weights_that_are_not_here_give_one_line_with_the_ways_out(name: str) -> None:
    with pytest.raises(ModelError) as error:
        find(name)
    line = error.value.for_terminal()
    assert "\n" not in line
    assert "on another machine" in line and f"--model {EMBEDDED}" in line
    row = VARIANTS.get(name)
    if row is None or row.hub_id:
        assert f"birefvideo models --download {name} (with HF_ENDPOINT=URL" in line
    assert (f"birefvideo models {name} --from FILE" if row else "pass --model FILE") in line


def test_cached_weights_are_found_and_loaded_without_a_connection(small_swin: BiRefNet, tmp_path: Path) -> None:
    save_file(small_swin.state_dict(), tmp_path / "lite.safetensors")
    for name, hub_id in (("lite", VARIANTS["lite"].hub_id), ("somebody/their-model", "somebody/their-model")):
        weights = cached(hub_id, tmp_path / "lite.safetensors")
        found = find(name)
        assert (found.weights, found.digest()) == (weights, sha256_of(weights))
        assert find(hub_id).weights == weights
        assert load(found).geometry.backbone == "swin_v1_t"


def test_a_hub_id_with_a_config_of_ours_brings_its_own_geometry_and_size(folder: Path) -> None:
    weights = cached("somebody/their-model", folder / "model.safetensors")
    weights.with_name("config.json").write_text((folder / "config.json").read_text())
    found = find("somebody/their-model")
    assert load(found).geometry == SMALL
    assert found.size.network_size(1920, 1080) == (96, 64)


def test_weights_that_changed_since_they_came_are_refused(tmp_path: Path) -> None:
    (tmp_path / "any").write_bytes(b"any")
    weights = cached(VARIANTS["portrait"].hub_id, tmp_path / "any")
    found = find("portrait")
    assert found.digest() == sha256_of(weights)
    weights.resolve().write_bytes(b"other")
    with pytest.raises(ModelError, match=r"is damaged or was exchanged .*birefvideo models --download portrait"):
        find("portrait").digest()


def test_native_sizes_are_the_published_ones() -> None:
    sizes = {name: native_size(row).network_size(1920, 1080) for name, row in VARIANTS.items()}
    assert sizes.pop("hr") == sizes.pop("hr-matting") == (2048, 2048)
    assert sizes.pop("lite-2k") == (2560, 1440)
    assert sizes.pop("general-512") == (512, 512)
    assert sizes.pop("dynamic") == (1920, 1088)
    assert sizes.pop(EMBEDDED) == (640, 352)
    assert set(sizes.values()) == {(1024, 1024)}


def test_a_folder_round_trips(folder: Path) -> None:
    found = find(str(folder))
    assert found.size.network_size(1920, 1080) == (96, 64)
    torch.manual_seed(1)
    original, loaded = BiRefNet(SMALL).eval(), load(found)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(loaded(image), original(image), atol=5e-3, rtol=0)  # stored as fp16


def test_statistics_beyond_half_precision_survive_a_folder(tmp_path: Path) -> None:
    model = BiRefNet(SMALL).eval()
    name, statistic = next((k, v) for k, v in model.state_dict().items() if k.endswith("running_var"))
    statistic.fill_(90_000.0)
    save_folder(model, tmp_path, long_side=96)
    assert (load(find(str(tmp_path))).state_dict()[name] == 90_000).all()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "birefnet."])
def test_prefixes_that_wrappers_leave_are_ignored(folder: Path, tmp_path: Path, prefix: str) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({prefix + k: v for k, v in state.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    load(find(str(tmp_path)))


def test_published_weights_without_config_or_index_buffers_tell_their_backbone(
    small_swin: BiRefNet, tmp_path: Path
) -> None:
    state = small_swin.state_dict()
    state = {f"module.{k}": v.half() for k, v in state.items() if not k.endswith("relative_position_index")}
    save_file(state, tmp_path / "lite.safetensors")
    torch.save(state, tmp_path / "lite.pth")
    image = torch.rand(1, 3, 64, 64)
    for name in ("lite.safetensors", "lite.pth"):
        checkpoint = find(str(tmp_path / name))
        assert checkpoint.size.network_size(1920, 1080) == (1024, 1024)
        loaded = load(checkpoint)
        assert loaded.geometry.backbone == "swin_v1_t"
        with torch.inference_mode():
            torch.testing.assert_close(loaded(image), small_swin(image), atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    ("backbone", "prefix", "indices"),
    [
        *(("swin_v1_t", prefix, indices) for prefix in ("", "module.", "_orig_mod.") for indices in (True, False)),
        ("swin_v1_l", "", True),
    ],
)
def test_every_published_form_of_a_state_dict_fits(tmp_path: Path, backbone: str, prefix: str, indices: bool) -> None:
    shapes = json.loads((Path(__file__).parent / "reference" / f"{backbone}_state_dict.json").read_text())
    # Zeros that share one number: the file is small, however large the network.
    state = {prefix + k: torch.zeros(()).expand(shape) for k, (shape, _) in shapes.items()}
    state = {k: v for k, v in state.items() if indices or not k.endswith("relative_position_index")}
    torch.save(state, tmp_path / "weights.pth")
    model = load(find(str(tmp_path / "weights.pth")))
    assert model.geometry.backbone == backbone
    table = model.get_buffer("bb.layers.0.blocks.0.attn.relative_position_index")
    assert table.dtype == torch.int64 and int(table.max()) == (2 * SWIN_SIZES[backbone].window - 1) ** 2 - 1
    assert not any(tensor.is_meta for tensor in model.state_dict().values())


def test_a_file_keeps_its_dtype_where_that_is_asked_for(folder: Path) -> None:
    found = find(str(folder))
    assert {p.dtype for p in load(found).parameters()} == {torch.float32}
    assert {p.dtype for p in load(found, dtype=None).parameters()} == {torch.float16}
    assert {p.dtype for p in load(found, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}


def test_weights_that_do_not_fit_name_the_first_differing_keys(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    state = load_file(folder / "model.safetensors")
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**config, "head_width": 16}))
    with pytest.raises(ModelError, match=r"decoder\.head\.conv1\.weight is \(8, 28, 3, 3\), should be \(16") as error:
        load(find(str(tmp_path)))
    assert "decoder.head.bn1.weight" in str(error.value) and "keys differ" in str(error.value)
    del state["decoder.head.conv_out.bias"]
    state["decoder.tail"] = torch.zeros(2)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"conv_out\.bias is missing, .*decoder\.tail is \(2,\), should be absent"):
        load(find(str(tmp_path)))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "run",))

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match=r"cannot be read as weights \(beside weights it holds .*can run code"):
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


@pytest.mark.parametrize("kind", ["file", "folder", "pth", "folder of one"])
def test_weights_brought_on_a_stick_are_imported(small_swin: BiRefNet, tmp_path: Path, kind: str) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    name = {"folder": "model.safetensors", "pth": "lite.pth"}.get(kind, "lite.safetensors")
    if kind == "pth":
        torch.save({f"module.{k}": v for k, v in small_swin.state_dict().items()}, stick / name)
    else:
        save_file(small_swin.state_dict(), stick / name)
    found = import_weights("lite", stick if "folder" in kind else stick / name)
    (stick / name).unlink()
    again = find("lite")
    assert again == found
    assert again.digest() == again.sha256
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(load(again)(image), small_swin(image))


def test_what_cannot_be_imported_leaves_what_was_there(small_swin: BiRefNet, tmp_path: Path) -> None:
    save_file(small_swin.state_dict(), tmp_path / "good.safetensors")
    before = import_weights("lite", tmp_path / "good.safetensors")
    other = {k: v for k, v in small_swin.state_dict().items() if "conv_out1" not in k}
    save_file(other, tmp_path / "other.safetensors")
    data = (tmp_path / "good.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty").mkdir()
    for name, match in [
        ("other.safetensors", "does not fit swin_v1_t"),
        ("cut.safetensors", "cannot be read as weights"),
        ("missing.safetensors", "check the path"),
        ("empty", "check the path"),
        (".", "holds several weights files"),
    ]:
        with pytest.raises(ModelError, match=match):
            import_weights("lite", tmp_path / name)
        assert find("lite") == before
        assert find("lite").digest()
    assert len(list(before.weights.parent.iterdir())) == 1


def test_an_import_that_is_interrupted_counts_for_nothing(
    small_swin: BiRefNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(small_swin.state_dict(), tmp_path / "good.safetensors")

    def half(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfile", half)
    with pytest.raises(KeyboardInterrupt):
        import_weights("lite", tmp_path / "good.safetensors")
    with pytest.raises(ModelError, match="not on this machine"):
        find("lite")


def test_an_import_replaces_the_one_before_and_keeps_one_copy(small_swin: BiRefNet, tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        state = small_swin.state_dict() | {"decoder.conv_out1.0.bias": torch.tensor([value])}
        save_file(state, tmp_path / "new.safetensors")
        found = import_weights("lite", tmp_path / "new.safetensors")
        assert load(found).get_parameter("decoder.conv_out1.0.bias").item() == value
    assert list(found.weights.parent.iterdir()) == [found.weights]


def test_an_import_needs_a_variants_name(tmp_path: Path) -> None:
    for name in ("portret", "somebody/their-model", EMBEDDED):
        with pytest.raises(OptionError, match="name one of general"):
            import_weights(name, tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        find(str(tmp_path))


def test_load_model_is_a_transformers_model_that_saves_and_loads(folder: Path, tmp_path: Path) -> None:
    from transformers import PreTrainedModel

    from birefvideo.family.modeling import BiRefNetForImageSegmentation

    model = birefvideo.load_model(str(folder))
    assert isinstance(model, PreTrainedModel)
    model.save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors").keys() == model.birefnet.state_dict().keys()  # the published ones
    again = BiRefNetForImageSegmentation.from_pretrained(tmp_path)
    assert not again.birefnet.training
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.birefnet(image), model(image).logits)
        torch.testing.assert_close(copy.deepcopy(model)(image).logits, model(image).logits)
        torch.testing.assert_close(again(image).logits, model(image).logits)
        assert model(image, labels=torch.zeros(1, 1, 64, 64)).loss > 0


def test_load_model_builds_the_network_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    real = BiRefNet.__init__

    def noted(self: BiRefNet, geometry: Geometry) -> None:
        built.append(geometry)
        real(self, geometry)

    monkeypatch.setattr(BiRefNet, "__init__", noted)
    birefvideo.load_model(str(folder))
    assert built == [SMALL]


def test_published_keys_load_through_from_pretrained(tmp_path: Path) -> None:
    from birefvideo.family.config import BiRefNetConfig
    from birefvideo.family.modeling import BiRefNetForImageSegmentation

    torch.manual_seed(2)
    published = BiRefNet(SMALL).eval()
    save_file(published.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = BiRefNetConfig(**asdict(SMALL))
    model = BiRefNetForImageSegmentation.from_pretrained(tmp_path, config=config)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(image).logits, published(image))


@pytest.mark.parametrize("indices", [True, False])
def test_from_pretrained_reads_weights_with_a_config_that_tells_nothing(
    small_swin: BiRefNet, tmp_path: Path, indices: bool
) -> None:
    from birefvideo.family.modeling import BiRefNetForImageSegmentation

    state = {k: v for k, v in small_swin.state_dict().items() if indices or not k.endswith("position_index")}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text('{"architectures": ["BiRefNet"], "bb_pretrained": false}')
    model = BiRefNetForImageSegmentation.from_pretrained(tmp_path)
    assert model.config.backbone == "swin_v1_t"
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(image).logits, small_swin(image))
