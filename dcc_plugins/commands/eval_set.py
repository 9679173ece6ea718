"""The command `dcc eval`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcc_core.cli import Flag, add_flags, registry_of_call, with_flags
from dcc_core.errors import DccError
from dcc_core.group import current_group, is_launched
from dcc_core.jobs import resolve
from dcc_core.plugins import Registry
from dcc_plugins.commands.run import MACHINE_FLAGS

if TYPE_CHECKING:
    from dcc_core.jobs import Config
    from dcc_core.runs import Progress
    from dcc_core.sets import CondensedSet

EVAL_FLAGS = (
    Flag("--arch", "score.arch", "network to score on, with options: resnet18,norm=batch; repeatable", True),
    Flag("--data", "data", "data source; needed if the set was made from your own files"),
    Flag("--protocol", "score.protocol"),
    Flag("--nets", "score.nets"),
    Flag("--seed", "run.seed"),
    *MACHINE_FLAGS,
    Flag("--data-root", "run.data_root"),
)


@click.command(name="eval")
@click.argument("file", metavar="SET", type=click.Path(path_type=Path))
@with_flags(EVAL_FLAGS, defaults=False)
@click.option(
    "--judge",
    type=click.Choice(["dd-ranking"]),
    help="label- and augmentation-robust score by DD-Ranking's evaluators where they are installed, else by ours",
)
@click.option("--json", "as_json", is_flag=True, help="print the report as JSON, the last line of stdout")
@click.option("--quiet", is_flag=True, help="show nothing but errors and the result")
def evaluate(
    file: Path,
    config_file: Path | None,
    pairs: tuple[str, ...],
    judge: str | None,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Score the condensed set in a file, on one architecture or many.

    What is not said here is as the file says: data, architecture, protocol, seed.
    """
    registry = registry_of_call()

    from dcc_core.runs import settings_of_set
    from dcc_core.sets import load_set
    from dcc_plugins.commands.evaluation import evaluate_set
    from dcc_plugins.terminal import Display, print_table, result_table

    with current_group() as group:
        s = group.broadcast(lambda: load_set(file))
        own = settings_of_set(s, registry, own_network=not flags["arch"])
        config = resolve(registry, add_flags(own, EVAL_FLAGS, flags, config_file, pairs))
        display = Display(quiet=quiet, mute=not group.first)
        if judge:
            _judge(file, s, config, registry, display, flags, as_json)
            return
        report = {"set": str(file)} | evaluate_set(s, config, registry, display, group)
    if group.first and as_json:
        click.echo(json.dumps(report))
    elif group.first:
        print_table(result_table(report))
    if is_launched():  # while Python shuts down, threads of torch's sometimes abort a process of several
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _judge(
    file: Path,
    s: CondensedSet,
    config: Config,
    registry: Registry,
    display: Progress,
    flags: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Print both scores, and whose they are. Raises DccError for what the judge decides by itself."""
    from dcc_plugins.commands.judging import judge_set, judgement_table
    from dcc_plugins.terminal import print_table

    if is_launched() or flags["protocol"]:
        what = "--protocol" if flags["protocol"] else "torchrun"
        raise DccError(f"--judge trains by its own protocols, in one process; leave out {what}")
    found = judge_set(s, config, registry, display, config.score.nets if flags["nets"] else None)
    if as_json:
        click.echo(json.dumps({"set": str(file)} | found))
        return
    if found["reason"]:
        click.echo(f"these are this toolkit's own scores, not DD-Ranking's: {found['reason']}")
    print_table(judgement_table(found))
