"""All memories with all seeds, one after the other, in a folder that an interrupted comparison goes on from."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import signal
from pathlib import Path
from typing import Any

import torch

from dcc_core.cli import Display
from dcc_core.compute import peak_memory
from dcc_core.config import FREE, MACHINE, plain
from dcc_core.errors import DccError, Stopped, unexpected
from dcc_core.jobs import entries_of
from dcc_core.runs import CHECKPOINT, Interrupts, find_changes
from dcc_core.sets import write_atomically
from dcc_plugins.continual.branch import DONE, Branch, Outcome
from dcc_plugins.continual.making import COST, Maker
from dcc_plugins.continual.plan import LEARNER, Plan
from dcc_plugins.continual.results import CSV, JSON, PICTURES, Results
from dcc_plugins.continual.specs import MemorySpec

log = logging.getLogger("dcc")

PLAN = "plan.json"
MADE = (
    *(f"seed-*/*/{name}" for name in (DONE.format("*"), f"memory-*/{COST}", f"memory-*/{CHECKPOINT}")),
    *(JSON, CSV, *PICTURES),
)
"""What says that something has been made, and what came out."""
EXTENT = ("seeds", "memory", "plot")
"""Options of `continual` that may change: what has been learned stays right."""
NAMED = 3
"""Options that a message names."""


class Comparison:
    """A plan and its folder.

    The folder has a folder for each seed and memory, and `plan.json`, which says with what options they were made.
    Raises DccError where that differs, or something else is there, unless `overwrite` is set; nothing is written yet.
    """

    def __init__(self, plan: Plan, out: Path, *, overwrite: bool = False) -> None:
        self._plan = plan
        self._out = out
        self._overwrite = overwrite
        self._check_folders()
        self._configs = {LEARNER.label: [job.config for job in plan.learner]}
        stages = range(len(plan.stages) - 1)
        self._configs |= {m.label: [plan.config(m, k, plan.seed) for k in stages] for m in plan.memories}
        self._begun = {} if overwrite else self._earlier()
        if self._begun:
            self._check_same()

    def run(self, display: Display) -> Results:
        """Learn what is missing, and write what came out."""
        interrupts = Interrupts()
        maker = Maker(display=display, interrupts=interrupts)
        try:
            with display.logging(), interrupts.install():
                self._begin()
                outcomes: dict[tuple[str, int], Outcome] = {}
                for seed in self._plan.seeds:
                    for memory in self._plan.memories:
                        branch = Branch(self._plan, memory, seed, self._folder(memory, seed), maker)
                        outcomes[memory.label, seed] = branch.run()
                    self._write(self._results(outcomes))
                return self._results(outcomes)
        except (Exception, KeyboardInterrupt) as error:
            kept = f"what was done so far is in '{self._out}'; the same command with --out '{self._out}' goes on"
            if isinstance(error, KeyboardInterrupt):
                number = error.signal if isinstance(error, Stopped) else signal.SIGINT
                raise Stopped(number, kept) from error
            raise DccError(f"{unexpected(error)}\n  {kept}") from error

    def _results(self, outcomes: dict[tuple[str, int], Outcome]) -> Results:
        plan, job = self._plan, self._plan.learner[0]
        about: dict[str, Any] = {
            "ipc": plan.ipc,
            "options": {"continual": _values(plan)}
            | {label: [config.table() for config in configs] for label, configs in self._configs.items()},
            "versions": job.versions,
            "device": str(job.device),
            "threads": torch.get_num_threads(),
            "peak_memory_bytes": peak_memory(job.device),
        }
        seeds = list(dict.fromkeys(seed for _, seed in outcomes))
        stages = {s.label: j.data for s, j in zip(plan.stages, plan.learner, strict=True)}
        return Results(stages, [m.label for m in plan.memories], seeds, outcomes, about)

    def _write(self, results: Results) -> None:
        for name, content in results.files(plot=self._plan.options.plot).items():
            write_atomically(self._out / name, content)

    def _folder(self, memory: MemorySpec, seed: int) -> Path:
        return self._out / f"seed-{seed}" / re.sub(r"[^\w.+=-]+", "_", memory.label)

    def _earlier(self) -> dict[str, Any]:
        """The plan that the folder was begun with; none where there is nothing yet."""
        path = self._out / PLAN
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {key: dict(found[key]) for key in ("continual", "stages", "configs", "versions")}
        except FileNotFoundError:
            held = sorted(p.name for p in self._out.iterdir()) if self._out.is_dir() else []
            if held or self._out.is_file():
                what = f"holds {held[0]}" if held else "is a file"
                raise DccError(
                    f"--out '{self._out}' {what}, and no comparison; name another, or add --overwrite"
                ) from None
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DccError(f"'{path}' cannot be read: {error}; --overwrite begins anew") from error

    def _check_same(self) -> None:
        """Raise DccError where what the folder holds was made otherwise."""
        then = self._begun
        if then["versions"] != self._versions():
            was, now = (", ".join(f"{k} {v}" for k, v in one.items()) for one in (then["versions"], self._versions()))
            log.warning(f"'{self._out}' was begun with {was}; now {now}: last digits may differ")
        differing = [
            f"{k}: {v}, now {_values(self._plan).get(k)}"
            for k, v in then["continual"].items()
            if v != _values(self._plan).get(k)
        ]
        if then["stages"] != self._stages():
            differing.append(f"stages: {', '.join(then['stages'])} with the images of then")
        for label, configs in self._configs.items():
            for entries, config in zip(then["configs"].get(label, []), configs, strict=False):
                differing += [f"{key} {words}" for key, words in find_changes(entries, config, _UNCOMPARED).items()]
        if differing := list(dict.fromkeys(differing)):
            more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
            raise DccError(
                f"'{self._out}' was begun with other options ({'; '.join(differing[:NAMED])}{more}); "
                "name another --out, or add --overwrite"
            )

    def _begin(self) -> None:
        """Write the plan; with `overwrite`, after all is forgotten that was made by another."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            for path in (p for pattern in MADE for p in self._out.glob(pattern) if self._overwrite):
                path.unlink()
        except OSError as error:
            raise DccError(f"--out '{self._out}' cannot be written: {error.strerror or error}") from error
        configs = {label: [entries_of(c) for c in own] for label, own in self._configs.items()}
        plan = {
            "continual": _values(self._plan),
            "stages": self._stages(),
            "configs": {**self._begun.get("configs", {}), **configs},
            "versions": self._versions(),
        }
        write_atomically(self._out / PLAN, json.dumps(plan).encode())

    def _check_folders(self) -> None:
        """Raise DccError for memories whose names differ by what cannot stand in a folder's name."""
        seen: dict[Path, str] = {}
        for memory in self._plan.memories:
            if (other := seen.setdefault(self._folder(memory, 0), memory.label)) != memory.label:
                raise DccError(f"continual.memory: '{other}' and '{memory.label}' would have one folder; leave one out")

    def _versions(self) -> dict[str, str]:
        return self._plan.learner[0].versions | {"threads": str(torch.get_num_threads())}

    def _stages(self) -> dict[str, str]:
        """A digest of every stage's images."""
        labels = [s.label for s in self._plan.stages]
        return {label: job.data.digest() for label, job in zip(labels, self._plan.learner, strict=True)}


_UNCOMPARED = (*FREE, *MACHINE, "run.seed")


def _values(plan: Plan) -> dict[str, Any]:
    """The options of `continual` that results hang on."""
    return {k: plain(v) for k, v in dataclasses.asdict(plan.options).items() if k not in EXTENT}
