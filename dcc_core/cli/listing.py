"""The commands that list components: `dcc plugins` and `dcc show`."""

from __future__ import annotations

import fnmatch
import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from dcc_core.config import ENGINE_SECTIONS, REQUIRED, Option, own_options, plain, schema
from dcc_core.errors import DccError, IncompleteError, PluginWarning
from dcc_core.plugins import KINDS, Found, Provided, Registry, find_kind


@click.command(short_help="List all components, and the plugins that are broken")
@click.option("--kind", help="only components of this kind")
@click.option("--match", metavar="PATTERN", help="only these names, those of families too, e.g. 'timm/*vit*'")
@click.option("--check", is_flag=True, help="import every component, and say what is wrong; exit code 1 if anything is")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def plugins(kind: str | None, match: str | None, check: bool, as_json: bool) -> None:
    """List every component with its kind, provider and version, and the plugins that are broken."""
    registry = Registry.installed()
    if check:
        if kind or match:
            raise DccError("--check looks at every component of every plugin; leave out --kind and --match")
        _check(registry, as_json)
        return
    wanted = find_kind(kind).name if kind else None
    rows = [
        {
            "kind": row.kind.name,
            "name": name,
            **asdict(row.origin),
            "summary": row.component.summary,
            "conflict": (row.kind.name, row.component.name) in registry.conflicts(),
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
    _print_table("components", ["kind", "name", "provider", "version", "summary"], rows)
    if broken:
        _print_table("not loaded", ["provider", "distribution", "version", "reason"], broken)


@click.command(short_help="Show what a component is, and its options")
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def show(kind: str | None, name: str | None, as_json: bool) -> None:
    """Show the options of a component, e.g. `dcc show loss collective`.

    `dcc show run` and `dcc show score` show the engine's own, `dcc show continual` those of `dcc continual`.
    """
    registry = Registry.installed()
    if kind in ENGINE_SECTIONS:
        key, cls, found = kind, ENGINE_SECTIONS[kind], None
    else:
        found = _find(registry, kind, name)
        if found.provided.kind.files:
            click.echo(found.read())
            return
        commands = found.provided.kind.commands
        key = found.provided.component.name if commands else found.provided.kind.key
        cls = found.options() if commands else found.load()
    options = schema(cls).values() if cls else ()
    rows = [
        {
            "option": f"{key}.{'*' if option.open else option.name}",
            "value": "any" if option.open else option.expected,
            "default": "–" if option.open else _default_text(registry, option),
            "help": option.help,
        }
        for option in options
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if found:
        _print_component(found)
    if rows:
        _print_table("options", ["option", "value", "default", "help"], rows)
    else:
        click.echo("It takes no options.")


def _find(registry: Registry, kind: str | None, name: str | None) -> Found:
    """The component that `dcc show` is asked for; the name of a command with options of its own is enough.

    Raises DccError if something is missing, or there is no such component.
    """
    commands = [row.component.name for row in registry.components("command") if row.component.options]
    if kind is None:
        sections, kinds = ", ".join([*ENGINE_SECTIONS, *commands]), ", ".join(k.name for k in KINDS)
        raise DccError(f"show what? The options of {sections}, or a kind of component and a name: {kinds}")
    if name is None and kind in commands:
        return registry.find("command", kind)
    k = find_kind(kind)
    if name is None:
        known = ", ".join(row.component.name for row in registry.components(k.name))
        raise DccError(f"which {k.name}? One of: {known}")
    return registry.find(k.name, name)


def _print_component(found: Found) -> None:
    """Print what a component is: its summary, its plugin, its documentation, and what a family's argument chose."""
    loaded, provided = found.load(), found.provided
    text = (loaded.help or "").strip() if provided.kind.commands else _doc(loaded)
    click.echo(f"{provided.component.name}: {provided.component.summary}")
    click.echo(f"{provided.kind.name} of plugin {provided.origin}\n\n{text}\n")
    if found.argument is not None and (chosen := _describe(loaded, found.argument)):
        click.echo(f"{chosen}\n")


def _check(registry: Registry, as_json: bool) -> None:
    """Print what is wrong with each plugin. Raises IncompleteError if anything is."""
    from dcc_core.cli.plugin_checks import check_plugins

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
        _print_table("plugins", ["provider", "distribution", "version", "components", "import", "state"], rows)
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


def _describe(cls: type, argument: str) -> str:
    """What a family's argument chose, if the component can say."""
    from dcc_core.data import DataSource
    from dcc_core.engine import Architecture

    if not issubclass(cls, DataSource | Architecture):
        return ""
    values: dict[str, Any] = {own_options(cls)[0]: argument}
    try:
        return cls(**values).describe()
    except ValueError as error:
        raise DccError(str(error)) from error


def _doc(cls: type) -> str:
    import inspect

    return inspect.getdoc(cls) or ""


def _default_text(registry: Registry, option: Option) -> str:
    if option.default is REQUIRED:
        return "required"
    if option.kind and option.default is not None:
        return registry.name_of(option.kind, type(option.default)) or type(option.default).__name__
    value = plain(option.default)
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_table(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from dcc_core.cli.display import print_table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row[c])) for c in columns))
    print_table(table)
