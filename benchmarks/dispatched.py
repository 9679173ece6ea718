"""Operations that an image update and a network epoch dispatch, views left out: what a GPU has to launch.

And how often an outer loop reads a number back from the device, for which the CPU waits until the GPU has caught up.

    python benchmarks/dispatched.py [--json]

The counts are the same on every machine: passes are as large, and pooling is done, as on a GPU of 80 GiB. They do not
depend on the width of the network, which is small here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import click
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from ways import job_of

from dcc_core import Step
from dcc_core.engine import Network, optimise, update

VIEWS = {
    "view",
    "_unsafe_view",
    "reshape",
    "expand",
    "select",
    "slice",
    "unsqueeze",
    "squeeze",
    "permute",
    "transpose",
} | {"t", "alias", "detach", "split", "split_with_sizes", "unbind", "as_strided", "unfold", "lift_fresh"}
"""Operations that touch no data."""
UPDATES = {
    "DC ipc 1": {"loss": "class-wise", "run.ipc": 1},
    "DC ipc 10": {"loss": "class-wise", "run.ipc": 10},
    "DCC ipc 1": {"loss": "collective-bare", "run.ipc": 1},
    "DSA ipc 1": {"loss": "class-wise", "aug": "dsa", "run.ipc": 1},
    "DSAC ipc 1": {"loss": "collective-bare", "aug": "dsa", "run.ipc": 1},
    "DSAC ipc 10": {"loss": "collective-bare", "aug": "dsa", "run.ipc": 10},
}
"""Methods by name: options of a run with 256 real images of each of ten classes."""


@contextlib.contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Choices that depend on the device are those for a GPU with 80 GiB."""
    with (
        mock.patch("dcc_core.compute.chunks.gpu_memory", lambda device: 80 * 2**30),
        mock.patch("dcc_plugins.networks.pooling.on_cpu", lambda maps: False),
    ):
        yield


class Counting(TorchDispatchMode):
    """Counts the operations that run while it is active, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name not in VIEWS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def count(work: Callable[[], object]) -> Counter[str]:
    """The operations of some work, by name; what it does at first alone does not count."""
    work()
    with Counting() as counting:
        work()
    return counting.counts


@as_on_a_gpu()
def count_update(options: dict[str, Any]) -> Counter[str]:
    """The operations of an image update."""
    job = job_of(**{"arch.width": 8, "run.real_batch": 256, **options})
    run, synthetic, state = job.start()
    network = Network(run, 0)
    inner = iter(range(1, 100))

    def work() -> None:
        update(Step(run, synthetic, outer=0, inner=next(inner), network=network.module), job.config.loss, state)

    return count(work)


@as_on_a_gpu()
def count_epoch(options: dict[str, Any]) -> Counter[str]:
    """The operations of one epoch of the network on the synthetic set."""
    job = job_of(**{"arch.width": 8, "run.network_steps": 1, "run.ipc": 1, **options})
    run, synthetic, _ = job.start()
    network = Network(run, 0)
    inner = iter(range(100))
    return count(lambda: network.train(synthetic, next(inner)))


READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "nonzero", "masked_select"}
"""Functions whose result depends on numbers that the device must have computed by then."""
MARK = "computed_on_the_device"


class Reading(TorchFunctionMode):
    """Counts reads of tensors that a GPU would hold: those that are marked, and all that is computed from them."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(hasattr(value, MARK) for value in tree_leaves((args, kwargs))):
            if (name := getattr(func, "__name__", "")) in READS:
                self.reads[name] += 1
            mark(tree_leaves(result))
        return result


def mark(values: Iterable[object]) -> None:
    """Mark tensors as computed on the device."""
    for value in values:
        if isinstance(value, torch.Tensor):
            setattr(value, MARK, True)


@as_on_a_gpu()
def count_reads(options: dict[str, Any], *, looks: bool = False) -> Counter[str]:
    """How often an outer loop of three updates, with network epochs between, reads from the device, by function.

    looks: whether somebody looks at the set after every step.
    """
    job = job_of(
        **{
            "arch.width": 8,
            "run.real_batch": 4,
            "run.outer_loops": 1,
            "run.inner_loops": 3,
            "run.network_steps": 2,
            **options,
        }
    )
    run, synthetic, state = job.start()
    objectives: list[float] = []
    with Reading() as reading:
        mark([job.real.images, *synthetic.stored.values(), *synthetic.leaves()])
        optimise(
            run, job.config.loss, synthetic, state, watch=lambda r: objectives.append(r.loss), looks=lambda o, i: looks
        )
    if len(objectives) != run.inner_loops:
        raise AssertionError(f"{len(objectives)} of {run.inner_loops} objectives were reported")
    return reading.reads


def measure() -> dict[str, int]:
    """The number of operations, by piece of work."""
    counts = {name: count_update(options).total() for name, options in UPDATES.items()}
    counts["epoch"] = count_epoch({}).total()
    counts["epoch with DSA"] = count_epoch({"aug": "dsa"}).total()
    counts["reads, an outer loop"] = count_reads(UPDATES["DSAC ipc 1"]).total()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    counts = measure()
    if parser.parse_args().json:
        click.echo(json.dumps(counts))
    else:
        for name, number in counts.items():
            click.echo(f"{name:22}{number:6}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
