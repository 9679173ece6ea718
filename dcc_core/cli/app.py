"""`dcc`, the group of all commands, and its short form `dcc-run`. Imports nothing heavy before it must."""

from __future__ import annotations

import os
from typing import Any

import click

from dcc_core.cli.call import registry_of_call
from dcc_core.cli.guard import guard
from dcc_core.errors import DccError, SilentError, did_you_mean
from dcc_core.group import is_launched, is_speaker
from dcc_core.plugins import Provided

RESERVED = {"run": "builtin:run"}
"""Commands whose names are the core's, whichever plugin claims them, and who provides them."""
TOGETHER = ("run", "select", "eval")
"""Commands that several processes work on together."""


class Commands(click.Group):
    """The commands of plugins (`dcc_commands`), imported when they are called."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the command line; `--help` ends here, and lists the commands of plugins."""
        return guard(lambda: super(Commands, self).make_context(*args, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        return guard(lambda: super(Commands, self).invoke(ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._rows(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name. Raises DccError if a plugin's does not load, or two plugins claim it."""
        cmd_name = RESERVED.get(cmd_name, cmd_name)
        provider, _, name = cmd_name.rpartition(":")
        rows = registry_of_call(ctx).components("command")
        if name not in {row.component.name for row in rows if provider in ("", row.origin.provider)}:
            return None
        return registry_of_call(ctx).find("command", cmd_name).load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for; several processes run only those that they can work on together."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise DccError(self._unknown(ctx, args[0]))
        name, command, rest = super().resolve_command(ctx, args)
        if is_launched() and name not in TOGETHER:
            message = f"dcc {name} is for one process; torchrun is for dcc {', '.join(TOGETHER)}"
            raise DccError(message) if is_speaker() else SilentError(message)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for each command, from its row, so that none of them is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.component.summary) for name, row in self._rows(ctx).items()])

    def _rows(self, ctx: click.Context) -> dict[str, Provided]:
        """The commands by what users write; one that two plugins claim is qualified, unless the name is reserved."""
        rows = list(registry_of_call(ctx).components("command"))
        names = [row.component.name for row in rows if row.component.name not in RESERVED]
        clear = {row.qualified: row.component.name for row in rows if names.count(row.component.name) == 1}
        clear |= {provider: name for name, provider in RESERVED.items()}
        return {clear.get(row.qualified, row.qualified): row for row in rows}

    def _unknown(self, ctx: click.Context, name: str) -> str:
        known = list(self._rows(ctx))
        lines = [f"no command named '{name}'.{did_you_mean(name, known)}", f"  available: {', '.join(known)}"]
        return "\n".join([*lines, *(f"  not loaded: {b.origin}: {b.reason}" for b in registry_of_call(ctx).broken)])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dataset-condensation")
def cli() -> None:
    """Dataset condensation: a few synthetic images per class on which networks train nearly as well."""


def main() -> None:
    """Entry point of `dcc`."""
    cli.main(prog_name="dcc")


def main_run() -> None:
    """Entry point of `dcc-run`, which is `dcc run`."""
    context = click.Context(cli, resilient_parsing="_DCC_RUN_COMPLETE" in os.environ)
    command = guard(lambda: registry_of_call(context).find("command", RESERVED["run"]).load())
    command.main(prog_name="dcc-run", parent=context)
