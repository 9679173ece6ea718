"""The command `dcc inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import registry_of_call, with_preview
from dcc_core.errors import DccError, IncompleteError

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="SET", type=FILE)
@click.option("--grid", metavar="FILE.png", type=FILE, help="write a picture of the images to this file")
@with_preview
@click.option("--check", is_flag=True, help="exit code 1 if there are findings")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def inspect(file: Path, grid: Path | None, preview: bool, check: bool, as_json: bool) -> None:
    """Print the content of a set file and what is wrong with it, or how a folder of images is understood.

    Findings change the exit code only with --check. A file that cannot be read gives exit code 2.
    """
    from dcc_core.sets import find_set, write_atomically
    from dcc_plugins.commands.inspection import inspect_set
    from dcc_plugins.commands.inspection_tables import build_tables
    from dcc_plugins.terminal import print_table, printable
    from dcc_plugins.terminal.preview import Preview

    registry = registry_of_call()
    file = find_set(file)
    if file.is_dir():
        if sets := sorted(file.glob("**/*.safetensors")):
            raise DccError(f"'{file}' is a folder of runs; name a set file, e.g. {sets[0]}")
        click.echo(registry.find("data", f"folder:{file}").load()(path=file).describe())
        return
    found = inspect_set(file, registry)
    if grid:
        write_atomically(grid, found.grid(registry))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        if preview:
            Preview().show(file, registry)
        for table in build_tables(found):
            print_table(table)
        for finding in found.findings:
            click.echo(f"warning: {printable(finding)}")
        if not found.findings:
            click.echo("no problems found")
    if check and found.findings:
        raise IncompleteError(f"{len(found.findings)} problem(s) found in '{file}'")
