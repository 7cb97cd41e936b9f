"""A model that is kept between calls, and networks that are in memory."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import picture

import birefvideo
from birefvideo.errors import InputError, OptionError
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.receipt import read

GetClip = Callable[[str], Path]


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(LoadedModel, "__init__", None)


def test_many_clips_are_matted_with_one_model(
    network: Path, copy: GetClip, tmp_path: Path, no_loading: Callable[[], None]
) -> None:
    source = copy("plain")
    wanted = birefvideo.matte(source, tmp_path / "a", "webm", model=network, receipts=False).outputs[0].read_bytes()
    session = birefvideo.Session(network)
    no_loading()
    for name in ("b", "c"):
        made = session.matte(source, tmp_path / name, "webm", receipts=False)
        assert made.outputs[0].read_bytes() == wanted and made.model == network.name
    made = birefvideo.matte(source, tmp_path / "d", "webm", receipts=False, model=session)
    assert made.outputs[0].read_bytes() == wanted
    options = birefvideo.Options(model=session, smooth=0)
    assert options.changed(smooth=2).model is session
    assert len(list(birefvideo.mattes(source, options=options))) == len(list(session.mattes(source)))
    assert session.cutout(picture(0)).size == (96, 64)


def test_a_session_s_job_is_the_same_job_as_of_its_name(network: Path, copy: GetClip) -> None:
    source = copy("plain")
    assert not birefvideo.matte(source, to="webm", model=network).was_done
    assert birefvideo.Session(network).matte(source, to="webm").was_done
    assert not birefvideo.matte(source, to="webm", model=birefvideo.load_model(network), overwrite=True).was_done


def test_what_was_settled_when_it_was_loaded_cannot_be_chosen_again(network: Path, copy: GetClip) -> None:
    session = birefvideo.Session(network, size=96, device="cpu", batch=2)
    options = birefvideo.Options(model=session)
    assert (options.size, options.device, options.batch) == (96, "cpu", 2)
    assert birefvideo.Options(model=session, batch=1, device="auto", dtype="float32", size=96).batch == 1
    with pytest.raises(OptionError, match=r"size is 64, but the session was made with 96: .* birefvideo.Session\(size"):
        session.matte(copy("plain"), size=64)
    with pytest.raises(OptionError, match="dtype is 'bfloat16', but"):
        birefvideo.Options(model=session, dtype=torch.bfloat16)
    with pytest.raises(OptionError, match="model is the session's own"):
        session.matte(copy("plain"), model="talk")
    with pytest.raises(OptionError, match="loaded already"):
        birefvideo.Session(session)  # type: ignore[arg-type]
    other = options.changed(model="talk")
    assert (other.size, other.batch) == (None, None)


def test_a_network_in_memory_is_known_by_its_weights(network: Path, copy: GetClip) -> None:
    source, model = copy("plain"), birefvideo.load_model(network)
    made = birefvideo.matte(source, to="webm", model=model)
    entry: Any = read(made.outputs[0])
    assert made.model == "network in memory" and entry["model"]["in_memory"] is True
    assert birefvideo.matte(source, to="webm", model=model).was_done
    assert birefvideo.matte(source, to="webm", model=birefvideo.load_model(network)).was_done
    with torch.no_grad():
        next(model.parameters()).add_(0.01)
    with pytest.raises(birefvideo.OutputError, match="exists already"):
        birefvideo.matte(source, to="webm", model=model)
    birefvideo.matte(source, to="webm", model=model, overwrite=True)
    changed: Any = read(made.outputs[0])
    assert changed["model"]["sha256"] != entry["model"]["sha256"] and changed["job"] != entry["job"]


def test_a_changed_network_goes_on_with_no_other_s_job(network: Path, copy: GetClip) -> None:
    source, model = copy("plain"), birefvideo.load_model(network)
    digests = []
    for _ in range(2):
        with pytest.raises(RuntimeError, match="enough"):
            birefvideo.matte(source, to="webm", model=model, progress=_stop, overwrite=True)
        digests.append(LoadedModel(birefvideo.Options(model=model)).identity.digest)
        with torch.no_grad():
            next(model.parameters()).add_(0.01)
    assert digests[0] != digests[1]


def _stop() -> None:
    raise RuntimeError("enough")


def test_a_session_keeps_the_weights_that_it_was_made_with(network: Path) -> None:
    model = birefvideo.load_model(network).train()
    session = birefvideo.Session(model)
    before = session.cutout(picture(0), output="array")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    assert np.array_equal(session.cutout(picture(0), output="array"), before)
    assert not np.array_equal(birefvideo.cutout(picture(0), output="array", model=model), before)
    assert model.training


def test_what_is_no_network_is_told(network: Path) -> None:
    for wrong in (torch.nn.Linear(2, 2), 5, None, ["talk"]):
        with pytest.raises(OptionError, match=r"model is .*: give a name, .* birefvideo.Session, or a network"):
            birefvideo.Options(model=wrong)  # type: ignore[arg-type]


def test_threads_that_share_a_session_get_their_own_clips(network: Path, clip: GetClip, tmp_path: Path) -> None:
    session = birefvideo.Session(network)
    clips = [clip("plain"), clip("vfr")]
    alone = [session.matte(one, tmp_path / "alone", "webm", receipts=False).outputs[0].read_bytes() for one in clips]
    found: dict[int, bytes] = {}

    def work(index: int) -> None:
        out = tmp_path / f"together{index}"
        found[index] = session.matte(clips[index], out, "webm", receipts=False).outputs[0].read_bytes()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[0], found[1]] == alone


def test_a_session_may_be_used_within_its_own_frames(network: Path, clip: GetClip) -> None:
    session = birefvideo.Session(network)
    wanted = [frame.alpha for frame in session.mattes(clip("plain"))]
    found = []
    for frame in session.mattes(clip("plain")):
        session.cutout(frame.rgb())
        found.append(frame.alpha)
    assert all(np.array_equal(*pair) for pair in zip(found, wanted, strict=True))


def test_a_session_goes_to_another_process_by_its_name(network: Path) -> None:
    session = birefvideo.Session(network, size=96)
    again = pickle.loads(pickle.dumps(session))
    assert again.name == session.name and again.kept.options.size == 96
    with pytest.raises(TypeError, match="save_pretrained"):
        pickle.dumps(birefvideo.Session(birefvideo.load_model(network)))


def test_options_with_a_network_are_cheap_to_write_down(network: Path) -> None:
    options = birefvideo.Options(model=birefvideo.load_model(network))
    assert json.dumps(options.as_dict()["model"]) == '"network in memory"'
    assert "network in memory" in str(options.as_dict())


def test_the_clip_is_looked_at_before_the_network_is_loaded(
    network: Path, tmp_path: Path, copy: GetClip, no_loading: Callable[[], None]
) -> None:
    no_loading()
    with pytest.raises(InputError, match="does not exist"):
        next(birefvideo.mattes(tmp_path / "lost.mp4", model=network))
    with pytest.raises(OptionError, match=r"start .* is past the end"):
        birefvideo.matte(copy("plain"), model=network, start="0:59")


@pytest.mark.parametrize("name", ["engine", "workers", "review", "overwrite"])
def test_what_only_matte_takes_is_told_to_go_there(name: str) -> None:
    choices: Any = {name: 1}
    for call in (lambda: birefvideo.mattes("a.mp4", **choices), lambda: birefvideo.cutout("a.png", **choices)):
        with pytest.raises(OptionError, match=f"{name} is for jobs that make files: pass it to birefvideo.matte"):
            call()
