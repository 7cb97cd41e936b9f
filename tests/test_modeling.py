"""BiRefNet as a transformers model: dtypes, round trips, losses and what engineers expect of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import birefvideo
from birefvideo.family.checkpoints import find, save_folder
from birefvideo.family.config import BiRefNetConfig
from birefvideo.family.image_processor import BiRefNetImageProcessor
from birefvideo.family.modeling import BiRefNetForImageSegmentation
from birefvideo.matting.input_size import InputSize
from birefvideo.network.birefnet import BiRefNet, Geometry

SMALL = Geometry("conv_t", "", attention=("", "", "", "", ""), head="subpixel", head_width=8)


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def network() -> BiRefNet:
    """A small network whose norms have statistics that half precision cannot hold, as `talk` has."""
    torch.manual_seed(1)
    network = BiRefNet(SMALL).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(250_000)
        if name.endswith("running_mean"):
            buffer.normal_(0, 100)
    return network


@pytest.fixture
def folder(network: BiRefNet, tmp_path: Path) -> Path:
    """Its checkpoint: weights in float16, statistics in float32."""
    save_folder(network, tmp_path / "half", long_side=96)
    return tmp_path / "half"


def logits_of(model: Any, picture: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(picture).logits.float()
    return logits


def test_a_checkpoint_of_half_weights_loads_as_float32_and_gives_the_same(
    network: BiRefNet, folder: Path, picture: torch.Tensor
) -> None:
    model = BiRefNetForImageSegmentation.from_pretrained(folder)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32, torch.int64}
    assert not any(buffer.isinf().any() for buffer in model.buffers())
    expected = birefvideo.load_model(folder)
    torch.testing.assert_close(logits_of(model, picture), logits_of(expected, picture))


@pytest.mark.parametrize("dtype", ["auto", "float16", torch.bfloat16])
def test_another_dtype_keeps_the_statistics_and_takes_float32_pictures(
    folder: Path, picture: torch.Tensor, dtype: Any
) -> None:
    model = BiRefNetForImageSegmentation.from_pretrained(folder, dtype=dtype)
    assert model.dtype == (dtype if isinstance(dtype, torch.dtype) else torch.float16)
    state = model.state_dict()
    assert all(state[key].dtype == torch.float32 for key in state if key.endswith(("running_mean", "running_var")))
    expected = logits_of(birefvideo.load_model(folder), picture)
    assert (logits_of(model, picture) - expected).abs().max() < 0.02 * expected.abs().max()


def test_a_round_trip_keeps_the_matte(folder: Path, tmp_path: Path, picture: torch.Tensor) -> None:
    first = BiRefNetForImageSegmentation.from_pretrained(folder)
    first.save_pretrained(tmp_path / "again")
    second = birefvideo.load_model(tmp_path / "again")
    assert torch.equal(logits_of(second, picture), logits_of(first, picture))
    assert find(str(tmp_path / "again")).size == InputSize(long_side=96)


@pytest.mark.parametrize(
    "size", [InputSize(long_side=640), InputSize(fixed=(2560, 1440)), InputSize(sides=(256, 2304))], ids=str
)
def test_a_round_trip_keeps_the_input_size(network: BiRefNet, tmp_path: Path, size: InputSize) -> None:
    config = BiRefNetConfig(**vars(SMALL), **size.to_config())
    BiRefNetForImageSegmentation(config, network).save_pretrained(tmp_path / "once")
    birefvideo.load_model(tmp_path / "once").save_pretrained(tmp_path / "twice")
    assert find(str(tmp_path / "twice")).size == size
    assert BiRefNetForImageSegmentation.from_pretrained(tmp_path / "twice").config.native_size() == size


def test_the_embedded_model_keeps_its_input_size(tmp_path: Path) -> None:
    birefvideo.load_model("talk").save_pretrained(tmp_path)
    assert find(str(tmp_path)).size == find("talk").size


def test_answers_with_a_tuple_where_that_is_asked_for(folder: Path, picture: torch.Tensor) -> None:
    model = BiRefNetForImageSegmentation.from_pretrained(folder)
    with torch.inference_mode():
        (logits,) = model(picture, return_dict=False)
        loss, again = model(picture, labels=torch.zeros(1, 1, 64, 96), return_dict=False)
    torch.testing.assert_close(again, logits)
    assert loss.ndim == 0


def test_a_keyword_overrides_the_config(folder: Path) -> None:
    model = BiRefNetForImageSegmentation.from_pretrained(folder, long_side=128, output_hidden_states=False)
    assert model.config.native_size() == InputSize(long_side=128)


def test_the_loss_reaches_every_parameter_and_falls(folder: Path, picture: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = BiRefNetForImageSegmentation.from_pretrained(folder).train()
    labels = torch.zeros(1, 1, 64, 96)
    labels[..., 16:48, 24:72] = 1
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = model(picture, labels=labels).loss
        loss.backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_weights_are_saved_under_the_published_names(folder: Path, tmp_path: Path, network: BiRefNet) -> None:
    BiRefNetForImageSegmentation.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    assert load_file(tmp_path / "saved" / "model.safetensors").keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (torch.zeros(1, 3, 64, 96, dtype=torch.uint8), "uint8, but the network takes normalised pictures"),
        (torch.zeros(1, 4, 64, 96), r"not \(1, 4, 64, 96\)"),
        (torch.zeros(3, 64, 96), r"not \(3, 64, 96\)"),
        (torch.zeros(0, 3, 64, 96), r"not \(0, 3, 64, 96\)"),
        (torch.zeros(1, 3, 64, 90), r"multiples of 32, got \(64, 90\)"),
    ],
    ids=["uint8", "rgba", "no batch", "none", "size"],
)
def test_says_what_pictures_the_network_takes(folder: Path, pixels: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        birefvideo.load_model(folder)(pixels)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.zeros(1, 64, 96), r"labels are \(1, 1, 64, 96\) for these pictures.*, not \(1, 64, 96\)"),
        (torch.zeros(1, 1, 32, 48), r"not \(1, 1, 32, 48\)"),
        (torch.zeros(2, 1, 64, 96), r"not \(2, 1, 64, 96\)"),
        (torch.full((1, 1, 64, 96), 255.0), "from 255 to 255: divide by 255"),
        (torch.full((1, 1, 64, 96), torch.nan), "from nan to nan"),
    ],
    ids=["no channel", "size", "count", "range", "nan"],
)
def test_says_what_labels_the_loss_takes(folder: Path, picture: torch.Tensor, labels: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        birefvideo.load_model(folder)(picture, labels=labels)


def test_masks_of_whole_numbers_are_labels_too(folder: Path, picture: torch.Tensor) -> None:
    model = birefvideo.load_model(folder)
    mask = torch.zeros(1, 1, 64, 96, dtype=torch.bool)
    mask[..., 16:48, 24:72] = True
    losses = [
        float(model(picture, labels=mask.to(dtype)).loss.detach()) for dtype in (torch.bool, torch.uint8, torch.float32)
    ]
    assert losses == losses[:1] * 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_pictures_of_another_precision_are_cast(folder: Path, picture: torch.Tensor, dtype: torch.dtype) -> None:
    model = birefvideo.load_model(folder)
    assert torch.equal(logits_of(model, picture.to(dtype)), logits_of(model, picture.to(dtype).float()))


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_gradient_checkpointing_is_refused_in_a_line(folder: Path) -> None:
    with pytest.raises(ValueError, match="does not support"):
        birefvideo.load_model(folder).gradient_checkpointing_enable()


DISTRIBUTED = """
import sys
from datetime import timedelta
import torch
from PIL import Image
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
import birefvideo
rank, store, *networks = sys.argv[1:]
torch.set_num_threads(1)
limit = timedelta(seconds=100)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=2, timeout=limit)
for folder in networks:
    network = birefvideo.load_model(folder).train()
    model = DistributedDataParallel(network)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(int(rank))
    for _ in range(2):
        optimizer.zero_grad()
        pictures, labels = torch.randn(2, 3, 64, 96, generator=generator), torch.rand(2, 1, 64, 96, generator=generator)
        model(pixel_values=pictures, labels=labels).loss.backward()
        optimizer.step()
    mine = torch.cat([weight.detach().flatten() for weight in network.parameters()])
    both = [torch.empty_like(mine) for _ in range(2)]
    dist.all_gather(both, mine)
    before = torch.cat([weight.flatten() for weight in birefvideo.load_model(folder).parameters()])
    print(torch.equal(*both), not torch.equal(mine, before))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_it_together(tmp_path: Path) -> None:
    # DDP without `find_unused_parameters` raises in the second step where the loss has missed a parameter.
    torch.manual_seed(2)
    attention = ("deformable", "aspp", "", "deformable", "")
    geometry = Geometry("conv_c", attention=attention, block_width=16, aspp_width=16, reference_width=16)
    save_folder(BiRefNet(geometry), tmp_path / "all kinds of attention", long_side=96)
    command = [sys.executable, "-W", "ignore", "-c", DISTRIBUTED]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store"), "talk", str(tmp_path / "all kinds of attention")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        ends = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [said.split() for said, _ in ends] == [["True"] * 4] * 2, "\n".join(errors for _, errors in ends)


AUTO_CLASSES = """
import sys
{first}
assert "birefvideo.family.modeling" not in sys.modules
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageSegmentation, pipeline
folder = sys.argv[1]
print(type(AutoConfig.from_pretrained(folder)).__name__)
model = AutoModelForImageSegmentation.from_pretrained(folder)
processor = AutoImageProcessor.from_pretrained(folder)
print(type(model).__name__, type(processor).__name__, processor.native_size.long_side)
segments = pipeline("image-segmentation", model=model, image_processor=processor)
import numpy, PIL.Image
for found in segments(PIL.Image.fromarray(numpy.zeros((90, 160, 3), numpy.uint8))):
    print(found["label"] in ("background", "foreground"), found["mask"].size)
"""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["import birefvideo", "import transformers, birefvideo"])
def test_the_auto_classes_know_it_once_birefvideo_is_imported(folder: Path, tmp_path: Path, first: str) -> None:
    birefvideo.load_model(folder).save_pretrained(tmp_path / "saved")
    command = [sys.executable, "-W", "ignore", "-c", AUTO_CLASSES.format(first=first), str(tmp_path / "saved")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["BiRefNetConfig", "BiRefNetForImageSegmentation BiRefNetImageProcessor 96"], done.stderr
    assert lines[2:] and set(lines[2:]) == {"True (160, 90)"}


def test_a_network_is_saved_and_loaded_without_pillow(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['PIL'] = None; import birefvideo; "
        "birefvideo.load_model(sys.argv[1]).save_pretrained(sys.argv[2]); birefvideo.load_model(sys.argv[2])"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder), str(tmp_path / "saved")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    saved = BiRefNetImageProcessor.from_pretrained(tmp_path / "saved")
    assert saved.native_size == InputSize(long_side=96)


def test_importing_birefvideo_imports_no_transformers() -> None:
    program = "import birefvideo, sys; sys.exit(any(m in sys.modules for m in ('transformers', 'torch')))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


class TestImageProcessor:
    @pytest.mark.parametrize(
        "picture",
        [
            np.full((90, 160, 3), 200, np.uint8),
            torch.full((3, 90, 160), 200, dtype=torch.uint8),
        ],
        ids=["array", "tensor"],
    )
    def test_scales_and_normalises(self, picture: Any) -> None:
        pixels = BiRefNetImageProcessor(long_side=320)(picture)["pixel_values"]
        assert pixels.shape == (1, 3, 192, 320)
        expected = [(200 / 255 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
        torch.testing.assert_close(pixels[0, :, 100, 100], torch.tensor(expected))

    def test_gives_mattes_at_the_size_asked_for(self, folder: Path) -> None:
        processor = BiRefNetImageProcessor(long_side=96)
        pixels = processor([np.zeros((60, 90, 3), np.uint8)] * 2)["pixel_values"]
        with torch.inference_mode():
            outputs = BiRefNetForImageSegmentation.from_pretrained(folder)(pixels)
        mattes = processor.post_process_matting(outputs, [(60, 90), (30, 45)])
        assert [tuple(matte.shape) for matte in mattes] == [(60, 90), (30, 45)]
        assert all(matte.min() >= 0 and matte.max() <= 1 for matte in mattes)

    def test_says_what_a_picture_is(self) -> None:
        with pytest.raises(ValueError, match=r"not \(1, 90, 160\)"):
            BiRefNetImageProcessor()(torch.zeros(1, 90, 160))
        with pytest.raises(ValueError, match="pass them one by one"):
            BiRefNetImageProcessor(long_side=96)([np.zeros((90, 160, 3)), np.zeros((160, 90, 3))])

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (np.full((9, 9, 3), 0.5), "0 to 255, and these are 0.5 to 0.5"),
            (torch.rand(3, 9, 9), "0 to 255"),
            (torch.full((3, 9, 9), torch.nan), "0 to 255"),
            (np.full((9, 9, 3), 3000, np.int32), "3000"),
            (np.zeros((0, 9, 3), np.uint8), "three channels"),
            (Image.fromarray(np.full((9, 9), 3000, np.uint16)), "mode I;16"),
            ("photo.jpg", "str is no picture"),
        ],
        ids=["half", "unit", "nan", "deep", "empty", "deep image", "name"],
    )
    def test_values_on_another_scale_and_what_is_no_picture_are_refused(self, given: Any, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            BiRefNetImageProcessor(long_side=96)(given)

    def test_an_option_that_would_do_nothing_is_refused(self) -> None:
        with pytest.raises(TypeError, match="size"):
            BiRefNetImageProcessor(long_side=96)(np.zeros((9, 9, 3), np.uint8), size={"height": 64, "width": 64})
