"""Errors and warnings of a command: one message each, and the exit code. `DCC_DEBUG=1` shows the traceback."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click

from dcc_core.errors import DccError, PluginWarning, SilentError, Stopped
from dcc_core.group import is_speaker


class GuardedCommand(click.Command):
    """A command that turns every DccError into one message and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        return guard(lambda: super(GuardedCommand, self).invoke(ctx))


def guard(work: Callable[[], Any]) -> Any:
    """Do some work; a DccError or Ctrl-C becomes one message, and ends Python with its exit code."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - a closed output costs no result
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
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
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        click.echo("Error: a path holds a NUL character, which no file has", err=True)
        sys.exit(2)
    except KeyboardInterrupt as error:
        if is_speaker():
            click.echo(f"Interrupted{f': {error}' if str(error) else ''}", err=True)
        sys.exit(error.exit_code if isinstance(error, Stopped) else 130)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    if issubclass(category, PluginWarning):
        click.echo(f"Warning: {message}", err=True)
    else:
        click.echo(warnings.formatwarning(message, category, filename, lineno), err=True, nl=False)
