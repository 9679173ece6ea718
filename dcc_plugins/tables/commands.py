"""The commands `dcc table` and `dcc sweep`: grids of runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dcc_core.cli import Flag, add_flags, offer_components, registry_of_call, with_flags, with_results
from dcc_core.config import Settings
from dcc_core.errors import IncompleteError
from dcc_core.plugins import Registry
from dcc_plugins.tables.placement import choose_workers
from dcc_plugins.tables.table import TableSpec, find_table, read_sweep
from dcc_plugins.tables.workers import Resources

TABLE_FLAGS = (
    Flag("--seed", "run.seed"),
    Flag("--sets", "run.sets"),
    Flag("--eval-nets", "score.nets"),
    Flag("--device", "run.device"),
    Flag("--memory", "run.memory"),
    Flag("--data-root", "run.data_root"),
)
CELLS = click.option(
    "--cells", multiple=True, metavar="PATTERN", help="only these cells, e.g. 'cifar10/ipc10/*'; repeatable"
)


def with_workers(command: Callable[..., None]) -> Callable[..., None]:
    """Add where a command's runs are done, and what each of them takes."""
    gpus, cpus = click.FloatRange(min=0), click.IntRange(min=1)
    for option in (
        click.option("--cell-gpus", type=gpus, metavar="N", help="GPUs of a cell; may be a part  [default: a share]"),
        click.option("--cell-cpus", type=cpus, metavar="N", help="CPUs of a cell, its threads  [default: a share]"),
        click.option(
            "--on",
            "place",
            default="local",
            show_default=True,
            metavar="PLACE",
            help="local: one cell after another; local:N: N processes; ray, ray://HOST:PORT, ray:ADDRESS: Ray",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name", shell_complete=offer_components("table"))
@CELLS
@click.option("--scale", help="size of the runs: tiny, small, or paper  [default: small]")
@with_flags(TABLE_FLAGS, defaults=False)
@with_workers
@with_results("tables/<name>/<scale>", again="run cells again that are done")
def table(name: str, **options: Any) -> None:
    """Run the missing cells of a table and print it, the paper's numbers beside ours.

    `dcc plugins --kind table` lists the tables. After an interruption the same command continues. A cell
    that fails is named at the end, with exit code 1, and the others are run all the same.

    --on local:N runs N cells at a time, each in a process of its own; --on ray does so on Ray, which needs the extra
    dataset-condensation[ray]. If a worker dies, its cell continues in another one.
    """
    registry = registry_of_call()
    _run(find_table(registry, name), registry, Path("tables"), **options)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@CELLS
@click.option("--scale", help="size of the runs, where the file has several  [default: small, or the first]")
@with_flags(TABLE_FLAGS, defaults=False)
@with_workers
@with_results("sweeps/<file's name>", again="run cells again that are done")
def sweep(file: Path, **options: Any) -> None:
    """Run the missing cells of a grid of runs that a TOML file describes, and print what they give as a table.

    The file has the format of tables. Options of all runs stand under [options], and what is swept under [axes], e.g.
    loss = ["class-wise", "collective"]. The rest is as for `dcc table`.
    """
    _run(read_sweep(file), registry_of_call(), Path("sweeps"), **options)


def _run(
    spec: TableSpec,
    registry: Registry,
    results_in: Path,
    *,
    cells: tuple[str, ...],
    scale: str | None,
    place: str,
    cell_cpus: int | None,
    cell_gpus: float | None,
    config_file: Path | None,
    pairs: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    scale = spec.usual if scale is None else scale
    chosen = spec.cells(scale, cells)
    given = add_flags(Settings(), TABLE_FLAGS, flags, config_file, pairs)
    out = out or results_in / spec.name / scale
    resources = Resources(cpus=cell_cpus, gpus=cell_gpus)
    workers = choose_workers(place, resources.over(spec.file.resources), resources, out)

    from dcc_plugins.tables.run_table import Tabling
    from dcc_plugins.terminal import Display, print_table

    results = Tabling(spec, scale, chosen, given, registry, out, overwrite=overwrite).run(Display(quiet=quiet), workers)
    if as_json:
        click.echo(json.dumps(json.loads(results.json())))
    else:
        print_table(results.terminal())
        click.echo(f"results in {out}")
    if results.failed:
        failed = "\n".join(f"  {cell}: {message}" for cell, message in results.failed.items())
        raise IncompleteError(f"{len(results.failed)} of {len(chosen)} cells failed\n{failed}")
