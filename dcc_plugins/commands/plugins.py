"""`dcc plugins`: all components, and what is wrong with plugins."""

from __future__ import annotations

import fnmatch
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict

import click

from dcc_core.cli import registry_of_call
from dcc_core.errors import DccError, IncompleteError, PluginWarning
from dcc_core.plugins import Provided, Registry, find_kind
from dcc_plugins.commands.plugin_checks import check_plugins
from dcc_plugins.commands.rows import print_rows


@click.command
@click.option("--kind", help="only components of this kind")
@click.option("--match", metavar="PATTERN", help="only these names, those of families too, e.g. 'timm/*vit*'")
@click.option("--check", is_flag=True, help="import every component, and say what is wrong; exit code 1 if anything is")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def plugins(kind: str | None, match: str | None, check: bool, as_json: bool) -> None:
    """List every component with its kind, provider and version, and the plugins that are broken."""
    registry = registry_of_call()
    if check:
        if kind or match:
            raise DccError("--check looks at every component of every plugin; leave out --kind and --match")
        _check(registry, as_json)
        return
    wanted = find_kind(kind).name if kind else None
    conflicts = registry.conflicts()
    rows = [
        {
            "kind": row.kind.name,
            "name": name,
            **asdict(row.origin),
            "summary": row.component.summary,
            "conflict": (row.kind.name, row.component.name) in conflicts,
        }
        for row in registry.components(wanted)
        for name in _names(row, match)
    ]
    if match and not rows:
        raise DccError(f"no component's name matches '{match}'; * stands for anything: '*{match.strip('*')}*'")
    broken = [{**asdict(b.origin), "reason": b.reason} for b in registry.broken]
    if as_json:
        click.echo(json.dumps({"components": rows, "broken": broken}))
        return
    for row in rows:
        if row["conflict"]:
            row["name"] = f"{row['provider']}:{row['name']}"
    print_rows("components", ["kind", "name", "provider", "version", "summary"], rows)
    if broken:
        print_rows("not loaded", ["provider", "distribution", "version", "reason"], broken)


def _check(registry: Registry, as_json: bool) -> None:
    """Print what is wrong with each plugin. Raises IncompleteError if anything is."""
    checked = check_plugins(registry)
    rows = [
        asdict(c.origin) | {"components": c.components, "seconds": c.seconds, "faults": list(c.faults)} for c in checked
    ]
    if as_json:
        click.echo(json.dumps({"plugins": rows}))
    else:
        for row in rows:
            row["import"] = "–" if row["seconds"] is None else f"{row['seconds']:.2f} s"
            row["state"] = f"{len(row['faults'])} wrong" if row["faults"] else "good"
        print_rows("plugins", ["provider", "distribution", "version", "components", "import", "state"], rows)
        for c in checked:
            for fault in c.faults:
                click.echo(f"{c.origin}: {fault}")
    faults, plugins = sum(len(c.faults) for c in checked), sum(bool(c.faults) for c in checked)
    if faults:
        raise IncompleteError(f"{faults} wrong with {plugins} of {len(checked)} plugins")


def _names(row: Provided, match: str | None) -> Iterator[str]:
    """A row's name; with a pattern, those that match of its name and, for a family, of all that it stands for."""
    names = [row.component.name]
    try:
        names += row.members() if match else []
    except DccError as error:
        warnings.warn(str(error), PluginWarning, stacklevel=2)
    yield from (name for name in names if match is None or fnmatch.fnmatchcase(name, match))
