"""Matte every sample into every format and compare SHA-256 of the files: does a change alter any output?

    python scripts/fingerprint.py --out before.json        # at the old commit
    python scripts/fingerprint.py --against before.json    # at the new one; exit code 1 where a byte differs

The package in the current folder runs, so call it inside the checkout to look at. Use the same machine, the same
packages and the same number of threads for both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "samples"
FORMATS = (
    *("prores", "prores-xq", "webm", "green", "blue", "matte", "fill", "ffv1", "qtrle", "png", "tiff", "exr"),
    *("gif", "apng", "webp-anim"),
)
RUNS: dict[str, tuple[str, ...]] = {
    "plain": tuple(word for name in FORMATS for word in ("--to", name)),
    "premultiplied": ("--to", "prores", "--to", "webm", "--to", "ffv1", "--to", "qtrle", "--premultiplied"),
    "despill": ("--to", "prores", "--to", "webm", "--to", "green", "--to", "gif", "--despill", "green"),
    "picture": ("--to", "green", "--background", str(SAMPLES / "before_after.jpg"), "--start", "0.1"),
    "video": ("--to", "green", "--to", "webm", "--background", str(SAMPLES / "vfr.mp4"), "--review", "--end", "0.6"),
    "raw": ("--to", "matte", "--smooth", "0", "--dtype", "float32", "--audio", "none", "--size", "256x160"),
}
"""Options of `birefvideo matte`, by the name of the run."""


def outputs(clip: Path, options: tuple[str, ...], folder: Path) -> Iterator[tuple[str, str]]:
    """Matte one clip into `folder`; yield the name and the SHA-256 of every file that must not change.

    If the job fails, yield its message under the name 'error' first.
    """
    command = [sys.executable, "-m", "birefvideo", "matte", str(clip), "-o", str(folder), "--quiet", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        yield "error", done.stderr.strip().replace(str(folder), "FOLDER")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not holds_the_time(path):
            yield str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()


def holds_the_time(path: Path) -> bool:
    """Return whether a file differs from run to run: receipts and the review page record when they were made."""
    return path.suffix == ".html" or (path.suffix == ".json" and path.name != "sequence.json")


def fingerprints(wanted: list[str]) -> dict[str, str]:
    """Matte all samples, or the `wanted` ones by stem, in all runs; return SHA-256 by 'run/clip/file'."""
    found: dict[str, str] = {}
    clips = [path for path in sorted(SAMPLES.iterdir()) if path.suffix in (".mp4", ".webm")]
    clips = [clip for clip in clips if not wanted or clip.stem in wanted]
    for name, options in RUNS.items():
        for clip in clips:
            with tempfile.TemporaryDirectory() as folder:
                for file, digest in outputs(clip, options, Path(folder)):
                    found[f"{name}/{clip.stem}/{file}"] = digest
            print(f"{name:14} {clip.stem}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Write the hashes, compare them with earlier ones, or both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the hashes here as JSON")
    parser.add_argument("--against", type=Path, help="compare with hashes that --out wrote")
    parser.add_argument("clips", nargs="*", help="names of samples without suffix (default: all)")
    arguments = parser.parse_args()
    found = fingerprints(arguments.clips)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1))
    if arguments.against is None:
        return
    before = json.loads(arguments.against.read_text())
    if arguments.clips:
        before = {name: digest for name, digest in before.items() if name.split("/")[1] in arguments.clips}
    different = [name for name in sorted(before.keys() | found.keys()) if before.get(name) != found.get(name)]
    for name in different:
        print(f"differs: {name}: {before.get(name, 'not there')} → {found.get(name, 'not there')}")
    print(f"{len(found)} files, {len(different)} differ")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
