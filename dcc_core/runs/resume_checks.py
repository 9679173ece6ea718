"""What has changed between an unfinished run and the configuration that resumes it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from dcc_core.config import EXTENT, FREE, MACHINE, Rank
from dcc_core.errors import DccError
from dcc_core.jobs import Config, Entries, budget_origin, versions_of
from dcc_core.runs.checkpoint import Checkpoint

log = logging.getLogger("dcc")


def apply_earlier_budget(config: Config, then: Entries) -> Config:
    """The configuration with the outer loops that the same budget gave the earlier run, if it has a budget."""
    loops = then.get("run.outer_loops", {})
    if config.run.budget and loops.get("origin") == budget_origin(config.run.budget):
        return config.within_budget(int(loops["value"]))
    return config


def find_changes(then: Entries, config: Config, but: Collection[str]) -> dict[str, str]:
    """Options that differ, by dotted key: what they were and are. New options are as then if they have defaults."""
    was = {key: entry["value"] for key, entry in then.items()}
    now = {k: v for k, v in config.table().items() if k in was or config.entries[k].rank > Rank.DEFAULT}
    differing = [k for k in {**was, **now} if k not in but and was.get(k) != now.get(k)]
    return {k: f"{was.get(k)}, now {now.get(k)}" for k in differing}


def check_resumable(
    then: Entries, versions: Mapping[str, str], config: Config, now: Mapping[str, str], *, anyway: bool
) -> dict[str, str]:
    """What has changed since a run began, if it can resume.

    versions, now: of software, and how many processes. Options of scoring, of the machine, and how long it is, may
    change, and versions, where `anyway` is set. Raises DccError for everything else, and without `anyway`.
    """
    options = find_changes(then, config, FREE)
    software = {k: f"{versions.get(k)}, now {now.get(k)}" for k in {**versions, **now} if versions.get(k) != now.get(k)}
    fixed = [k for k in options if not (k.startswith("score.") or k in (*MACHINE, *EXTENT))]
    if fixed or (not anyway and (options or software)):
        every = "\n".join(f"  {key}: {words}" for key, words in {**options, **software}.items())
        hint = "--overwrite starts again" if fixed else "--resume-anyway resumes all the same, --overwrite starts again"
        raise DccError(f"the run began with other options or versions\n{every}\n  name another --out; {hint}")
    return {**options, **software}


def adopt_checkpoint(found: Checkpoint, config: Config, processes: int, *, anyway: bool) -> tuple[Config, Checkpoint]:
    """The configuration and the checkpoint that a run resumes with.

    processes: how many share the run now. Scores are dropped if scoring or code has changed, and retries are forgotten
    if the image rate has. The checkpoint's notes say what has changed. Raises DccError as `check_resumable` does.
    """
    config = apply_earlier_budget(config, found.config)
    versions = versions_of(config) | {"processes": str(processes)}
    then = {**found.versions, "processes": str(found.processes)}
    differing = check_resumable(found.config, then, config, versions, anyway=anyway)
    if found.threads != torch.get_num_threads():
        log.warning(
            f"the run began with {found.threads} threads, now {torch.get_num_threads()}: last digits may differ"
        )
    notes = tuple(f"went on with {key} {words}" for key, words in differing.items())
    adopted = replace(found, notes=(*found.notes, *notes))
    if any(not key.startswith("run.") and key != "processes" for key in differing):
        adopted = replace(adopted, scores=())
    if "run.image_rate" in differing:
        adopted = replace(adopted, moment=replace(adopted.moment, retries=0))
    return config.with_origins(found.config), adopted
