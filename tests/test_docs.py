"""The user's pages: every command and every Python block runs as printed, every link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import av
import cv2
import numpy as np
import pytest
import torch
import typer
from clips import RGB, write_clip
from conftest import random_network
from typer.testing import CliRunner

from birefvideo.cli import app
from birefvideo.family.variants import EMBEDDED

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
WITH_TALK = [README]
"""The pages that have the embedded model itself; others have a tiny network in its place."""
AT_ITS_SIZE = ["network.md"]
"""The pages that name the size of its input: their tiny network has the same."""
RUN_FIRST = [page if page == README else pytest.param(page, marks=pytest.mark.slow) for page in PAGES]
"""The pages whose commands are run: those of docs/ take a minute."""
README_LINES = 150

NETWORK = "needs the network"
STORE = "needs a store; tests/test_remote.py has one"
WEIGHTS = "needs weights that are not in the package; tests/test_checkpoints.py runs such models"
STICK = "needs a file of the user's; tests/test_models_command.py runs imports"
INSTALLS = "installs into this environment; CI's jobs run it"
CLUSTER = "needs a Ray cluster"
NOT_RUN = {
    "find /footage -name '*.mxf' -newer last_week -print0 | birefvideo matte --files-from - -o cut/": "has no shell",
    "pip install .": INSTALLS,
    "pip install 'birefvideo[remote]'": INSTALLS,
    "pip install onnx onnxscript onnxruntime": INSTALLS,
    "birefvideo matte s3://bucket/clip.mp4 -o s3://bucket/out/": STORE,
    "birefvideo matte s3://bucket/in/ -r -o cut/": STORE,
    "birefvideo matte https://host/clip.mp4 -o cut/": NETWORK,
    "birefvideo models --download portrait": NETWORK,
    "birefvideo models --download general": NETWORK,
    "birefvideo models --download portrait matting": NETWORK,
    "birefvideo models --download portrait --update": NETWORK,
    "HF_ENDPOINT=https://MIRROR birefvideo models --download portrait": NETWORK,
    "HTTPS_PROXY=http://PROXY:3128 birefvideo models --download portrait": NETWORK,
    "birefvideo models portrait --from /media/stick": STICK,
    "birefvideo matte clip.mp4 --model matting": WEIGHTS,
    "birefvideo matte clip.mp4 --model matting --size 768": WEIGHTS,
    "birefvideo matte clip.mp4 --model portrait": WEIGHTS,
    "birefvideo matte clip.mp4 --model general": WEIGHTS,
    "birefvideo matte clip.mp4 --device cuda": "needs an NVIDIA GPU",
    "birefvideo matte interviews/anna.mp4 -o cut/ --device cuda:0,cuda:1": "needs NVIDIA GPUs",
    "pip install 'birefvideo[ray]'": INSTALLS,
    "birefvideo matte clip.mp4 -o /shared/out/ --engine ray --address HEAD:6379": CLUSTER,
    (
        "ray job submit --address http://HEAD:8265 -- birefvideo matte /shared/clip.mp4 -o /shared/out/ --engine ray "
        "--device cpu --workers 2"
    ): CLUSTER,
    "birefvideo models --measure talk": "takes ten seconds; tests/test_costs.py measures",
    "birefvideo matte interviews/anna.mp4 -o cut/ --device cpu:2 --overwrite": (
        "takes ten seconds; tests/test_several_devices.py runs two processes"
    ),
    "/usr/bin/time -v birefvideo matte clip.mp4": "needs GNU time; the job itself runs on other pages",
    'python -c "import torch; print(torch.__version__, torch.cuda.is_available())"': "shows the user's torch",
    'network = BiRefNetForImageSegmentation.from_pretrained("ZhengPeng7/BiRefNet_lite")': NETWORK,
}
"""Commands, and lines of Python blocks, that the tests here do not run, and why."""

MORE_PACKAGES = {"network.md": ("PIL", "onnxscript", "onnxruntime")}
"""Packages of the dev extra that a page's Python needs, and that not every environment has."""

SCRIPT = re.compile(r"(?:python |\./)(scripts/[\w.]+)")
"""Commands of the checkout: they take minutes and need data, so that only their being there is tested."""

WIDTH, HEIGHT, FRAMES = 128, 72, 7
RATE = Fraction(1)  # a picture a second: seven of them reach the times that the pages cut at


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """The commands of a page's console blocks, in order, each with the comment behind it."""
    for text in blocks(page, "console"):
        for line in text.replace("\\\n", "").splitlines():
            if line.startswith("$ "):
                command, _, comment = line[2:].partition(" # ")
                yield " ".join(command.split()), comment


def name(page: Path) -> str:
    return page.name


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages call by name: short clips of a person, pictures, an alpha."""
    folder = tmp_path_factory.mktemp("desk")
    shown = pictures("talking_head.mp4", "rgb24")
    truth = pictures("talking_head_alpha.mkv", "gray")

    def person(index: int, width: int, height: int) -> RGB:
        return shown[index]

    def alpha(index: int, width: int, height: int) -> RGB:
        return cast(RGB, np.repeat(truth[index][..., None], 3, axis=-1))

    (folder / "interviews").mkdir()
    for clip in ("clip.mp4", "talk.mp4", "interviews/anna.mp4", "interviews/ben.mp4"):
        write_clip(folder / clip, size=(WIDTH, HEIGHT), frames=FRAMES, rate=RATE, pictures=person)
    write_clip(folder / "waves.mp4", size=(WIDTH, HEIGHT), frames=3, rate=RATE)
    write_clip(
        folder / "alpha.mkv",
        size=(WIDTH, HEIGHT),
        frames=FRAMES,
        rate=RATE,
        codec="ffv1",
        pix_fmt="gray",
        tags=None,
        audio_tracks=0,
        pictures=alpha,
    )
    (folder / "frames").mkdir()
    stills = [f"frames/{index + 1:05d}.png" for index in range(3)]
    for index, still in enumerate([*stills, "photo.jpg", "studio.jpg"]):
        assert cv2.imwrite(str(folder / still), shown[index][..., ::-1])
    for part in ("pictures", "mattes"):
        (folder / "pairs" / part).mkdir(parents=True)
    for index in range(2):
        assert cv2.imwrite(str(folder / f"pairs/pictures/{index}.jpg"), shown[index][..., ::-1])
        assert cv2.imwrite(str(folder / f"pairs/mattes/{index}.png"), truth[index])
    (folder / "marks.json").write_text(blocks(ROOT / "docs" / "direct.md", "json")[0], encoding="utf-8")
    (folder / "mends").mkdir()
    assert cv2.imwrite(str(folder / "mends/clip_000003.png"), truth[2])
    return folder


def pictures(sample: str, form: str) -> list[RGB]:
    """The first pictures of a sample, small."""
    with av.open(str(ROOT / "samples" / sample)) as container:
        return [
            cast(RGB, cv2.resize(frame.to_ndarray(format=form), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
            for frame in islice(container.decode(video=0), FRAMES)
        ]


@pytest.fixture
def at_desk(
    page: Path, desk: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> Iterator[Path]:
    """The working folder of one page, a copy of `desk`; no connection can be opened and no weights are cached.

    Most pages have a tiny network in the embedded model's place.
    """
    folder = tmp_path / "desk"
    shutil.copytree(desk, folder)
    monkeypatch.chdir(folder)
    if page not in WITH_TALK:
        embedded = tmp_path / "weights" / EMBEDDED
        if page.name in AT_ITS_SIZE:
            random_network(embedded, seed=4, long_side=640)
        else:
            shutil.copytree(network, embedded)
        monkeypatch.setattr("birefvideo.family.variants._PACKAGE_WEIGHTS", tmp_path / "weights")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network costs less time than a second thread does
    yield folder
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", RUN_FIRST, ids=name)
def test_every_command_of_a_page_runs(page: Path, at_desk: Path) -> None:
    for command, comment in commands(page):
        if command in NOT_RUN or SCRIPT.match(command):
            continue
        words = shlex.split(command)
        assert words[0] == "birefvideo", f"{page.name}: {command!r} is neither run nor named in NOT_RUN"
        result = CliRunner().invoke(app, as_run(words[1:]))
        assert result.exit_code == 0, f"{page.name}: {command}\n{result.output}"
        for file in re.findall(r"\b[\w-]+\.\w{3,4}\b", comment) if comment.startswith("writes") else ():
            assert (at_desk / file).is_file(), f"{page.name}: {command} wrote no {file}"


def as_run(words: list[str]) -> list[str]:
    """A command's words with what makes it quick and repeatable."""
    if words[0] == "compare":
        return [*words, *([] if "--frames" in words else ["--frames", "1"])]
    if words[0] != "matte":
        return words
    return [*words, *([] if "--overwrite" in words else ["--overwrite"])]


@pytest.mark.parametrize("page", RUN_FIRST, ids=name)
def test_every_python_block_of_a_page_runs(page: Path, at_desk: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for needed in MORE_PACKAGES.get(page.name, ()):
        pytest.importorskip(needed)
    for text in blocks(page, "python"):
        if not any(line in NOT_RUN for line in text.splitlines()):
            exec(compile(text, str(page), "exec"), names)


@pytest.mark.slow
def test_python_blocks_of_all_pages_pass_a_strict_type_checker(tmp_path: Path) -> None:
    typed = [page for page in PAGES if blocks(page, "python")]
    for page in typed:
        text = "\n".join(blocks(page, "python"))
        (tmp_path / f"page_{page.stem.lower()}.py").write_text(text, encoding="utf-8")
    # As a user has it: birefvideo is installed, and what is wrong in other packages is not their concern.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = True\nfollow_imports = silent\ndisallow_subclassing_any = False\n"
        "[mypy-torch.*,transformers.*,huggingface_hub.*,safetensors.*,cv2.*,onnxruntime.*]\n"
        "follow_imports = skip\nignore_missing_imports = True\n"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        str(ROOT / ".mypy_cache/pages"),
    ]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    said = subprocess.run(
        [*command, *sorted(path.name for path in tmp_path.glob("page_*.py"))],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


def test_exceptions_are_of_things_that_pages_show() -> None:
    shown = {command for page in PAGES for command, _ in commands(page)}
    shown |= {line for page in PAGES for text in blocks(page, "python") for line in text.splitlines()}
    assert set(NOT_RUN) <= shown, f"in no page: {sorted(set(NOT_RUN) - shown)}"
    assert all(NOT_RUN.values())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_scripts_that_a_page_names_are_there(page: Path) -> None:
    for script in re.findall(r"\bscripts/[\w./-]*\w", page.read_text(encoding="utf-8")):
        assert (ROOT / script).exists(), f"{page.name} names {script}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}, which has no such heading"


def anchors(page: Path) -> set[str]:
    """The names that a page's headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_first_page_is_short_and_shows_picture_command_and_python_first() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= README_LINES
    screen = "\n".join(lines[:24])
    places = [screen.index(part) for part in ("![", "pip install", "birefvideo matte", "```python")]
    assert places == sorted(places)


def test_messages_quoted_in_headings_are_the_programs_own() -> None:
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "birefvideo").rglob("*.py"))]
    said = re.sub(r"""["']\s*\n\s*f?["']""", "", "\n".join(sources))  # literals that go on in the next line
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### .*$", text, re.MULTILINE)
    quoted = [quote for heading in headings for quote in re.findall(r'"([^"]+)"', heading)]
    parts = [part.strip() for quote in quoted for part in quote.split("…")]
    assert quoted
    assert [part for part in parts if part not in said] == []


def test_every_format_is_described() -> None:
    listed = CliRunner().invoke(app, ["formats", "--json"])
    assert listed.exit_code == 0, listed.output
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for row in json.loads(listed.stdout):
        assert f"`{row['name']}`" in text, f"formats.md does not name {row['name']}"
        for file in row["file"].split(", "):
            assert f"`{file}`" in text, f"formats.md does not say that {row['name']} writes {file}"


def test_every_option_is_mentioned() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    group = typer.main.get_command(app)
    for command in group.commands.values():  # type: ignore[attr-defined]
        for option in command.params:
            names = [*option.opts, *option.secondary_opts]
            if names[0].startswith("-"):
                assert any(re.search(rf"{re.escape(each.strip())}\b", text) for each in names), (command.name, names)
