"""The command `dcc run`, and how the result of a run is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dcc_core.cli import (
    Flag,
    GuardedCommand,
    add_flags,
    registry_of_call,
    with_flags,
    with_preview,
    with_results,
    with_resuming,
)
from dcc_core.config import settings_of_run
from dcc_core.group import current_group
from dcc_core.jobs import resolve
from dcc_core.plugins import Registry

SCORING_FLAGS = (
    Flag("--protocol", "score.protocol"),
    Flag("--eval-arch", "score.arch", "network to score on, with options: resnet18,norm=batch; repeatable", True),
    Flag("--eval-nets", "score.nets"),
)
MACHINE_FLAGS = (
    Flag("--device", "run.device"),
    Flag("--memory", "run.memory"),
)
RUN_FLAGS = (
    Flag("--data", "data", "data source"),
    Flag("--loss", "loss", "matching loss"),
    Flag("--aug", "aug", "augmentation, Siamese in matching"),
    Flag("--arch", "arch", "network architecture"),
    Flag("--param", "param", "parametrisation of the synthetic images"),
    Flag("--recipe", "recipe", "named settings, e.g. paper or official"),
    Flag("--ipc", "run.ipc"),
    Flag("--seed", "run.seed"),
    Flag("--sets", "run.sets"),
    Flag("--outer-loops", "run.outer_loops"),
    Flag("--budget", "run.budget"),
    Flag("--inner-loops", "run.inner_loops"),
    Flag("--network-steps", "run.network_steps"),
    Flag("--init", "run.init"),
    *SCORING_FLAGS,
    Flag("--log", "run.log", "observer, with options: tensorboard,every=10; repeatable", True),
    *MACHINE_FLAGS,
    Flag("--compile", "run.compile", switch=True),
    Flag("--data-root", "run.data_root"),
)


@click.command(cls=GuardedCommand, name="run", context_settings={"help_option_names": ["-h", "--help"]})
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

    An interrupted run resumes with --resume FOLDER, or by the same command if it has --out.
    """
    registry = registry_of_call()
    with current_group() as group:
        earlier = group.broadcast(lambda: settings_of_run(resume, out, overwrite=overwrite))
        config = resolve(registry, add_flags(earlier, RUN_FLAGS, flags, config_file, pairs))

        from dcc_plugins.terminal import Display

        display = Display(quiet=quiet, mute=not group.first)
        if dry_run:
            from dcc_core.runs import forecast_run

            expected = forecast_run(config, registry, display, group)
            if group.first:
                click.echo(json.dumps(expected.as_dict()) if as_json else f"it would take {expected.words()}")
            return

        from dcc_core.runs import CONDENSING, execute, open_folder

        folder = open_folder(group, config, resume or out, CONDENSING, overwrite=overwrite)
        result = execute(config, registry, folder, display, anyway=resume_anyway, group=group)
    if group.first:
        show_result(result, registry, as_json, preview)


def show_result(result: Mapping[str, Any], registry: Registry, as_json: bool, preview: bool) -> None:
    """Print the report of a run; preview: with the images of its first set."""
    from dcc_plugins.terminal import print_table, result_table

    if as_json:
        click.echo(json.dumps(result))
        return
    sets = [name for name in result["files"] if name.endswith(".safetensors")]
    if preview and sets:
        registry.find("observer", "preview").load()().show(Path(result["out"]) / sets[0], registry)
    print_table(result_table(result))
    click.echo(f"results in {result['out']}")
