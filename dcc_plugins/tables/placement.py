"""Who runs the cells of a table, by the words of `--on`."""

from __future__ import annotations

from pathlib import Path

from dcc_core.errors import DccError, did_you_mean
from dcc_plugins.tables.workers import PLACES, Resources, ThisProcess, Workers


def choose_workers(place: str, resources: Resources, given: Resources, folder: Path) -> Workers:
    """The workers that `--on` names. folder: where results go, which all of them must see.

    resources: of a piece of work. given: those that flags say.
    Raises DccError if there is no such place, or it needs what is not installed.
    """
    kind, colon, rest = place.partition(":")
    if (resources.gpus or 0) > 1 and resources.gpus != int(resources.gpus or 0):
        raise DccError(f"--cell-gpus {resources.gpus:g}: a part of one, or a whole number")
    if place == "local":
        if given != Resources():
            raise DccError(
                "--on local runs cells in this process, with its own threads (OMP_NUM_THREADS) and GPU; "
                "--cell-cpus and --cell-gpus are for --on local:N and --on ray"
            )
        return ThisProcess()
    if kind == "local":
        if not rest.isascii() or not rest.isdigit() or int(rest) < 1:
            raise DccError(f"--on '{place}': '{rest}' is no number of worker processes; e.g. --on local:2")
        from dcc_plugins.tables.processes import Processes

        return Processes(int(rest), resources)
    if kind == "ray" and (rest or not colon):
        from dcc_plugins.tables.on_ray import OnRay

        return OnRay(place if rest.startswith("//") else rest, resources, folder)
    raise DccError(f"--on '{place}': unknown.{did_you_mean(kind, ('local', 'ray'))} One of: {', '.join(PLACES)}")
