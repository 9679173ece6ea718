"""Kill processes of a run under torchrun with SIGKILL at random moments, and compare the bytes at the end.

    python benchmarks/group_kills.py --kills 10

torchrun restarts the group after each kill, and the run resumes from its checkpoint. Prints a Markdown table.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

RUN = shlex.split(
    "run --data digits --aug dsa --outer-loops 40 --network-steps 2 --sets 2 --eval-nets 2 --protocol dc --quiet "
    "-o arch.width=16 -o run.checkpoint=0s --out"
)
SAME = ("set.safetensors", "set-1.safetensors", "grid.png", "grid-1.png", "metrics.jsonl")


def started(out: Path, processes: int, restarts: int) -> subprocess.Popen[bytes]:
    launcher = f"--nproc-per-node {processes} --max-restarts {restarts} --monitor-interval 0.1 --standalone"
    command = [sys.executable, "-m", "torch.distributed.run", *launcher.split(), "-m", "dcc_core", *RUN, str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def members(launcher: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(launcher)], capture_output=True, text=True).stdout
    return sorted(int(word) for word in found.split())


@click.command()
@click.option("--kills", default=10)
@click.option("--processes", default=2)
@click.option("--seed", default=0)
def main(kills: int, processes: int, seed: int) -> None:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        plain, killed = Path(folder) / "plain", Path(folder) / "killed"
        begin = time.monotonic()
        if started(plain, processes, 0).wait() != 0:
            raise click.ClickException("the undisturbed run failed")
        took = time.monotonic() - begin
        running, ranks = started(killed, processes, 2 * kills), []
        while len(ranks) < kills:
            time.sleep(draw.uniform(0.05, 0.35) * took)
            own = members(running.pid)
            if running.poll() is not None:
                break
            if len(own) == processes:
                victim = draw.randrange(processes)
                os.kill(own[victim], signal.SIGKILL)
                ranks.append(victim)
        code = running.wait()
        differing = [name for name in SAME if (plain / name).read_bytes() != (killed / name).read_bytes()]
    click.echo("| processes | kills | of process | exit code | files that differ |\n|---|---|---|---|---|")
    click.echo(
        f"| {processes} | {len(ranks)} | {', '.join(map(str, ranks))} | {code} | {', '.join(differing) or 'none'} |"
    )


if __name__ == "__main__":
    main()
