"""The command line: `dcc` and its short form `dcc-run`. Imports nothing heavy before it must."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from dcc_core import options
from dcc_core.builder import DEFAULT_NAMES, ENGINE_SECTIONS
from dcc_core.config import resolve
from dcc_core.errors import DccError, PluginWarning
from dcc_core.registry import Registry, kind_named
from dcc_core.settings import Rank, Settings

COMPONENT_FLAGS = {
    "--data": ("data", "data source"),
    "--loss": ("loss", "matching loss"),
    "--aug": ("aug", "augmentation, Siamese in matching"),
    "--arch": ("arch", "network architecture"),
    "--param": ("param", "parametrisation of the synthetic images"),
    "--recipe": ("recipe", "named settings, e.g. paper or official"),
}
ENGINE_FLAGS = {
    "--ipc": "run.ipc",
    "--seed": "run.seed",
    "--sets": "run.sets",
    "--outer-loops": "run.outer_loops",
    "--inner-loops": "run.inner_loops",
    "--network-steps": "run.network_steps",
    "--init": "run.init",
    "--protocol": "score.protocol",
    "--eval-nets": "score.nets",
    "--device": "run.device",
    "--data-root": "run.data_root",
}
HELP = {"help_option_names": ["-h", "--help"]}
KEY_OF_FLAG = {flag: key for flag, (key, _) in COMPONENT_FLAGS.items()} | ENGINE_FLAGS


class _Commands(click.Group):
    """Turns every DccError into one message and its exit code; `DCC_DEBUG=1` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        return _guarded(lambda: super(_Commands, self).invoke(ctx))


class _Command(click.Command):
    def invoke(self, ctx: click.Context) -> Any:
        return _guarded(lambda: super(_Command, self).invoke(ctx))


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return work()
    except DccError as error:
        if os.environ.get("DCC_DEBUG") == "1":
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as error:
        click.echo(f"Interrupted{f': {error}' if str(error) else ''}", err=True)
        sys.exit(130)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    if issubclass(category, PluginWarning):
        click.echo(f"Warning: {message}", err=True)
    else:
        click.echo(warnings.formatwarning(message, category, filename, lineno), err=True, nl=False)


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags for components and engine options; their help and defaults are the options' own."""
    schemas = {section: options.schema(cls) for section, cls in ENGINE_SECTIONS.items()}
    for flag, key in reversed(ENGINE_FLAGS.items()):
        section, _, name = key.partition(".")
        option = schemas[section][name]
        default = "" if option.default is None else f"  [default: {option.default}]"
        metavar = "N" if option.expected.startswith("an integer") else "TEXT"
        command = click.option(flag, metavar=metavar, help=option.help + default)(command)
    for flag, (key, words) in reversed(COMPONENT_FLAGS.items()):
        default = f"  [default: {DEFAULT_NAMES[key]}]" if key in DEFAULT_NAMES else ""
        command = click.option(flag, metavar="NAME", help=words + default)(command)
    return command


@click.command(cls=_Command, name="run", context_settings=HELP)
@_with_flags
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file of options")
@click.option("-o", "pairs", multiple=True, metavar="KEY=VALUE", help="any option, e.g. -o loss.distance=cosine")
@click.option("--out", type=click.Path(path_type=Path), help="folder for the results  [default: runs/<name>]")
@click.option("--overwrite", is_flag=True, help="replace the results of an earlier run in --out")
@click.option("--json", "as_json", is_flag=True, help="print the report as JSON, the last line of stdout")
@click.option("--quiet", is_flag=True, help="show nothing but errors and the result")
def run(
    config_file: Path | None,
    pairs: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **flags: str | None,
) -> None:
    """Condense a data set into a few images per class, and score the result.

    `dcc plugins` lists what the names can be, `dcc show KIND NAME` the options of each for `-o`. The defaults
    are the paper's; small data sources suggest smaller budgets, and the report says where each value came from.
    """
    registry = Registry.installed()
    config = resolve(registry, _settings(config_file, pairs, flags))

    from dcc_core.display import Display, print_table
    from dcc_core.folder import RunFolder, default_folder
    from dcc_core.report import result_table
    from dcc_core.run import execute

    folder = RunFolder(out or default_folder(config), overwrite=overwrite)
    report = execute(config, registry, folder, Display(quiet=quiet))
    if as_json:
        click.echo(json.dumps(report))
    else:
        print_table(result_table(report))
        click.echo(f"results in {folder.path}")


def _settings(config_file: Path | None, pairs: tuple[str, ...], flags: Mapping[str, str | None]) -> Settings:
    settings = Settings()
    if config_file:
        settings.add_file(config_file)
    settings.add_options(pairs)
    for flag, key in KEY_OF_FLAG.items():
        value = flags[flag.removeprefix("--").replace("-", "_")]
        if value is not None:
            settings.add({key: value}, flag, Rank.FLAG)
    return settings


@click.group(cls=_Commands, context_settings=HELP)
@click.version_option(package_name="dcc")
def cli() -> None:
    """Dataset condensation: a few synthetic images per class on which networks train nearly as well."""


cli.add_command(run)


@cli.command()
@click.option("--kind", help="only components of this kind")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def plugins(kind: str | None, as_json: bool) -> None:
    """List every component with its kind, provider and version, and the plugins that are broken."""
    registry = Registry.installed()
    wanted = kind_named(kind).name if kind else None
    rows = [
        {
            "kind": row.kind.name,
            "name": row.component.name,
            "provider": row.origin.provider,
            "distribution": row.origin.distribution,
            "version": row.origin.version,
            "summary": row.component.summary,
            "conflict": (row.kind.name, row.component.name) in registry.conflicts(),
        }
        for row in registry.components(wanted)
    ]
    broken = [
        {
            "provider": b.origin.provider,
            "distribution": b.origin.distribution,
            "version": b.origin.version,
            "reason": b.reason,
        }
        for b in registry.broken
    ]
    if as_json:
        click.echo(json.dumps({"components": rows, "broken": broken}))
        return
    for row in rows:
        if row["conflict"]:
            row["name"] = f"{row['provider']}:{row['name']}"
    _print_table("components", ["kind", "name", "provider", "version", "summary"], rows)
    if broken:
        _print_table("not loaded", ["provider", "distribution", "version", "reason"], broken)


@cli.command()
@click.argument("kind")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def show(kind: str, name: str | None, as_json: bool) -> None:
    """Show the options of a component, e.g. `dcc show loss collective`.

    `dcc show run` and `dcc show score` show the engine's own.
    """
    registry = Registry.installed()
    key, found, chosen = kind, None, ""
    if kind in ENGINE_SECTIONS:
        cls = ENGINE_SECTIONS[kind]
    else:
        k = kind_named(kind)
        if name is None:
            known = ", ".join(row.component.name for row in registry.components(k.name))
            raise DccError(f"which {k.name}? One of: {known}")
        key, found = k.key, registry.find(k.name, name)
        if k.name == "recipe":
            click.echo(found.read())
            return
        cls = found.load()
        if found.argument is not None:
            chosen = _described(cls, found.argument)
    rows = [
        {
            "option": f"{key}.{option.name}",
            "value": option.expected,
            "default": _default_text(registry, option),
            "help": option.help,
        }
        for option in options.schema(cls).values()
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if found:
        click.echo(f"{found.provided.component.name}: {found.provided.component.summary}")
        click.echo(f"{found.provided.kind.name} of plugin {found.provided.origin}\n\n{_doc(cls)}\n")
    if chosen:
        click.echo(f"{chosen}\n")
    if rows:
        _print_table("options", ["option", "value", "default", "help"], rows)
    else:
        click.echo("It takes no options.")


def _described(cls: type, argument: str) -> str:
    """What a family's argument chose, where the component can say."""
    from dcc_core.data import DataSource

    if not issubclass(cls, DataSource):
        return ""
    values: dict[str, Any] = {options.own_options(cls)[0]: argument}
    return cls(**values).describe()


def _doc(cls: type) -> str:
    import inspect

    return inspect.getdoc(cls) or ""


def _default_text(registry: Registry, option: options.Option) -> str:
    if option.default is options.REQUIRED:
        return "required"
    if option.kind and option.default is not None:
        return registry.name_of(option.kind, type(option.default)) or type(option.default).__name__
    value = options.plain(option.default)
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_table(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from dcc_core.display import print_table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(row[c])) for c in columns))
    print_table(table)


def main() -> None:
    """Entry point of `dcc`."""
    cli.main(prog_name="dcc")


def main_run() -> None:
    """Entry point of `dcc-run`."""
    run.main(prog_name="dcc-run")
