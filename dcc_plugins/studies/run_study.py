"""Conducting a study into a folder: its options, its files, and what they come to."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import torch

from dcc_core.config import FREE, Builder, Rank, Settings, plain
from dcc_core.errors import DccError, faults_of
from dcc_core.plugins import Registry
from dcc_core.runs import RunFolder, Stopwatch
from dcc_plugins.figures import figure_style, render_figure
from dcc_plugins.studies.study import CELLS, Bench, Findings, Row, Study
from dcc_plugins.terminal import Display

PAGE, SUMMARY = "page.md", "study.json"


@dataclass(frozen=True)
class Chosen:
    """A study with its options, and the options of its runs that the user gave, both by dotted key."""

    name: str
    study: Study
    title: str
    options: dict[str, Any]
    runs: dict[str, Any]
    versions: dict[str, str]


def choose_study(registry: Registry, name: str, given: Settings) -> Chosen:
    """The study of a name. Raises OptionError with all that is wrong about its options, or about those of its runs."""
    own, runs = Settings(), Settings()
    own.add({"study": name}, "argument", Rank.FLAG)
    for key, setting in given.values.items():
        part = own if key.partition(".")[0] == "study" else runs
        part.add({key: setting.value}, setting.origin, setting.rank)
    builder = Builder(registry, own)
    study = builder.component("study")
    names = Builder(registry, runs)
    names.check_names()
    builder.problems += names.problems
    if study:
        builder.problems += [
            f"{key}: the study '{name}' sets it itself; `dcc show study {name}` lists what can be changed"
            for key in runs.values
            if key in study.fixed
        ]
    builder.stop_on_problems()
    options = {key: plain(s.value) for key, s in builder.entries.items() if key != "study"}
    given_runs = {key: s.value for key, s in runs.values.items()}
    versions = builder.versions | {"torch": torch.__version__.partition("+")[0]}
    return Chosen(builder.names["study"], study, builder.titles["study"], options, given_runs, versions)


def conduct_study(
    what: Chosen, registry: Registry, out: Path, display: Display, *, overwrite: bool = False
) -> dict[str, Any]:
    """Conduct a study and write its files; returns the content of `study.json`, and if that is.

    Raises DccError if the folder holds something and `overwrite` is not set; nothing in it has changed then.
    """
    interrupted = not overwrite and out.is_dir() and [p.name for p in out.iterdir()] == [CELLS]
    folder = RunFolder(out, overwrite=overwrite or interrupted)
    clock = Stopwatch()
    bench = Bench(
        registry, what.runs, out, Path(platformdirs.user_cache_dir("dcc")) / "studies", display, overwrite=overwrite
    )
    with display.logging(), figure_style(), clock("study"), faults_of(what.title):
        findings = what.study.conduct(bench)
        files = _files(findings)
    said = {key: plain(value) for key, value in bench.common.items() if key not in FREE}
    summary = {
        "study": what.name,
        "title": findings.title,
        "numbers": plain_numbers(findings.numbers),
        "files": [*files, PAGE, SUMMARY],
        "options": what.options,
        "runs": said,
        "seconds": clock.so_far()["study"],
        "cpu_seconds": sum(os.times()[:4]),
        "threads": torch.get_num_threads(),
        "versions": what.versions,
    }
    files[PAGE] = _page(what, findings, said).encode()
    files[SUMMARY] = (json.dumps(summary, indent=1, ensure_ascii=False) + "\n").encode()
    for name, content in files.items():
        folder.write(name, content)
    return {"out": str(out)} | summary


def plain_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with six digits, which is more than any of them is good for."""
    return {key: float(f"{v:.6g}") if isinstance(v, float) else v for key, v in values.items()}


def _files(findings: Findings) -> dict[str, bytes]:
    files = {f"{name}.csv": _csv(name, rows).encode() for name, rows in findings.tables.items()}
    for name, figure in findings.figures.items():
        files |= {f"{name}.{suffix}": content for suffix, content in render_figure(figure).items()}
    return files | dict(findings.files)


def _csv(name: str, rows: Sequence[Row]) -> str:
    if not rows:
        raise DccError(f"table '{name}' has no rows")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain_numbers(row) for row in rows)
    return text.getvalue()


def _page(what: Chosen, findings: Findings, runs: Row) -> str:
    """The study's text, and how it was made."""
    words = {**what.options, **runs}
    head = f"`dcc study {what.name}`: its options, and those that its runs have in common and that are not defaults."
    lines = [head, "", "| option | value |", "|---|---|"]
    lines += [f"| `{key}` | {_words(value)} |" for key, value in words.items()]
    versions = ", ".join(f"{name} {version}" for name, version in what.versions.items())
    made = (
        f"Threads: {torch.get_num_threads()}. Versions: {versions}. `{SUMMARY}` holds the numbers and the time it took."
    )
    return "\n".join(
        [f"# {findings.title}", "", findings.page.strip(), "", "## How it was made", "", *lines, "", made, ""]
    )


def _words(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
