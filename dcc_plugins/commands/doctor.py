"""The command `dcc doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import registry_of_call


@click.command()
@click.option(
    "--data-root", type=click.Path(path_type=Path), help="folder for data sets; none: the user's cache folder"
)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def doctor(data_root: Path | None, as_json: bool) -> None:
    """Say what is here and what a run would use: versions, plugins, devices, threads, memory, caches, extras.

    The text is made to be pasted into a bug report: the home folder and the user's name are `~` in it.
    """
    from dcc_plugins.commands.diagnosis import diagnose, without_names

    found = without_names(diagnose(registry_of_call(), data_root))
    if as_json:
        click.echo(json.dumps(found))
        return
    width = max(len(name) for values in found.values() for name in values)
    for title, values in found.items():
        click.echo(title)
        for name, value in values.items():
            click.echo(f"  {name:<{width}}  {value}")
