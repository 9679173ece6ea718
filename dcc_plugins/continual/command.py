"""The command `dcc continual`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from dcc_core.cli import Flag, add_flags, registry_of_call, with_flags, with_results
from dcc_core.config import Builder, Settings
from dcc_plugins.continual.options import ContinualOptions
from dcc_plugins.continual.specs import StageSpec, memory_specs, stage_specs

SECTION = "continual"
FLAGS = (
    Flag(
        "--stages", "continual.stages", "data sources in order, each with its options: digits,classes=0+1,mnist", True
    ),
    Flag("--split", "continual.split"),
    Flag(
        "--memory",
        "continual.memory",
        "memory to compare, with options: ring-buffer, none, LOSS[+AUG] or a selection; repeatable",
        True,
    ),
    Flag("--head", "continual.head"),
    Flag("--ipc", "run.ipc", "images per class in a memory"),
    Flag("--seed", "run.seed", "seed of the first sequence"),
    Flag("--seeds", "continual.seeds"),
    Flag("--epochs", "continual.epochs"),
    Flag("--arch", "arch", "network architecture, for the learner and for condensing"),
    Flag("--recipe", "recipe", "named settings, e.g. paper or official"),
    Flag("--outer-loops", "run.outer_loops"),
    Flag("--device", "run.device"),
    Flag("--data-root", "run.data_root"),
)
MAX_NAME_LENGTH = 80
"""Longest folder name, in characters."""


@click.command()
@with_flags(FLAGS, defaults=True, sections={SECTION: ContinualOptions})
@with_results("continual/<stages>", again="start again, replacing an earlier comparison")
def continual(
    config_file: Path | None,
    pairs: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **flags: str | tuple[str, ...] | None,
) -> None:
    """Learn stages one after another with a memory of the earlier ones, and compare memories.

    Experience replay: each batch of a stage is combined with one from the memory, which holds --ipc images of each
    class of the earlier stages. Memories share seeds: the same networks, the same order of real images. `dcc show
    continual` lists the options. The same command resumes an interrupted comparison.
    """
    registry = registry_of_call()
    given = add_flags(Settings(), FLAGS, flags, config_file, pairs)
    own = Settings({k: s for k, s in given.values.items() if k.partition(".")[0] == SECTION})
    others = Settings({k: s for k, s in given.values.items() if k not in own.values})
    builder = Builder(registry, own)
    options: ContinualOptions = builder.fill(ContinualOptions, SECTION)
    builder.stop_on_problems()
    stages, memories = stage_specs(options.stages, registry), memory_specs(options.memory, registry)

    from dcc_plugins.continual.comparison import Comparison
    from dcc_plugins.continual.plan import Plan
    from dcc_plugins.terminal import Display, print_table

    display = Display(quiet=quiet)
    with display.logging():
        plan = Plan(options, stages, memories, others, registry, progress=display.shows)
    out = out or Path(SECTION) / _folder_name(stages, options)
    results = Comparison(plan, out, overwrite=overwrite).run(display)
    if as_json:
        click.echo(json.dumps({"out": str(out)} | results.as_dict()))
    else:
        print_table(results.terminal())
        click.echo(f"results in {out}")


def _folder_name(stages: list[StageSpec], options: ContinualOptions) -> str:
    words = [*(s.label for s in stages), *([f"split{options.split}"] if options.split else []), options.head]
    return re.sub(r"[^\w.+=-]+", "_", "-".join(words))[:MAX_NAME_LENGTH]
