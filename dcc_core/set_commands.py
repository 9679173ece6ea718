"""The commands that take set files: `dcc eval`, `dcc inspect` and `dcc convert`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.config import resolve
from dcc_core.errors import IncompleteError
from dcc_core.flags import EVAL_FLAGS, add_flags, with_flags, with_preview
from dcc_core.group import the_group
from dcc_core.registry import Registry
from dcc_core.settings import Settings

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="SRC", type=FILE)
@click.argument("target", metavar="DST", type=FILE)
@click.option("--from", "source_format", metavar="NAME", default="dcc", show_default=True, help="format of SRC")
@click.option("--to", "target_format", metavar="NAME", default="dcc", show_default=True, help="format of DST")
@click.option(
    "--stats",
    metavar="TEXT",
    help="mean and std of normalised images: a data source whose they are (cifar10), or 'mean=... std=...'",
)
@click.option("--data", metavar="NAME", help="data source that the set was made of: it names the classes")
@click.option("--class-names", metavar="A,B,...", help="names of the classes, in the order of their labels")
@click.option("--data-root", type=FILE, help="folder for data sets; none: the user's cache folder")
@click.option("-o", "pairs", multiple=True, metavar="KEY=VALUE", help="option of the format, e.g. -o format.factor=2")
@click.option("--overwrite", is_flag=True, help="replace what stands at DST")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def convert(
    source: Path,
    target: Path,
    source_format: str,
    target_format: str,
    stats: str | None,
    data: str | None,
    class_names: str | None,
    data_root: Path | None,
    pairs: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read a set of another tool's as a set file, or write a set file as another tool reads it.

    `dcc plugins --kind format` lists the formats, `dcc show format NAME` what each is and its options; `dcc` is a set
    file. Nothing that stands in a file is executed. What the new file does not hold is said.
    """
    registry = Registry.installed()
    for name in {source_format, target_format} - {"dcc"}:
        registry.find("format", name)  # a mistyped name is told before torch is imported
    settings = Settings()
    settings.add_options(pairs)

    from dcc_core import conversion
    from dcc_core.display import Display, printable

    with Display().logging():
        done = conversion.convert(
            source,
            target,
            source_format=source_format,
            target_format=target_format,
            stats=stats,
            data=data,
            class_names=[name.strip() for name in (class_names or "").split(",") if name.strip()],
            options={key: setting.value for key, setting in settings.values.items()},
            data_root=data_root,
            overwrite=overwrite,
            registry=registry,
        )
    classes, rows = len(done.set.class_names), len(done.set.owners)
    if as_json:
        click.echo(json.dumps({"out": str(target), "classes": classes, "rows": rows, "notes": list(done.notes)}))
        return
    for note in done.notes:
        click.echo(f"note: {printable(note)}")
    click.echo(f"wrote {target}: {rows} stored images of {classes} classes")


@click.command()
@click.argument("file", metavar="SET", type=FILE)
@click.option("--grid", metavar="FILE.png", type=FILE, help="draw the images into this file")
@with_preview
@click.option("--check", is_flag=True, help="exit code 1 if anything is found to be wrong")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def inspect(file: Path, grid: Path | None, preview: bool, check: bool, as_json: bool) -> None:
    """Print everything that stands in a set file, and what is wrong with it.

    Findings do not change the exit code unless --check is given; a file that cannot be read is exit code 2.
    """
    from dcc_core.display import print_table, printable, terminal
    from dcc_core.files import write_atomically
    from dcc_core.inspection import inspected
    from dcc_core.inspection_output import tables
    from dcc_core.preview import show_preview
    from dcc_core.setfile import load_set
    from dcc_core.snapshots import pictures_of

    registry = Registry.installed()
    found = inspected(file, registry)
    if grid:
        write_atomically(grid, found.grid(registry))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        if preview:
            show_preview(pictures_of(load_set(file), registry, 0), terminal())
        for table in tables(found):
            print_table(table)
        for finding in found.findings:
            click.echo(f"warning: {printable(finding)}")
        if not found.findings:
            click.echo("nothing is wrong with it")
    if check and found.findings:
        raise IncompleteError(f"{len(found.findings)} found wrong with '{file}'")


@click.command(name="eval")
@click.argument("file", metavar="SET", type=click.Path(path_type=Path))
@with_flags(EVAL_FLAGS, defaults=False)
@click.option("--json", "as_json", is_flag=True, help="print the report as JSON, the last line of stdout")
@click.option("--quiet", is_flag=True, help="show nothing but errors and the result")
def evaluate(
    file: Path,
    config_file: Path | None,
    pairs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Score the condensed set in a file, on one architecture or many.

    What is not said here is as the file says: data, architecture, protocol, seed.
    """
    registry = Registry.installed()

    from dcc_core.display import Display, print_table
    from dcc_core.python import own_settings
    from dcc_core.report import result_table
    from dcc_core.scoring import evaluated
    from dcc_core.setfile import load_set

    with the_group() as group:
        s = group.told(lambda: load_set(file))
        config = resolve(registry, add_flags(own_settings(s, registry), EVAL_FLAGS, flags, config_file, pairs))
        display = Display(quiet=quiet, mute=not group.first)
        report = {"set": str(file)} | evaluated(s, config, registry, display, group)
    if group.first and as_json:
        click.echo(json.dumps(report))
    elif group.first:
        print_table(result_table(report))
