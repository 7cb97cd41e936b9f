#!/usr/bin/env python
"""Train the embedded checkpoint from folders of portraits with mattes and backgrounds, on a CPU or a GPU.

    python scripts/train.py --data FOLDER… --run runs/talk
    python scripts/train.py --data FOLDER… --run runs/talk            # again: continues where it stopped
    python scripts/train.py --data FOLDER… --run runs/next --init birefvideo/weights/talk
    python scripts/train.py --data FOLDER… --run runs/tuned --init NEXT --tune --steps 500 --rate 2.5e-4
    python scripts/train.py --export birefvideo/weights/talk --run runs/talk
    python scripts/train.py --export birefvideo/weights/talk --run runs/next --blend runs/earlier --share 0.75
    python scripts/train.py --score birefvideo/weights/talk --data FOLDER…    # error on people seen and never seen
    python scripts/train.py --pack train.bin --data FOLDER…                    # all that training reads, in one file
    python scripts/train.py --pack train.bin --run runs/talk --init birefvideo/weights/talk --device cuda \\
        --seconds 480 --batch 64 --keep runs/kept                              # docs/gpu.md says more

The run folder holds the log, the last state and the averaged weights. Batch i depends on the seed and i only, but for a
run with --seconds, whose sizes go by time and whose batches come as they are ready.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor
from training.batches import Batches, Clock, batches_from
from training.cutouts import Material, load_material, read_index
from training.mining import mined
from training.pack import read_pack, write_pack
from training.run import LONG_SIDE, MOST_PIXELS, SECOND, TALK, Recipe, Run, blend, laid_out, learning_rate
from training.trials import trial_errors, validate

from birefvideo.family.checkpoints import load_folder, save_folder
from birefvideo.network.convnet import CONV_SIZES

FROZEN = 0.4
"""Share of the run after which batch norms keep their statistics, so that the network learns with those it will use.

Before, a batch is normed by itself, and mattes depend on how like the training pictures' sharpness a clip's is.
"""
LOGGED = 50
"""Steps between two lines of the log; losses are read from the device only then."""
SAVED = 60
"""Seconds between two states on disk, at least."""
VALIDATED = 400
"""Steps between two validations, in runs by steps."""
leave = os._exit
"""How a run by time ends: its worker processes hold what they prefetched, and would keep the machine."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_argument_group("pictures")
    data.add_argument("--data", type=Path, nargs="+", help="folders with index.csv, portraits/ and rooms/ or the like")
    data.add_argument("--pack", type=Path, help="with --data: write this file and stop; else: read it")
    data.add_argument("--side", type=int, default=320, help="longest side of the pictures in a pack")
    data.add_argument("--quality", type=int, default=54, help="WebP quality of the pictures in a pack")
    data.add_argument("--cache", type=Path, default=Path("runs/cache"), help="folder for estimated foreground colours")
    data.add_argument("--only-free", action="store_true", help="leave out share-alike (CC BY-SA) pictures")
    run = parser.add_argument_group("run")
    run.add_argument("--run", type=Path, help="folder of this run; an old run is continued")
    run.add_argument("--keep", type=Path, help="write the averaged weights there whenever the state is saved")
    run.add_argument("--init", type=Path, help="start from this checkpoint folder instead of random weights")
    run.add_argument(
        "--tune", action="store_true", help="a short run from finished weights: --frozen, no small pictures"
    )
    run.add_argument("--frozen", action="store_true", help="norms keep the statistics that they begin with")
    run.add_argument("--mine", action="store_true", help="draw people more often that the first weights get wrong")
    run.add_argument("--backbone", choices=CONV_SIZES, help=f"backbone of a new run (default: {TALK.backbone})")
    run.add_argument("--second", type=Path, help=f"weights of {SECOND} to put beside it (docs/gpu.md says from where)")
    run.add_argument("--steps", type=int, default=5000)
    run.add_argument("--seconds", type=float, help="end after this time, loading included; --steps is the most then")
    run.add_argument("--batch", type=int, default=12)
    run.add_argument("--pairs", type=int, help="scenes of a batch that come twice, a moment apart (default: a twelfth)")
    run.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    run.add_argument("--seed", type=int, default=1)
    run.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    run.add_argument("--workers", type=int, default=1, help="processes that make pictures")
    after = parser.add_argument_group("weights")
    after.add_argument("--export", type=Path, help="write the averaged weights as a checkpoint folder and stop")
    after.add_argument("--blend", type=Path, help="with --export: mix in this checkpoint folder, where the run began")
    after.add_argument("--share", type=float, default=0.75, help="share of this run in the mixture")
    after.add_argument("--score", type=Path, help="print the error of this checkpoint folder and stop")
    options = parser.parse_args()
    read = options.data or options.pack
    if not (options.export and options.run) and not (read and (options.run or options.score or options.data)):
        parser.error(
            "name --run and --data, --run and --pack, --run and --export, --score and --data, --pack and --data"
        )
    options.pairs = max(1, options.batch // 12) if options.pairs is None else options.pairs
    return options


def material_of(options: argparse.Namespace) -> tuple[Material, Material]:
    """Return what training uses, and the people and places that it never sees."""
    if options.data:
        known, held = read_index(options.data, {"yes"} if options.only_free else {"yes", "sa"}).split()
        return load_material(known, options.cache), load_material(held, options.cache)
    return read_pack(options.pack, max(1, options.workers))


def score(checkpoint: Path, known: Material, held: Material, device: torch.device) -> None:
    """Print the error on composites of people and rooms that training used, and on those that it did not.

    If the two are close, the network has not memorised its pictures, and more steps or a larger network would help.
    If they are far apart, it needs more people.
    """
    model = laid_out(load_folder(checkpoint), device)
    for name, material in (("trained on", known), ("never seen", held)):
        batches = Batches(material, Clock(24), 8, seed=10_000)
        print(f"people {name}: MAD {validate(model, batches, device):.2f}", flush=True)
    for name, error in trial_errors(model, held, device).items():
        print(f"{name}: MAD {error:.2f}", flush=True)


def export(options: argparse.Namespace) -> None:
    run = Run(recipe_of(options))
    if not run.state.exists():
        raise SystemExit(f"{options.run} holds no finished steps: name a folder that {Path(__file__).name} --run wrote")
    if options.blend:
        blend(run.averaged, load_folder(options.blend), options.share)
    save_folder(run.averaged, options.export, LONG_SIDE, MOST_PIXELS)


def recipe_of(options: argparse.Namespace) -> Recipe:
    return Recipe(
        folder=options.run,
        device=options.device,
        pairs=options.pairs,
        batch=options.batch,
        init=options.init,
        backbone=options.backbone,
        second=options.second,
        rate=options.rate,
        seed=options.seed,
    )


def train(options: argparse.Namespace, known: Material, held: Material, began: float) -> Run:
    """Train from the run's last state to its end; write log and states on the way."""
    options.run.mkdir(parents=True, exist_ok=True)
    run = Run(recipe_of(options))
    recipe = {k: str(v) if isinstance(v, Path | torch.device | list) else v for k, v in vars(options).items()}
    recipe |= {"geometry": asdict(run.model.geometry), "people": len(known.cutouts), "rooms": len(known.rooms)}
    (options.run / "recipe.json").write_text(json.dumps(recipe, indent=1))
    if options.mine:
        known = mined(known, run.model, options.device, options.run / "hard.json", options.workers)
    now = time.monotonic()
    clock = Clock(options.steps, options.seconds and max(1.0, options.seconds - (now - began)), now)
    dataset = Batches(known, clock, options.batch, options.seed, options.pairs, options.tune)
    validation = replace(dataset, material=held, clock=Clock(8), batch=8, seed=10_000, pairs=1)
    warm = min(200, max(1, options.steps // 10))
    sums: dict[str, Tensor] = {}
    mark = saved = time.monotonic()
    on_cuda = options.device.type == "cuda"
    with (options.run / "log.jsonl").open("a") as log:
        for batch in batches_from(dataset, run.step, options.workers, pinned=on_cuda):
            progress = clock.progress(run.step)
            rate = learning_rate(progress, run.step, warm, options.rate)
            frozen = options.tune or options.frozen or progress >= FROZEN
            for name, value in run.train_step(batch, rate, frozen).items():
                sums[name] = sums[name] + value if name in sums else value
            is_last = run.step == options.steps or clock.progress(run.step) >= 1
            if run.step % LOGGED and not is_last:
                continue
            run.seconds, mark = run.seconds + time.monotonic() - mark, time.monotonic()
            line: dict[str, float] = {"step": run.step, "minutes": round(run.seconds / 60, 1)}
            line |= {name: round(float(value) / LOGGED, 4) for name, value in sums.items()}
            sums = {}
            if options.seconds is None and (run.step % VALIDATED == 0 or is_last):
                line["validation"] = round(validate(run.averaged, validation, options.device), 2)
            print(json.dumps(line), file=log, flush=True)
            print(json.dumps(line), flush=True)
            if is_last or mark > saved + SAVED:
                run.save(options.keep)
                saved = time.monotonic()
            if is_last:
                break
    return run


def main() -> None:
    began = time.monotonic()
    options = parse()
    if options.export:
        export(options)
        return
    if options.pack and options.data:
        listed = read_index(options.data, {"yes"} if options.only_free else {"yes", "sa"})
        size = write_pack(listed.split(), options.pack, options.side, options.quality)
        print(f"{options.pack}: {size / 2**20:.1f} MiB")
        return
    known, held = material_of(options)
    if options.score:
        score(options.score, known, held, options.device)
        return
    torch.backends.cudnn.benchmark = True  # sizes are few and come again and again
    run = train(options, known, held, began)
    if options.seconds:
        for name, error in trial_errors(run.averaged, held, options.device).items():
            print(json.dumps({name: round(error, 2)}), flush=True)
        leave(0)


if __name__ == "__main__":
    main()
