"""The command `dcc tune`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import add_flags, registry_of_call, with_flags
from dcc_core.config import Settings
from dcc_core.jobs import resolve
from dcc_plugins.commands.run import RUN_FLAGS


@click.command()
@with_flags(RUN_FLAGS, defaults=False)
@click.option("--out", type=click.Path(path_type=Path), help="write the resulting configuration to this TOML file")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
@click.option("--quiet", is_flag=True, help="print only errors and the result")
def tune(
    config_file: Path | None,
    pairs: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Find the fastest number of images per network pass on this machine.

    Takes the flags of `dcc run`. The default, estimated from tensor shapes, is usually good. Another number changes
    results only in the last digits. `dcc-run --config FILE` uses the file that --out writes.
    """
    registry = registry_of_call()
    config = resolve(registry, add_flags(Settings(), RUN_FLAGS, flags, config_file, pairs))

    from dcc_core.config import as_toml
    from dcc_core.sets import write_atomically
    from dcc_plugins.commands.tuning import tune_passes, tuned_options
    from dcc_plugins.terminal import Display, print_table

    found = tune_passes(config, registry, Display(quiet=quiet))
    if out:
        write_atomically(out, as_toml(tuned_options(config, found.best)).encode())
    if as_json:
        click.echo(json.dumps({"micro_batch": found.best, "suggested": found.suggested, "seconds": found.seconds}))
    else:
        print_table(found.table())
        click.echo(f"{'written to ' + str(out) if out else 'use'}: run.micro_batch = {found.best}")
