"""`dcc show`: what a component is, and its options."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from dcc_core.cli import registry_of_call
from dcc_core.config import ENGINE_SECTIONS, REQUIRED, Option, own_options, plain, schema
from dcc_core.data import DataSource
from dcc_core.engine import Architecture
from dcc_core.errors import DccError
from dcc_core.plugins import KINDS, Found, Registry, find_kind
from dcc_plugins.commands.rows import print_rows


@click.command
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def show(kind: str | None, name: str | None, as_json: bool) -> None:
    """Show the options of a component, e.g. `dcc show loss collective`.

    `dcc show run` and `dcc show score` show the engine's own, `dcc show continual` those of `dcc continual`.
    """
    registry = registry_of_call()
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
        print_rows("options", ["option", "value", "default", "help"], rows)
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
    text = (loaded.help or "").strip() if provided.kind.commands else inspect.getdoc(loaded) or ""
    click.echo(f"{provided.component.name}: {provided.component.summary}")
    click.echo(f"{provided.kind.name} of plugin {provided.origin}\n\n{text}\n")
    if found.argument is not None and (chosen := _describe(loaded, found.argument)):
        click.echo(f"{chosen}\n")


def _describe(cls: type, argument: str) -> str:
    """What a family's argument chose, if the component can say."""
    if not issubclass(cls, DataSource | Architecture):
        return ""
    values: dict[str, Any] = {own_options(cls)[0]: argument}
    try:
        return cls(**values).describe()
    except ValueError as error:
        raise DccError(str(error)) from error


def _default_text(registry: Registry, option: Option) -> str:
    if option.default is REQUIRED:
        return "required"
    if option.kind and option.default is not None:
        return registry.name_of(option.kind, type(option.default)) or type(option.default).__name__
    value = plain(option.default)
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
