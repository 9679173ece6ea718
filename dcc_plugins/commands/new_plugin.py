"""The command `dcc new-plugin`."""

from __future__ import annotations

from pathlib import Path

import click

from dcc_core.cli import registry_of_call
from dcc_core.plugins import find_kind


@click.command(name="new-plugin")
@click.argument("name")
@click.option(
    "--kind", required=True, help="a kind that `dcc plugins` lists: loss, augmentation, ..., recipe, table, command"
)
@click.option(
    "--in", "place", type=click.Path(path_type=Path), default=Path(), help="folder to write into  [default: .]"
)
def new_plugin(name: str, kind: str, place: Path) -> None:
    """Write a package `dcc-NAME` with one component, its tests and CI, ready for `pip install`."""
    from dcc_plugins.commands.scaffold import write_plugin

    folder = write_plugin(name, find_kind(kind), place, registry_of_call())
    click.echo(f"wrote {folder}; next: pip install -e '{folder}[test]' && pytest {folder}")
