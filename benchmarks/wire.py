"""Bytes that processes of one run really send each other, against the formula of docs/scaling.md.

    unshare --net sh -c "ip link set lo up; GLOO_SOCKET_IFNAME=lo python benchmarks/wire.py"

Counts what passes the loopback interface, in a network namespace of its own so that nothing else does. A run of 40
steps less one of 20 gives the bytes of 20 steps, whatever beginning and end take. Prints a Markdown table.
"""

from __future__ import annotations

import functools
from pathlib import Path

import click
import torch
from scaling import COMPARED, bytes_per_step

from dcc_core.group.group import Group
from dcc_core.testing import in_processes, job_of, learned

LOSSES = {"class-wise": {"loss": "class-wise"}, "collective": {"loss": "collective", "loss.warmup": "none"}}
STEPS = 20


def sent() -> int:
    """Bytes that the loopback interface has sent so far."""
    (line,) = [row for row in Path("/proc/net/dev").read_text().splitlines() if row.strip().startswith("lo:")]
    return int(line.split(":")[1].split()[8])


def bytes_of(options: dict[str, object], processes: int, outer_loops: int) -> int:
    def work(group: Group) -> None:
        learned(job_of({**options, "run.outer_loops": outer_loops}, group=group))

    before = sent()
    in_processes(processes, work)
    return sent() - before


@click.command()
@click.option("--width", default=64, help="of the ConvNet: it has most of what is sent")
def main(width: int) -> None:
    shape = {"data": "digits", "arch.width": width, "arch.depth": 2, "run.real_batch": 8, "run.inner_loops": 10}
    how = {**shape, "run.network_steps": 1, "run.ipc": 2, "aug": "dsa", "run.device": "cpu"}
    click.echo("| loss | processes | payload a step | all-reduce by rings sends | sent | ratio |")
    click.echo("|---|---|---|---|---|---|")
    for name, loss in LOSSES.items():
        run, synthetic, _ = job_of({**how, **loss}).start()
        weights = sum(p.nbytes for p in run.build(torch.Generator()).parameters())
        stored = sum(t.nbytes for t in synthetic.tensors().values())
        payload = bytes_per_step(weights, stored, collective=name == "collective")
        for processes in (2, 3, 4):
            measure = functools.partial(bytes_of, {**how, **loss}, processes)
            found = (measure(4) - measure(2)) / STEPS
            expected = 2 * (processes - 1) * (payload - COMPARED) + processes * (processes - 1) * COMPARED
            click.echo(
                f"| {name} | {processes} | {payload / 1e3:.1f} kB | {expected / 1e3:.1f} kB | {found / 1e3:.1f} kB "
                f"| {found / expected:.3f} |"
            )


if __name__ == "__main__":
    main()
