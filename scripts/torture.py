"""Torture birefvideo, and look what happens; exit code 1 on a find. What is done is not done again.

Parts: media (spoilt ones, probed and decoded), jobs (of spoilt media), texts (spoilt receipts, manifests, weights,
options), kills (jobs killed and run again), disks (full, taken away, closed), memory (long clips, many jobs), stops
(decoding that ends early). A find is whatever ends in anything but what must be: another exception than a
BirefvideoError, a crash, a hang, more than 2 GB, other bytes, something left over. Files that were finds are kept. A
run that was stopped goes on with the same command, unless the package has changed since.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]
os.environ.setdefault("SVT_LOG", "0")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))  # for Ray's

import av.logging  # noqa: E402
from torturing.disks import trouble  # noqa: E402
from torturing.kills import kill  # noqa: E402
from torturing.ledger import Ledger  # noqa: E402
from torturing.memory import remember  # noqa: E402
from torturing.spoilt import spoil_clips, spoil_jobs, spoil_texts  # noqa: E402
from torturing.stops import stop_early  # noqa: E402

PARTS: dict[str, tuple[Callable[[Ledger, int, int, Path, Path], None], int]] = {
    "media": (spoil_clips, 2000),
    "jobs": (spoil_jobs, 150),
    "texts": (spoil_texts, 400),
    "kills": (kill, 50),
    "disks": (trouble, 36),
    "stops": (stop_early, 200),
    "memory": (remember, 4),
}
"""Each part, and how many cases it has."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of them, in this order")
    parser.add_argument("--cases", type=int, help="how many of each, instead of its own number")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other cases")
    parser.add_argument(
        "--keep", type=Path, default=Path("torture"), help="where results, and files that were finds, go"
    )
    arguments = parser.parse_args()
    av.logging.set_level(av.logging.PANIC)
    ledger = Ledger(arguments.keep, arguments.seed)
    parts = arguments.parts.split(",")
    for part in parts:
        torture, count = PARTS[part]
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            torture(ledger, arguments.cases or count, arguments.seed, Path(scratch), arguments.keep)
        print(f"{part}: {time.monotonic() - started:.0f} s", flush=True)
    return int(print_table(ledger, parts))


def print_table(ledger: Ledger, parts: list[str]) -> bool:
    """Print what became of the cases of each part, then each find; return whether there was one."""
    print(f"\n{'part':8} {'cases':>5} {'finds':>5}  ended")
    for part in parts:
        found = ledger.of(part)
        ends = ", ".join(f"{count} {end}" for end, count in Counter(one.ended for one in found).most_common())
        print(f"{part:8} {len(found):5} {sum(bool(one.fault) for one in found):5}  {ends}")
    for one in (one for part in parts for one in ledger.of(part)):
        if one.fault:
            print(f"FIND {one.part} {one.number}, {one.how}: {one.fault}")
        elif one.part in ("kills", "disks", "memory"):
            print(f"{one.part:8} {one.number:5}  {one.how}: {one.ended}{f' ({one.facts})' if one.facts else ''}")
    return any(one.fault for part in parts for one in ledger.of(part))


if __name__ == "__main__":
    sys.exit(main())
