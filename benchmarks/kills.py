"""Kill a run with SIGKILL at random moments, go on with it each time, and compare the bytes at the end.

    python benchmarks/kills.py --kills 200 > benchmarks/results/kills.json

The processes are forked from one that has torch loaded, so that most of a kill's moments lie in the run itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import platform
import random
import shlex
import shutil
import tempfile
import time
from pathlib import Path

import click
import torch

from dcc_core.cli.app import cli

RUN = shlex.split(
    "run --data digits --loss collective --aug dsa --outer-loops 4 --inner-loops 3 --network-steps 2 --sets 2 "
    "--eval-nets 1 --protocol dc --log csv --quiet -o arch.width=4 -o run.checkpoint=0s --out"
)
SAME = ("set.safetensors", "set-1.safetensors", "grid.png", "metrics.jsonl", "steps.csv", "scores.csv")


def child(out: Path) -> None:
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        cli.main([*RUN, str(out)], standalone_mode=False)


def ended(out: Path, delay: float | None) -> bool:
    """Whether the run is done after a process that goes on with it, and is killed after a while."""
    process = multiprocessing.get_context("fork").Process(target=child, args=(out,))
    process.start()
    process.join(delay)
    if process.exitcode:
        raise SystemExit(f"a process ended with {process.exitcode}: see {out}")
    process.kill()
    process.join()
    return (out / "report.json").exists()


@click.command()
@click.option("--kills", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Print how many kills and runs there were, and in how many of the runs a file differs."""
    folder, dice = Path(tempfile.mkdtemp()), random.Random(seed)
    start = time.monotonic()
    ended(folder / "whole", None)
    took = time.monotonic() - start
    expected = [(folder / "whole" / name).read_bytes() for name in SAME]
    done, runs, different, writing = 0, 0, 0, 0
    while done < kills:
        runs += 1
        out = folder / str(runs)
        while not ended(out, dice.uniform(0, took) if done < kills else None):
            done += 1
            writing += bool(out.exists() and list(out.glob(".*.tmp")))
        different += expected != [(out / name).read_bytes() for name in SAME]
    shutil.rmtree(folder)
    found = {"kills": done, "while_writing": writing, "runs": runs, "runs_that_differ": different, "seed": seed}
    click.echo(json.dumps(found | {"torch": torch.__version__, "python": platform.python_version()}))
    if different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
