"""The registry of variants: complete, consistent, and saying no more than is known."""

from __future__ import annotations

import json

import pytest

from birefvideo.errors import OptionError
from birefvideo.family import hub
from birefvideo.family.native_size import native_size
from birefvideo.family.shards import WEIGHTS
from birefvideo.family.variants import EMBEDDED, VARIANTS, Variant, is_hub_id, variant
from birefvideo.matting.input_size import InputSize
from birefvideo.network.birefnet import BACKBONES


@pytest.mark.parametrize("row", VARIANTS.values(), ids=lambda row: row.name)
def test_every_row_is_complete_and_consistent(row: Variant) -> None:
    assert row.best_for and "\n" not in row.best_for
    assert row.backbone in ("", *BACKBONES)
    assert is_hub_id(row.hub_id) or row.access or row.embedded
    assert sum(kind is not None for kind in (row.size, row.sides, row.long_side)) <= 1
    assert all(side % 32 == 0 for side in row.size or row.sides or ())
    assert all(figure.text and figure.source for figure in row.figures)
    assert row.page == (f"https://huggingface.co/{row.hub_id}" if row.hub_id else "")
    assert bool(row.revision) == bool(row.sha256)


def test_names_and_repositories_are_unique() -> None:
    ids = [row.hub_id.lower() for row in VARIANTS.values() if row.hub_id]
    assert len(set(ids)) == len(ids)
    assert all(name == row.name for name, row in VARIANTS.items())


def test_the_embedded_one_comes_first_and_says_what_its_config_says() -> None:
    row = next(iter(VARIANTS.values()))
    assert [known.name for known in VARIANTS.values() if known.embedded] == [row.name] == [EMBEDDED]
    assert row.folder is not None and (row.folder / "README.md").is_file()
    config = json.loads((row.folder / "config.json").read_text())
    assert row.backbone == config["backbone"] and native_size(row) == InputSize.from_config(config)
    assert hub.stored(row) == hub.download(row) == hub.Stored(row.folder / WEIGHTS)


def test_a_gated_and_non_commercial_one_says_so() -> None:
    row = VARIANTS["rmbg-2.0"]
    assert row.licence == "non-commercial"
    assert "gated" in row.access and "HF_TOKEN" in row.access and row.page in row.access


def test_a_repository_means_its_row_and_an_unknown_one_itself() -> None:
    assert variant("ZhengPeng7/BiRefNet-portrait") is variant("portrait")
    assert variant("zhengpeng7/birefnet-portrait") is variant("portrait")
    other = variant("somebody/their-model")
    assert (other.name, other.hub_id, other.backbone, other.size) == ("somebody/their-model",) * 2 + ("", None)


NEITHER = (
    "portret",
    "",
    "a/b/c",
    "../weights",
    "a/..",
    "/etc",
    "a/",
    "a b/c",
    "a--b/c",
    "a/b.git",
    "a/b-",
    "a/" + 97 * "b",
)


@pytest.mark.parametrize("name", NEITHER)
def test_what_is_neither_name_nor_repository_is_refused_with_all_names(name: str) -> None:
    with pytest.raises(OptionError) as error:
        variant(name)
    assert all(known in str(error.value) for known in VARIANTS)


def test_the_hubs_client_takes_every_repository_that_we_take() -> None:
    from huggingface_hub.utils import validate_repo_id

    for name in ("a/b", "a_b/c.d-e", "A1/" + 90 * "b", *(row.hub_id for row in VARIANTS.values() if row.hub_id)):
        assert is_hub_id(name)
        validate_repo_id(name)
