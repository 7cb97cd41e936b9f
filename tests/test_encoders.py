"""Encoders at work beside what makes their pictures: order, what they hold back, errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast

import pytest

from birefvideo.media.writing.encoders import Encoders


class LateEncoder:
    """Gives back each picture with the next one, as encoders do that look ahead."""

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        self._wait, self._held = wait, list[Any]()

    def encode(self, picture: Any) -> Iterator[Any]:
        self._wait()
        if picture == "bad":
            raise ValueError(picture)
        done, self._held = self._held, [] if picture is None else [picture]
        return cast(Any, done)


def encoders(*all_of_them: LateEncoder) -> Encoders:
    return Encoders(cast(Any, all_of_them))


def test_the_next_picture_is_made_while_an_encoder_works() -> None:
    made = threading.Event()
    with closing(encoders(LateEncoder(lambda: made.wait(10)))) as one:
        assert list(one.encode(cast(Any, "first"))) == []  # would wait for an encoder in this thread
        made.set()
        packets = [*one.encode(cast(Any, "second")), *one.encode(None)]
    assert packets == ["first", "second"]


def test_an_encoder_alone_gives_what_it_held_back() -> None:
    with closing(encoders(LateEncoder())) as one:
        packets = [packet for picture in ("a", "b", "c", None) for packet in one.encode(cast(Any, picture))]
    assert packets == ["a", "b", "c"]


def test_an_error_of_an_encoder_is_raised_by_the_time_of_the_end() -> None:
    before = threading.active_count()
    with closing(encoders(LateEncoder())) as one, pytest.raises(ValueError, match="bad"):
        for picture in ("a", "bad", None):
            list(one.encode(cast(Any, picture)))
    assert threading.active_count() == before
