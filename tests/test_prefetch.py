"""Reading ahead and feeding several sinks: order, errors, early ends, and no thread left."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from birefvideo.prefetch import Fanout, Once, in_parallel, prefetch, thread_count


class TroubleError(Exception):
    """What the tests' producers and sinks fail with."""


def nap(rng: random.Random) -> None:
    if rng.random() < 0.3:
        time.sleep(rng.random() * 0.0005)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def failing_source(good: int) -> Iterator[int]:
    yield from range(good)
    raise TroubleError("upstream")


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_every_item_comes_once_and_in_order(depth: int) -> None:
    assert list(prefetch(range(50), depth)) == list(range(50))


def test_an_empty_source_gives_nothing() -> None:
    assert list(prefetch([])) == []


def test_depth_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is 0"):
        next(prefetch([1], depth=0))


def test_works_ahead_by_depth_and_not_further() -> None:
    made: list[int] = []
    source = prefetch((made.append(i) or i for i in range(100)), depth=3)  # type: ignore[func-returns-value]
    assert next(source) == 0
    wait_until(lambda: len(made) == 5)  # one handed on, three waiting, one in the producer's hand
    time.sleep(0.02)
    assert len(made) == 5
    source.close()


def test_no_thread_starts_before_the_first_item_is_asked_for() -> None:
    before = threading.active_count()
    source = prefetch(range(3))
    assert threading.active_count() == before
    source.close()


def test_upstream_error_arrives_after_the_items_before_it_and_with_its_traceback() -> None:
    got = []
    with pytest.raises(TroubleError, match="upstream") as caught:
        for item in prefetch(failing_source(5), depth=2):
            got.append(item)
    assert got == [0, 1, 2, 3, 4]
    assert "failing_source" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_closing_early_closes_upstream_in_the_thread_that_ran_it() -> None:
    ran, closed = [], []

    def source() -> Iterator[int]:
        try:
            for i in range(1000):
                ran.append(threading.current_thread())
                yield i
        finally:
            closed.append(threading.current_thread())

    ahead = prefetch(source(), depth=2)
    next(ahead)
    ahead.close()
    assert closed == [ran[0]] and ran[0] is not threading.current_thread()
    assert not ran[0].is_alive()


def test_an_error_of_the_consumer_stops_the_producer() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    def consume() -> None:
        for _ in prefetch(source()):
            raise TroubleError("downstream")

    with pytest.raises(TroubleError, match="downstream"):
        consume()
    assert closed.is_set()


def test_an_error_nobody_got_to_is_dropped_when_closing() -> None:
    ahead = prefetch(failing_source(1), depth=4)
    assert next(ahead) == 0
    ahead.close()


def test_chains_of_prefetch_close_together() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    def stage(items: Iterator[int]) -> Iterator[int]:
        try:
            for item in items:
                yield item + 1
        finally:
            closed.append(True)

    inner = stage(prefetch(source(), 2))
    ahead = prefetch(inner, 2)
    assert [next(ahead) for _ in range(3)] == [1, 2, 3]
    before = threading.active_count()
    ahead.close()
    del inner
    wait_until(lambda: len(closed) == 2 and threading.active_count() == before - 2)


def test_random_interleavings_neither_lose_items_nor_leave_threads() -> None:
    before = threading.active_count()
    for seed in range(300):
        rng = random.Random(seed)
        good, stop_after, depth = rng.randrange(12), rng.randrange(14), rng.randrange(1, 4)
        fails = rng.random() < 0.4

        def source(rng: random.Random = rng, good: int = good, fails: bool = fails) -> Iterator[int]:
            for i in range(good):
                nap(rng)
                yield i
            if fails:
                raise TroubleError

        got: list[int] = []
        raised = False
        ahead = prefetch(source(), depth)
        try:
            for item in ahead:
                got.append(item)
                nap(rng)
                if len(got) == stop_after:
                    break
        except TroubleError:
            raised = True
        ahead.close()
        expected = min(good, stop_after) if stop_after else good
        assert got == list(range(expected)), seed
        assert raised == (fails and not 0 < stop_after <= good), seed
        assert threading.active_count() == before, seed


def test_fanout_hands_every_item_to_every_sink_in_order() -> None:
    lists: list[list[int]] = [[], [], []]
    with Fanout([x.append for x in lists], depth=2) as fanout:
        for i in range(40):
            fanout.put(i)
    assert lists == [list(range(40))] * 3


def test_fanout_calls_each_sink_in_one_thread_of_its_own() -> None:
    seen: list[set[int]] = [set(), set()]
    with Fanout([partial(lambda s, _: s.add(threading.get_ident()), s) for s in seen]) as fanout:
        for i in range(10):
            fanout.put(i)
    assert [len(s) for s in seen] == [1, 1]
    assert len(seen[0] | seen[1] | {threading.get_ident()}) == 3


def test_fanout_holds_the_producer_back_to_its_slowest_sink() -> None:
    gate = threading.Event()
    put = []
    with Fanout([lambda _: None, lambda _: gate.wait(5)], depth=2) as fanout:

        def feed() -> None:
            for i in range(10):
                fanout.put(i)
                put.append(i)

        feeder = threading.Thread(target=feed)
        feeder.start()
        wait_until(lambda: len(put) == 3)
        time.sleep(0.02)
        assert len(put) == 3  # one in the slow sink's hand, two waiting
        gate.set()
        feeder.join()


def test_an_error_of_a_sink_reaches_the_producer_and_stops_the_others() -> None:
    taken: list[object] = []

    def fails(item: int) -> None:
        if item == 3:
            raise TroubleError("sink")

    def feed() -> None:
        with Fanout([fails, taken.append], depth=1) as fanout:
            for i in range(100_000):
                fanout.put(i)

    with pytest.raises(TroubleError, match="sink") as caught:
        feed()
    assert len(taken) < 100
    assert "fails" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_an_error_in_a_sinks_last_item_is_raised_when_the_block_ends() -> None:
    def fails(item: int) -> None:
        time.sleep(0.005)
        raise TroubleError("late")

    with pytest.raises(TroubleError, match="late"), Fanout([fails], depth=4) as fanout:
        fanout.put(0)


def test_a_sink_that_fails_frees_a_producer_waiting_for_another_sink() -> None:
    stuck = threading.Event()

    def fails(item: int) -> None:
        if item == 1:
            raise TroubleError

    def slow(item: int) -> None:
        stuck.wait(0.05)

    def feed() -> None:
        with Fanout([slow, fails], depth=1) as fanout:
            for i in range(1000):
                fanout.put(i)

    start = time.monotonic()
    with pytest.raises(TroubleError):
        feed()
    assert time.monotonic() - start < 5


def test_an_error_in_the_block_drops_what_waits() -> None:
    taken = []

    def slow(item: int) -> None:
        time.sleep(0.01)
        taken.append(item)

    def feed() -> None:
        with Fanout([slow], depth=50) as fanout:
            for i in range(50):
                fanout.put(i)
            raise TroubleError("body")

    with pytest.raises(TroubleError, match="body"):
        feed()
    assert len(taken) < 25


def test_put_after_the_end_is_an_error() -> None:
    with Fanout([lambda _: None]) as fanout:
        fanout.put(1)
    with pytest.raises(RuntimeError, match="ended"):
        fanout.put(2)


def test_random_fanouts_end_cleanly() -> None:
    before = threading.active_count()
    for seed in range(200):
        rng = random.Random(seed)
        count = rng.randrange(1, 4)
        broken = rng.randrange(count) if rng.random() < 0.4 else None
        fail_at, items = rng.randrange(8), rng.randrange(10)
        body_fails = rng.random() < 0.2
        lists: list[list[int]] = [[] for _ in range(count)]

        def sink(
            item: int,
            index: int,
            lists: list[list[int]] = lists,
            broken: int | None = broken,
            fail_at: int = fail_at,
            seed: int = seed,
        ) -> None:
            nap(random.Random(seed * 1000 + index * 100 + item))
            if index == broken and item == fail_at:
                raise TroubleError
            lists[index].append(item)

        def feed(
            sinks: list[Callable[[int], None]],
            depth: int = rng.randrange(1, 4),
            items: int = items,
            body_fails: bool = body_fails,
        ) -> None:
            with Fanout(sinks, depth) as fanout:
                for i in range(items):
                    fanout.put(i)
                if body_fails:
                    raise KeyError("body")

        will_break = broken is not None and fail_at < items
        try:
            feed([partial(sink, index=i) for i in range(count)])
        except TroubleError:
            assert will_break, seed
        except KeyError:
            assert body_fails, seed
        else:
            assert not will_break and not body_fails, seed
            assert lists == [list(range(items))] * count, seed
        assert all(x == list(range(len(x))) for x in lists), seed
        assert threading.active_count() == before, seed


EXITS_IN_THE_MIDDLE = """
import itertools, torch
from birefvideo.prefetch import Fanout, in_parallel, prefetch

def work():
    x = torch.ones(1000, 1000)
    for _ in itertools.count():
        yield [x @ x for _ in range(20)]

{}
"""


@pytest.mark.parametrize(
    "use",
    [
        "items = prefetch(work()); next(items)",
        "items = prefetch(prefetch(work())); next(items)",
        "fanout = Fanout([lambda item: next(work())] * 2).__enter__(); [fanout.put(i) for i in range(3)]",
    ],
    ids=["prefetch", "two stages", "fanout"],
)
def test_the_interpreter_exits_cleanly_while_threads_still_work(use: str) -> None:
    program = EXITS_IN_THE_MIDDLE.format(use)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_results_of_parallel_work_come_in_the_order_of_the_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.004 if item % 3 == 0 else 0)
        return -item

    assert list(in_parallel(work, range(20), 3)) == [-item for item in range(20)]


def test_parallel_work_takes_several_items_at_once_and_no_more() -> None:
    together, taken = threading.Barrier(3, timeout=5), []

    def work(item: int) -> None:
        together.wait()  # breaks unless three are worked on at once

    def items() -> Iterator[int]:
        for i in range(9):
            taken.append(i)
            yield i

    results = in_parallel(work, items(), 3)
    next(results)
    assert len(taken) == 4  # one given back, three in hand
    results.close()


@pytest.mark.parametrize("fails", ["items", "work"])
def test_an_error_in_parallel_work_arrives_after_the_results_before_it(fails: str) -> None:
    def work(item: int) -> int:
        if fails == "work" and item == 5:
            raise TroubleError("work")
        return item

    before = threading.active_count()
    got = []
    with pytest.raises(TroubleError):
        for item in in_parallel(work, failing_source(5) if fails == "items" else range(9), 3):
            got.append(item)
    assert got == [0, 1, 2, 3, 4]
    assert threading.active_count() == before


def test_parallel_work_that_is_left_early_leaves_no_thread() -> None:
    before = threading.active_count()
    done: list[int] = []
    with closing(in_parallel(done.append, range(1000), 3)) as results:
        next(results)
    assert threading.active_count() == before
    assert len(done) <= 4


def test_a_value_that_many_threads_ask_for_is_computed_once() -> None:
    begun, may_end, calls = threading.Event(), threading.Event(), []

    def compute() -> int:
        calls.append(threading.current_thread())
        begun.set()
        may_end.wait(10)
        return 7

    value, found = Once(compute), []
    threads = [threading.Thread(target=lambda: found.append(value())) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert found == [7] * 5 and len(calls) == 1


def test_a_value_whose_computation_fails_is_tried_again() -> None:
    answers: Iterator[int | Exception] = iter([ZeroDivisionError(), 3])

    def compute() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    value = Once(compute)
    with pytest.raises(ZeroDivisionError):
        value()
    assert value() == value() == 3


def test_threads_that_share_a_stage_follow_the_cores_and_have_bounds() -> None:
    assert [thread_count(3, cores) for cores in (1, 2, 6, 8, 12, 16, 128)] == [3, 3, 3, 4, 6, 6, 6]
