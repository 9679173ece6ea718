"""The command that conducts studies: `dcc study`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dcc_core.cli import Flag, add_flags, offer_components, registry_of_call, with_flags, with_results
from dcc_core.config import Settings

STUDY_FLAGS = (
    Flag("--seed", "run.seed", "first seed of the study's runs"),
    Flag("--device", "run.device"),
    Flag("--memory", "run.memory"),
    Flag("--data-root", "run.data_root"),
)


@click.command()
@click.argument("name", shell_complete=offer_components("study"))
@with_flags(STUDY_FLAGS, defaults=False)
@with_results("studies/<name>", again="replace the results of an earlier study in --out")
def study(
    name: str,
    config_file: Path | None,
    pairs: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Conduct a study: figures, the numbers behind them, and a page that says what to look at.

    `dcc plugins --kind study` lists the studies, `dcc show study NAME` the options of each: `-o study.seeds=5`. Any
    option of a run applies to the study's runs: `-o arch.width=64`. Options that the study sets itself are refused.
    """
    registry = registry_of_call()
    given = add_flags(Settings(), STUDY_FLAGS, flags, config_file, pairs)
    registry.find("study", name)

    from dcc_plugins.studies.run_study import PAGE, choose_study, conduct_study
    from dcc_plugins.terminal import Display

    what = choose_study(registry, name, given)
    out = out or Path("studies") / what.name
    summary = conduct_study(what, registry, out, Display(quiet=quiet), overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        _print(summary)
        click.echo(f"read {out / PAGE}")


def _print(summary: dict[str, Any]) -> None:
    from rich.table import Table

    from dcc_plugins.terminal import print_table

    table = Table(title=summary["title"], title_justify="left")
    table.add_column("number")
    table.add_column("value", justify="right")
    for name, value in summary["numbers"].items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    print_table(table)
