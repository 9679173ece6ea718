"""The command `dcc select`."""

from __future__ import annotations

from pathlib import Path

import click

from dcc_core.cli import (
    Flag,
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
from dcc_plugins.commands.run import MACHINE_FLAGS, SCORING_FLAGS, show_result

SELECT_FLAGS = (
    Flag("--method", "selection", "coreset selection: which real images to keep"),
    Flag("--data", "data", "data source"),
    Flag("--arch", "arch", "network architecture, of the selection and of scoring"),
    Flag("--recipe", "recipe", "named settings, e.g. paper or official"),
    Flag("--ipc", "run.ipc"),
    Flag("--seed", "run.seed"),
    Flag("--sets", "run.sets", "sets to select, each with random numbers of its own"),
    *SCORING_FLAGS,
    *MACHINE_FLAGS,
    Flag("--data-root", "run.data_root"),
)


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
    registry = registry_of_call()
    with current_group() as group:
        earlier = group.broadcast(lambda: settings_of_run(resume, out, overwrite=overwrite))
        config = resolve(registry, add_flags(earlier, SELECT_FLAGS, flags, config_file, pairs))

        from dcc_core.runs import SELECTING, execute, open_folder
        from dcc_plugins.terminal import Display

        folder = open_folder(group, config, resume or out, SELECTING, overwrite=overwrite)
        display = Display(quiet=quiet, mute=not group.first)
        result = execute(config, registry, folder, display, selecting=True, anyway=resume_anyway, group=group)
    if group.first:
        show_result(result, registry, as_json, preview)
