"""The command line: `dcc` and its short form `dcc-run`. Imports nothing heavy before it must."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dcc_core.config import resolve
from dcc_core.continual.command import continual
from dcc_core.errors import DccError, PluginWarning, SilentError, Stopped
from dcc_core.flags import (
    RUN_FLAGS,
    SELECT_FLAGS,
    add_flags,
    begun_settings,
    with_flags,
    with_preview,
    with_results,
    with_resuming,
)
from dcc_core.group import launched, speaks, the_group
from dcc_core.listing import plugins, show
from dcc_core.registry import Registry, kind_named
from dcc_core.report_commands import report, show_result, watch
from dcc_core.set_commands import convert, evaluate, inspect
from dcc_core.settings import Settings
from dcc_core.study_command import study
from dcc_core.table_commands import sweep, table

TOGETHER = ("run", "select", "eval")
"""Commands that several processes work on together."""

HELP = {"help_option_names": ["-h", "--help"]}


class _Commands(click.Group):
    """Turns every DccError into one message and its exit code; `DCC_DEBUG=1` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        return _guarded(lambda: super(_Commands, self).invoke(ctx))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for; several processes run only those that they can work on together."""
        name, command, rest = super().resolve_command(ctx, args)
        if launched() and name not in TOGETHER:
            message = f"dcc {name} is for one process; torchrun is for dcc {', '.join(TOGETHER)}"
            raise DccError(message) if speaks() else SilentError(message)
        return name, command, rest


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
        if not isinstance(error, SilentError):
            click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as error:
        if speaks():
            click.echo(f"Interrupted{f': {error}' if str(error) else ''}", err=True)
        sys.exit(error.exit_code if isinstance(error, Stopped) else 130)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    if issubclass(category, PluginWarning):
        click.echo(f"Warning: {message}", err=True)
    else:
        click.echo(warnings.formatwarning(message, category, filename, lineno), err=True, nl=False)


@click.command(cls=_Command, name="run", context_settings=HELP)
@with_flags(RUN_FLAGS, defaults=True)
@click.option("--dry-run", is_flag=True, help="say what the run would take in time, memory and disk; write nothing")
@with_resuming
@with_preview
@with_results("runs/<name>", again="replace the results of an earlier run in --out")
def run(
    config_file: Path | None,
    pairs: tuple[str, ...],
    dry_run: bool,
    resume: Path | None,
    resume_anyway: bool,
    out: Path | None,
    preview: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Condense a data set into a few images per class, and score the result.

    `dcc plugins` lists what the names can be, `dcc show KIND NAME` the options of each for `-o`. The defaults
    are the paper's; small data sources suggest smaller budgets, and the report says where each value came from.

    A run that was interrupted goes on with --resume FOLDER, or by the same command where it says --out.
    """
    registry = Registry.installed()
    with the_group() as group:
        begun = group.told(lambda: begun_settings(resume, out, overwrite=overwrite))
        config = resolve(registry, add_flags(begun, RUN_FLAGS, flags, config_file, pairs))

        from dcc_core.display import Display

        display = Display(quiet=quiet, mute=not group.first)
        if dry_run:
            from dcc_core.forecast import forecast

            expected = forecast(config, registry, display, group)
            if group.first:
                click.echo(json.dumps(expected.as_dict()) if as_json else f"it would take {expected.words()}")
            return

        from dcc_core.folder import CONDENSING, folder_of
        from dcc_core.run import execute

        folder = folder_of(group, config, resume or out, CONDENSING, overwrite=overwrite)
        result = execute(config, registry, folder, display, anyway=resume_anyway, group=group)
    if group.first:
        show_result(result, registry, as_json, preview)


@click.command()
@with_flags(SELECT_FLAGS, defaults=True)
@with_resuming
@with_preview
@with_results("runs/<name>", again="replace the results of an earlier run in --out")
def select(
    config_file: Path | None,
    pairs: tuple[str, ...],
    resume: Path | None,
    resume_anyway: bool,
    out: Path | None,
    preview: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Select real images of every class, a coreset, and score them.

    Writes what `dcc run` writes: a set file, a picture, a report. `dcc plugins --kind selection` lists the methods,
    `dcc show selection NAME` the options of each; `dcc-run --init NAME` condenses from such images.
    """
    registry = Registry.installed()
    with the_group() as group:
        begun = group.told(lambda: begun_settings(resume, out, overwrite=overwrite))
        config = resolve(registry, add_flags(begun, SELECT_FLAGS, flags, config_file, pairs))

        from dcc_core.display import Display
        from dcc_core.folder import SELECTING, folder_of
        from dcc_core.run import execute

        folder = folder_of(group, config, resume or out, SELECTING, overwrite=overwrite)
        display = Display(quiet=quiet, mute=not group.first)
        result = execute(config, registry, folder, display, selecting=True, anyway=resume_anyway, group=group)
    if group.first:
        show_result(result, registry, as_json, preview)


@click.command()
@with_flags(RUN_FLAGS, defaults=False)
@click.option("--out", type=click.Path(path_type=Path), help="TOML file for the configuration that was found")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
@click.option("--quiet", is_flag=True, help="show nothing but errors and the result")
def tune(
    config_file: Path | None,
    pairs: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Find out how many images should go through the network at once on this machine.

    Takes the flags of `dcc run`. The number that shapes suggest is usually good; what is found here makes a run
    faster, and changes its numbers in the last digits only. `dcc-run --config FILE` uses what --out wrote.
    """
    registry = Registry.installed()
    config = resolve(registry, add_flags(Settings(), RUN_FLAGS, flags, config_file, pairs))

    from dcc_core.display import Display, print_table
    from dcc_core.files import write_atomically
    from dcc_core.settings import as_toml
    from dcc_core.tune import tuned

    found = tuned(config, registry, Display(quiet=quiet))
    if out:
        write_atomically(out, as_toml(config.tuned(found.best).entries).encode())
    if as_json:
        click.echo(json.dumps({"micro_batch": found.best, "suggested": found.suggested, "seconds": found.seconds}))
    else:
        print_table(found.table())
        click.echo(f"{'written to ' + str(out) if out else 'use'}: run.micro_batch = {found.best}")


@click.command(name="new-plugin")
@click.argument("name")
@click.option(
    "--kind", required=True, help="any of those that `dcc plugins` lists: loss, augmentation, ..., study, recipe, table"
)
@click.option(
    "--in", "place", type=click.Path(path_type=Path), default=Path(), help="folder to write into  [default: .]"
)
def new_plugin(name: str, kind: str, place: Path) -> None:
    """Write a package with one component, its test and its CI, ready for `pip install`."""
    from dcc_core import new_plugin as room

    folder = room.new_plugin(name, kind_named(kind), place, Registry.installed())
    click.echo(f"wrote {folder}; next: pip install -e '{folder}[test]' && pytest {folder}")


@click.group(cls=_Commands, context_settings=HELP)
@click.version_option(package_name="dcc")
def cli() -> None:
    """Dataset condensation: a few synthetic images per class on which networks train nearly as well."""


for command in (
    *(run, select, evaluate, report, watch, inspect, convert, table, sweep, study, continual),
    *(tune, plugins, show, new_plugin),
):
    cli.add_command(command)


def main() -> None:
    """Entry point of `dcc`."""
    cli.main(prog_name="dcc")


def main_run() -> None:
    """Entry point of `dcc-run`."""
    run.main(prog_name="dcc-run")
