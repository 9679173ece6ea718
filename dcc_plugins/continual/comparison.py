"""All memories with all seeds, one after another, in a folder from which an interrupted comparison resumes."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import signal
from pathlib import Path
from typing import Any

import torch

from dcc_core.compute import peak_memory
from dcc_core.config import FREE, MACHINE, plain
from dcc_core.errors import DccError, Stopped, as_dcc_error
from dcc_core.jobs import entries_of
from dcc_core.runs import CHECKPOINT, Interrupts, find_changes
from dcc_core.sets import write_atomically
from dcc_plugins.continual.branch import DONE, Branch, Outcome
from dcc_plugins.continual.making import COST, Maker
from dcc_plugins.continual.plan import LEARNER, Plan
from dcc_plugins.continual.results import CSV, JSON, PICTURES, Results
from dcc_plugins.continual.specs import MemorySpec
from dcc_plugins.terminal import Display

log = logging.getLogger("dcc")

PLAN = "plan.json"
OUTPUTS = (
    *(f"seed-*/*/{name}" for name in (DONE.format("*"), f"memory-*/{COST}", f"memory-*/{CHECKPOINT}")),
    *(JSON, CSV, *PICTURES),
)
"""Files that mark progress, and results; --overwrite deletes them."""
CHANGEABLE = ("seeds", "memory", "plot")
"""Options of `continual` that may change on resume: learned stages stay valid."""
MAX_LISTED = 3
"""Largest number of differing options in a message."""


class Comparison:
    """A plan and its folder.

    The folder has a subfolder per seed and memory, and `plan.json` with their options. Raises DccError if the options
    differ or the folder holds something else, unless `overwrite` is set; writes nothing until `run`.
    """

    def __init__(self, plan: Plan, out: Path, *, overwrite: bool = False) -> None:
        self._plan = plan
        self._out = out
        self._overwrite = overwrite
        self._check_folder_names()
        self._configs = {LEARNER.label: [job.config for job in plan.learner]}
        stages = range(len(plan.stages) - 1)
        self._configs |= {m.label: [plan.config(m, k, plan.seed) for k in stages] for m in plan.memories}
        self._previous = {} if overwrite else self._read_plan()
        if self._previous:
            self._check_same()

    def run(self, display: Display) -> Results:
        """Learn the missing stages, and write the results."""
        interrupts = Interrupts()
        maker = Maker(display=display, interrupts=interrupts)
        try:
            with display.logging(), interrupts.install():
                self._write_plan()
                outcomes: dict[tuple[str, int], Outcome] = {}
                for seed in self._plan.seeds:
                    for memory in self._plan.memories:
                        branch = Branch(self._plan, memory, seed, self._folder(memory, seed), maker)
                        outcomes[memory.label, seed] = branch.run()
                    self._write(self._results(outcomes))
                return self._results(outcomes)
        except (Exception, KeyboardInterrupt) as error:
            hint = f"progress is saved in '{self._out}'; the same command with --out '{self._out}' resumes it"
            if isinstance(error, KeyboardInterrupt):
                number = error.signal if isinstance(error, Stopped) else signal.SIGINT
                raise Stopped(number, hint) from error
            raise DccError(f"{as_dcc_error(error)}\n  {hint}") from error

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

    def _read_plan(self) -> dict[str, Any]:
        """The plan in the folder; empty if the folder is new."""
        path = self._out / PLAN
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {key: dict(found[key]) for key in ("continual", "stages", "configs", "versions")}
        except FileNotFoundError:
            found_names = sorted(p.name for p in self._out.iterdir()) if self._out.is_dir() else []
            if found_names or self._out.is_file():
                what = f"holds {found_names[0]}" if found_names else "is a file"
                raise DccError(
                    f"--out '{self._out}' {what} and is not a comparison; name another folder, or add --overwrite"
                ) from None
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DccError(f"'{path}' cannot be read: {error}; --overwrite starts again") from error

    def _check_same(self) -> None:
        """Raise DccError if the folder's plan has other options or images."""
        old = self._previous
        if old["versions"] != self._versions():
            was, now = (", ".join(f"{k} {v}" for k, v in one.items()) for one in (old["versions"], self._versions()))
            log.warning(f"'{self._out}' was started with {was}, now {now}: last digits may differ")
        differing = [
            f"{k}: {v}, now {_values(self._plan).get(k)}"
            for k, v in old["continual"].items()
            if v != _values(self._plan).get(k)
        ]
        if old["stages"] != self._digests():
            differing.append(f"stages: {', '.join(old['stages'])} with different images")
        for label, configs in self._configs.items():
            for entries, config in zip(old["configs"].get(label, []), configs, strict=False):
                differing += [f"{key} {words}" for key, words in find_changes(entries, config, _IGNORED).items()]
        if differing := list(dict.fromkeys(differing)):
            more = f" and {len(differing) - MAX_LISTED} more" if len(differing) > MAX_LISTED else ""
            raise DccError(
                f"'{self._out}' was started with other options ({'; '.join(differing[:MAX_LISTED])}{more}); "
                "name another --out, or add --overwrite"
            )

    def _write_plan(self) -> None:
        """Write the plan; with `overwrite`, first delete the files of an earlier comparison."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            for path in (p for pattern in OUTPUTS for p in self._out.glob(pattern) if self._overwrite):
                path.unlink()
        except OSError as error:
            raise DccError(f"--out '{self._out}' cannot be written: {error.strerror or error}") from error
        configs = {label: [entries_of(c) for c in own] for label, own in self._configs.items()}
        plan = {
            "continual": _values(self._plan),
            "stages": self._digests(),
            "configs": {**self._previous.get("configs", {}), **configs},
            "versions": self._versions(),
        }
        write_atomically(self._out / PLAN, json.dumps(plan).encode())

    def _check_folder_names(self) -> None:
        """Raise DccError for memories whose labels give the same folder name."""
        seen: dict[Path, str] = {}
        for memory in self._plan.memories:
            if (other := seen.setdefault(self._folder(memory, 0), memory.label)) != memory.label:
                raise DccError(f"continual.memory: '{other}' and '{memory.label}' would share a folder; leave one out")

    def _versions(self) -> dict[str, str]:
        return self._plan.learner[0].versions | {"threads": str(torch.get_num_threads())}

    def _digests(self) -> dict[str, str]:
        """A digest of every stage's images."""
        labels = [s.label for s in self._plan.stages]
        return {label: job.data.digest() for label, job in zip(labels, self._plan.learner, strict=True)}


_IGNORED = (*FREE, *MACHINE, "run.seed")


def _values(plan: Plan) -> dict[str, Any]:
    """The options of `continual` that results depend on."""
    return {k: plain(v) for k, v in dataclasses.asdict(plan.options).items() if k not in CHANGEABLE}
