"""`dcc`, the group of all commands, and its short form `dcc-run`. Imports nothing heavy before it must."""

from __future__ import annotations

from typing import Any

import click

from dcc_core.cli.call import registry_of_call
from dcc_core.cli.guard import guard
from dcc_core.cli.run_command import run
from dcc_core.errors import DccError, SilentError, did_you_mean
from dcc_core.group import is_launched, is_speaker
from dcc_core.plugins import Provided

TOGETHER = ("run", "select", "eval")
"""Commands that several processes work on together."""


class Commands(click.Group):
    """The commands of the core, then those of plugins (`dcc_commands`), imported when they are called.

    A command's name in the core belongs to the core, whichever plugin claims it.
    """

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the command line; `--help` ends here, and lists the commands of plugins."""
        return guard(lambda: super(Commands, self).make_context(*args, **extra))

    def invoke(self, ctx: click.Context) -> Any:
        return guard(lambda: super(Commands, self).invoke(ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands, *self._plugin_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name. Raises DccError if a plugin's does not load, or two plugins claim it."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
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
        """One line for each command; those of plugins come from their rows, so that none of them is imported."""
        own = [(name, command.get_short_help_str(formatter.width)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(
                [*own, *((name, row.component.summary) for name, row in self._plugin_commands(ctx).items())]
            )

    def _plugin_commands(self, ctx: click.Context) -> dict[str, Provided]:
        """The commands of plugins by what users write; one that two plugins claim, or the core has, is qualified."""
        rows = list(registry_of_call(ctx).components("command"))
        names = [row.component.name for row in rows]
        clear = {name for name in names if names.count(name) == 1 and name not in self.commands}
        return {row.component.name if row.component.name in clear else row.qualified: row for row in rows}

    def _unknown(self, ctx: click.Context, name: str) -> str:
        known = [*self.commands, *self._plugin_commands(ctx)]
        lines = [f"no command named '{name}'.{did_you_mean(name, known)}", f"  available: {', '.join(known)}"]
        return "\n".join([*lines, *(f"  not loaded: {b.origin}: {b.reason}" for b in registry_of_call(ctx).broken)])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dataset-condensation")
def cli() -> None:
    """Dataset condensation: a few synthetic images per class on which networks train nearly as well."""


cli.add_command(run)


def main() -> None:
    """Entry point of `dcc`."""
    cli.main(prog_name="dcc")


def main_run() -> None:
    """Entry point of `dcc-run`, which is `dcc run`."""
    run.main(prog_name="dcc-run")
