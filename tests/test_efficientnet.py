"""The second backbone: its shapes, weights that others trained, and what it adds to a network."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import train
import training.batches
import training.run
from drawn_people import write_folder
from torch import Tensor, nn
from training.pretrained import load_pretrained
from training.run import SECOND, TALK, normalise

from birefvideo.family.checkpoints import find, load, save_folder
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.efficientnet import LITE_SIZES, EfficientNetLite
from birefvideo.network.fast_conv import LINEAR, RELU6, Activation, FusedConv
from birefvideo.network.fuse import fuse

WITH_SECOND = replace(TALK, backbone="conv_t", second_backbone="efficientnet_lite0")


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def filled(geometry: Geometry) -> BiRefNet:
    torch.manual_seed(3)
    model = BiRefNet(geometry).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    # Parameters as published, less the classifier and the convolution before it.
    [("efficientnet_lite0", [24, 40, 112, 320], 2_958_848), ("efficientnet_lite2", [24, 48, 120, 352], 4_357_952)],
)
def test_the_network_has_the_published_shape(name: str, channels: list[int], parameters: int) -> None:
    net = EfficientNetLite(LITE_SIZES[name]).eval()
    assert net.channels == channels
    assert sum(p.numel() for p in net.parameters()) == parameters
    maps = net(torch.zeros(2, 3, 80, 48))
    assert [tuple(x.shape) for x in maps] == [
        (2, channels[0], 20, 12),
        (2, channels[1], 10, 6),
        (2, channels[2], 5, 3),
        (2, channels[3], 3, 2),
    ]


def test_a_network_needs_a_known_second_backbone_that_alone_sees_the_half_size() -> None:
    with pytest.raises(ValueError, match="efficientnet_lite0"):
        Geometry("conv_t", "", second_backbone="resnet")
    with pytest.raises(ValueError, match="half-size"):
        Geometry("conv_t", "cat", second_backbone="efficientnet_lite0")


def test_put_beside_a_trained_network_it_changes_nothing_until_it_has_learnt() -> None:
    plain = filled(replace(WITH_SECOND, second_backbone=""))
    model = filled(WITH_SECOND)
    training.run.grow(model, plain)
    image = noise(1, 3, 96, 64)
    assert model.bb2 is not None
    with torch.inference_mode():
        assert torch.equal(model(image), plain(image))
        for join in model.bb2.joins:
            nn.init.normal_(join.get_parameter("weight"))
        assert (model(image) - plain(image)).abs().max() > 1e-4


def test_half_of_it_and_half_of_what_it_grew_from_adds_half_as_much() -> None:
    plain, model = filled(replace(WITH_SECOND, second_backbone="")), filled(WITH_SECOND)
    assert model.bb2 is not None
    wanted = {f"joins.{i}.weight": join.get_parameter("weight") / 2 for i, join in enumerate(model.bb2.joins)}
    wanted |= {f"net.{name}": weight.clone() for name, weight in model.bb2.net.named_parameters()}
    training.run.blend(model, plain, 0.5)
    for name, weight in wanted.items():
        torch.testing.assert_close(model.bb2.get_parameter(name), weight)


def test_all_of_it_trains() -> None:
    model = filled(WITH_SECOND).train()
    outputs = model.forward_training(noise(2, 3, 64, 64))
    (outputs.logits.mean() + sum(x.mean() for x in [*outputs.sides, *outputs.edges])).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_it_is_saved_and_loaded_with_its_network(tmp_path: Path) -> None:
    model = filled(WITH_SECOND)
    save_folder(model, tmp_path / "two", 320, 320 * 192)
    loaded = load(find(str(tmp_path / "two")))
    image = noise(1, 3, 64, 96)
    assert loaded.geometry == WITH_SECOND
    with torch.inference_mode():
        expected = model(image)
        assert (loaded(image) - expected).abs().max() < 0.02 * expected.abs().max()  # weights are kept in fp16


@pytest.mark.parametrize("channels", [1, 48])
@pytest.mark.parametrize("activation", [RELU6, LINEAR])
def test_what_follows_a_convolution_gives_the_same_bits_fused(channels: int, activation: Activation) -> None:
    conv = nn.Conv2d(48, 48, 5, 2, padding=2, groups=48 // channels).requires_grad_(False)
    nn.init.normal_(conv.weight, std=3.0)  # so that six is reached
    fused = FusedConv(conv, activation)
    x = noise(2, 48, 64, 96).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        plain = conv(x)
        other = noise(*plain.shape).contiguous(memory_format=torch.channels_last)
        assert (plain > 6).any() and (plain < 0).any()
        assert torch.equal(fused(x), activation.apply(plain))
        assert torch.equal(fused.added(other, x), activation.apply(other + plain))
    assert torch.equal(pickle.loads(pickle.dumps(fused))(x), activation.apply(plain))


@pytest.mark.parametrize("size", [(1, 3, 32, 64), (2, 3, 160, 224)])
def test_a_network_with_it_gives_the_same_logits_fused(size: tuple[int, int, int, int]) -> None:
    model = filled(WITH_SECOND)
    image = noise(*size)
    with torch.inference_mode():
        expected, result = model(image), fuse(model)(image)
    assert (result - expected).abs().max() < 1e-4 * expected.abs().max()


def as_its_port_names_them(net: EfficientNetLite) -> dict[str, Tensor]:
    """Weights of a network under the names that the PyTorch port uses, as if trained on pictures of (p − 127)/128."""
    first, rest = ("_bn0", "_bn1", "_bn2"), ("expand", "depthwise", "project")
    state = {"_conv_stem.weight": net.stem[0].weight.detach().clone()}
    state |= {f"_bn0.{k}": v.clone() for k, v in net.stem[1].state_dict().items()}
    for i, block in enumerate(net.blocks):
        for norm, part in zip(first, rest, strict=True):
            layers = block.get_submodule(part)
            assert isinstance(layers, nn.Sequential)
            if len(layers):
                state[f"_blocks.{i}._{part}_conv.weight"] = layers[0].state_dict()["weight"].clone()
                state |= {f"_blocks.{i}.{norm}.{k}": v.clone() for k, v in layers[1].state_dict().items()}
    return state | {"_conv_head.weight": torch.zeros(1280, 320, 1, 1), "_fc.bias": torch.zeros(1000)}


def test_weights_that_others_trained_see_pictures_as_they_were_trained(tmp_path: Path) -> None:
    trained = filled(WITH_SECOND).bb2
    assert trained is not None
    net = trained.net
    torch.save(as_its_port_names_them(net), tmp_path / "lite0.pth")
    ours = EfficientNetLite(LITE_SIZES["efficientnet_lite0"]).eval()
    load_pretrained(ours, tmp_path / "lite0.pth")
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-3
    pictures = torch.randint(0, 256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)
    with torch.inference_mode():
        # The zeros around the picture stand for another grey here and there, so the first convolution's border differs.
        theirs = net.stem((pictures.float() - 127) / 128)[..., 1:-1, 1:-1]
        torch.testing.assert_close(ours.stem(normalise(pictures))[..., 1:-1, 1:-1], theirs, atol=1e-4, rtol=1e-4)
        x = F.relu(noise(1, 32, 24, 24))
        for own, block in zip(ours.blocks, net.blocks, strict=True):
            expected = block(x)
            torch.testing.assert_close(own(x), expected, atol=1e-4, rtol=1e-3)
            x = expected


@pytest.mark.parametrize("content", [None, b"no weights", b""])
def test_a_file_without_weights_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "weights.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as refused:
        load_pretrained(EfficientNetLite(LITE_SIZES["efficientnet_lite0"]), file)
    told = str(refused.value)
    assert told.startswith(f"{file} cannot be read as weights") and len(told.splitlines()) == 1


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(as_its_port_names_them(EfficientNetLite(LITE_SIZES["efficientnet_lite0"])), tmp_path / "lite0.pth")
    with pytest.raises(SystemExit, match="does not hold this EfficientNet-Lite: \\['blocks"):
        load_pretrained(EfficientNetLite(LITE_SIZES["efficientnet_lite2"]), tmp_path / "lite0.pth")


@pytest.mark.slow
def test_a_run_puts_it_beside_a_checkpoint_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_folder(tmp_path / "data")
    monkeypatch.setattr(training.batches, "STAGES", ((1.0, ((64, 64),)),))
    torch.save(as_its_port_names_them(EfficientNetLite(LITE_SIZES[SECOND])), tmp_path / "lite2.pth")
    save_folder(filled(TALK), tmp_path / "first", 640, 640 * 360)

    def run(*arguments: object) -> None:
        options = ("--data", data, "--cache", tmp_path / "cache", "--batch", "2", "--run", tmp_path / "a", "--frozen")
        monkeypatch.setattr(sys, "argv", ["train.py", *map(str, (*options, *arguments))])
        train.main()

    run("--steps", "1", "--init", tmp_path / "first", "--second", tmp_path / "lite2.pth")
    run("--steps", "2")
    optimisers = torch.load(tmp_path / "a" / "state.pt", weights_only=True)["optimisers"]
    own, *_, known = (optimiser["param_groups"][0]["lr"] for optimiser in optimisers)
    assert 0 < known == pytest.approx(0.2 * own)
    assert json.loads((tmp_path / "a" / "recipe.json").read_text())["geometry"]["second_backbone"] == SECOND
    run("--export", tmp_path / "second")
    assert load(find(str(tmp_path / "second"))).geometry == replace(TALK, second_backbone=SECOND)


def test_a_run_that_began_without_one_does_not_take_one(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps({"geometry": asdict(TALK)}))
    recipe = training.run.Recipe(tmp_path, torch.device("cpu"), 1, 2, second=tmp_path / "lite2.pth")
    with pytest.raises(SystemExit, match="no second backbone; for one, choose another --run"):
        training.run.Run(recipe)
