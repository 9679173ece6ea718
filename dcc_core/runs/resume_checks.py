"""What has changed between a run that was begun and the configuration it is to go on with."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dcc_core.config import EXTENT, FREE, MACHINE, Rank
from dcc_core.errors import DccError
from dcc_core.jobs import Config, Entries, budget_origin


def apply_earlier_budget(config: Config, then: Entries) -> Config:
    """The configuration with the outer loops that the same budget bought then, if it has one."""
    loops = then.get("run.outer_loops", {})
    if config.run.budget and loops.get("origin") == budget_origin(config.run.budget):
        return config.within_budget(int(loops["value"]))
    return config


def find_changes(then: Entries, config: Config, but: Collection[str]) -> dict[str, str]:
    """Options that differ, by dotted key: what they were and are. New options are as then where they have defaults."""
    was = {key: entry["value"] for key, entry in then.items()}
    now = {k: v for k, v in config.table().items() if k in was or config.entries[k].rank > Rank.DEFAULT}
    differing = [k for k in {**was, **now} if k not in but and was.get(k) != now.get(k)]
    return {k: f"{was.get(k)}, now {now.get(k)}" for k in differing}


def check_resumable(
    then: Entries, versions: Mapping[str, str], config: Config, now: Mapping[str, str], *, anyway: bool
) -> dict[str, str]:
    """What has changed since a run was begun, where it can go on.

    versions, now: of software, and how many processes. Options of scoring, of the machine, and how long it is, may
    change, and versions, where `anyway` is set.
    Raises DccError for everything else, and without `anyway`.
    """
    options = find_changes(then, config, FREE)
    software = {k: f"{versions.get(k)}, now {now.get(k)}" for k in {**versions, **now} if versions.get(k) != now.get(k)}
    fixed = [k for k in options if not (k.startswith("score.") or k in (*MACHINE, *EXTENT))]
    if fixed or (not anyway and (options or software)):
        every = "\n".join(f"  {key}: {words}" for key, words in {**options, **software}.items())
        hint = "--overwrite begins anew" if fixed else "--resume-anyway goes on all the same, --overwrite begins anew"
        raise DccError(f"the run was begun otherwise\n{every}\n  name another --out; {hint}")
    return {**options, **software}
