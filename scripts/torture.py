"""Spoil files of every kind that birefvideo reads, and look what happens; exit code 1 on a find.

A find is whatever ends in anything but a result or a BirefvideoError: another exception, a crash, more than TIMEOUT
seconds or MEMORY bytes. Each case runs in a process of its own. Prints a table; files that were finds are kept.
With --kills, a job is killed instead, at moments and at steps that write, and run again: see torturing/kills.py.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from itertools import cycle
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]

import av.logging  # noqa: E402
from torturing.kills import kill  # noqa: E402
from torturing.runs import Run, runs  # noqa: E402

from birefvideo.errors import BirefvideoError  # noqa: E402

TIMEOUT = 20
"""Seconds that a case may take."""
MEMORY = 2_000_000_000
"""Bytes that a case may take, the program's own included."""
_BORNE, _REFUSED, _FIND = 0, 10, 11


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to go on, all runs together")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other files")
    parser.add_argument("--kills", type=int, default=0, help="instead kill a job in so many ways and run it again")
    parser.add_argument("--only", default="", help="only the runs whose name holds this")
    parser.add_argument("--keep", type=Path, default=Path("torture"), help="where files that were finds go")
    arguments = parser.parse_args()
    av.logging.set_level(av.logging.PANIC)
    if arguments.kills:
        with tempfile.TemporaryDirectory() as scratch:
            return int(kill(arguments.kills, arguments.seed, arguments.keep, Path(scratch)))
    rng = random.Random(arguments.seed)
    counts: dict[str, Counter[int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        chosen = [run for run in runs(Path(scratch)) if arguments.only in run.name]
        end = time.monotonic() + arguments.seconds
        for run in cycle(chosen):
            if time.monotonic() > end and len(counts) == len(chosen):
                break
            spoilt = run.spoil(run.seed, rng)
            outcome = case(run, spoilt)
            counts.setdefault(run.name, Counter())[outcome] += 1
            if outcome == _FIND:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                kept = (
                    arguments.keep / f"{run.name.replace(' ', '_')}-{sum(counts[run.name].values())}-{run.place.name}"
                )
                kept.write_bytes(spoilt)
                print(f"  the file is kept as {kept}")
    print(f"{'run':24} {'cases':>6} {'borne':>6} {'refused':>8} {'finds':>6}")
    for name, outcomes in counts.items():
        borne, refused, finds = outcomes[_BORNE], outcomes[_REFUSED], outcomes[_FIND]
        print(f"{name:24} {sum(outcomes.values()):6} {borne:6} {refused:8} {finds:6}")
    return int(any(outcomes[_FIND] for outcomes in counts.values()))


def case(run: Run, spoilt: bytes) -> int:
    """Give one spoilt file to what reads it, in a process of its own; return how that ended."""
    import resource  # which Windows lacks, as it lacks fork

    run.place.write_bytes(spoilt)
    sys.stdout.flush()
    held = _peak(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # which the child's own peak begins with
    child = os.fork()
    if child == 0:
        os._exit(_outcome(run))
    end = time.monotonic() + TIMEOUT
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            print(f"{run.name}: still at it after {TIMEOUT} s")
            return _FIND
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        print(f"{run.name}: ended by signal {os.WTERMSIG(status)}")
        return _FIND
    taken = _peak(usage.ru_maxrss) - held
    if taken > MEMORY:
        print(f"{run.name}: took {taken / 1e9:.1f} GB")
        return _FIND
    return os.WEXITSTATUS(status)


def _peak(maxrss: int) -> int:
    """Return the most bytes that a process held, of what the system says."""
    return maxrss * (1 if sys.platform == "darwin" else 1024)


def _outcome(run: Run) -> int:
    try:
        run.read()
    except BirefvideoError as error:
        if "\n" not in error.for_terminal():
            return _REFUSED
        print(f"{run.name}: more than one line: {error}", flush=True)
        return _FIND
    except BaseException:
        print(f"{run.name}:\n{traceback.format_exc(limit=-4)}", flush=True)
        return _FIND
    return _BORNE


if __name__ == "__main__":
    sys.exit(main())
