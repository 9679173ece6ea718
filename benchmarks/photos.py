"""Photographs of 64 pixels: coresets, composed images and soft labels, on ten insects of Tiny ImageNet.

    python benchmarks/photos.py DATA [--cells 'convnet/ipc10/*'] [--out benchmarks/results/photos]

DATA: a folder with `insect10_64/train` and `insect10_64/val`. The cells that are missing in OUT.jsonl run one after the
other, each as a process of `dcc select`; an interrupted one resumes. Then OUT.md is written. A cell is one set. A cell
`soft` gives four rows: composed images with soft labels, the same images with hard labels, random images with hard
labels, and random images with labels by the same teacher in the same way.
"""

from __future__ import annotations

import fnmatch
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

RESULTS = Path(__file__).parent / "results" / "photos"
SIDE = 64
ARCHITECTURES = {
    "convnet": ["arch=convnet", "arch.width=32", "arch.norm=batch"],
    "resnet18": ["arch=timm/resnet18"],
}
TEACHER = [
    "selection.teacher=convnet",
    "selection.teacher.width=32",
    "selection.teacher.norm=batch",
    "selection.teacher_epochs=15",
]
METHODS = {
    "soft": ["selection=soft", "selection.of=composed", "selection.of.factor=2", *TEACHER],
    "soft-1": ["selection=soft", "selection.of=composed", "selection.of.factor=1", "score.baseline=false", *TEACHER],
    "k-center": ["selection=k-center", "score.baseline=false", "selection.epochs=4"],
    "herding": ["selection=herding", "score.baseline=false", "selection.epochs=4"],
}
TITLES = {
    "random": "random, hard labels",
    "k-center": "k-center, hard labels",
    "herding": "herding, hard labels",
    "hard": "composed 2×2, hard labels",
    "hard-1": "composed, factor 1, hard labels",
    "random_soft": "random, soft labels",
    "soft": "composed 2×2, soft labels",
    "soft-1": "composed, factor 1, soft labels",
}


@dataclass(frozen=True)
class Cell:
    """One set of one method, scored by one network."""

    architecture: str
    ipc: int
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.architecture}/ipc{self.ipc}/{self.method}/{self.seed}"

    def command(self, data: Path, work: Path) -> list[str]:
        options = [f"data.size={SIDE}", *ARCHITECTURES[self.architecture], *METHODS[self.method]]
        fixed = ["--data", f"folder:{data / 'insect10_64'}", "--data-root", str(work), "--protocol", "distilled"]
        own = ["--ipc", str(self.ipc), "--seed", str(self.seed), "--sets", "1", "--eval-nets", "1"]
        own += ["--out", str(work / self.name), "--json"]
        return [sys.executable, "-m", "dcc_core", "select", *fixed, *own, *(w for o in options for w in ("-o", o))]


CELLS = [
    Cell("convnet", 10, "soft", 0),
    Cell("convnet", 1, "soft", 0),
    Cell("convnet", 1, "soft-1", 0),
    Cell("convnet", 10, "soft-1", 0),
    Cell("convnet", 10, "herding", 0),
    Cell("convnet", 10, "k-center", 0),
    Cell("convnet", 10, "soft", 1),
    Cell("convnet", 10, "soft", 2),
    Cell("convnet", 1, "soft", 1),
    Cell("convnet", 1, "soft", 2),
    Cell("convnet", 1, "herding", 0),
    Cell("convnet", 1, "k-center", 0),
    Cell("resnet18", 1, "soft", 0),
    Cell("convnet", 50, "soft", 0),
    Cell("resnet18", 10, "soft", 0),
    Cell("convnet", 50, "herding", 0),
    Cell("convnet", 50, "k-center", 0),
]


def run(cell: Cell, data: Path, work: Path) -> dict[str, object]:
    """The row of a cell: accuracies (0..1) by what was trained on, and what it cost."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(cell.command(data, work), stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout.splitlines()[-1])
    (row,) = report["by_architecture"].values()
    names = {"condensed": cell.method} | ({"hard": "hard-1"} if cell.method == "soft-1" else {})
    return {
        "cell": cell.name,
        "accuracies": {names.get(name, name): found["mean"] for name, found in row.items() if name != "gain"},
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "wall_seconds": round(time.perf_counter() - start, 1),
        "phases": report["seconds"],
        "peak_memory_bytes": report["peak_memory_bytes"],
        "threads": report["threads"],
        "torch": report["versions"]["torch"],
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "load": round(os.getloadavg()[0], 2),
    }


def page(rows: list[dict]) -> str:
    """Means over sets, in percent, and the cost of every cell."""
    by_place: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        architecture, ipc, *_ = row["cell"].split("/")
        for name, accuracy in row["accuracies"].items():
            by_place.setdefault((architecture, ipc), {}).setdefault(name, []).append(100 * accuracy)
    places = sorted(by_place, key=lambda place: (place[0], int(place[1][3:])))
    lines = ["# Photographs of 64 pixels", "", "Written by `python benchmarks/photos.py`.", ""]
    lines += ["| | " + " | ".join(f"{a}, {i}" for a, i in places) + " |", "|---" * (len(places) + 1) + "|"]
    for name, title in TITLES.items():
        lines.append(f"| {title} | " + " | ".join(_cell(by_place[place].get(name, [])) for place in places) + " |")
    lines += ["", "Test accuracy in percent, mean over sets; in brackets the least and the greatest of several.", ""]
    lines += ["| cell | CPU seconds | wall seconds | of these select, score, baseline |", "|---|---|---|---|"]
    for row in rows:
        phases = ", ".join(f"{row['phases'].get(phase, 0):.0f}" for phase in ("select", "score", "baseline"))
        lines.append(f"| {row['cell']} | {row['cpu_seconds']:.0f} | {row['wall_seconds']:.0f} | {phases} |")
    return "\n".join(lines) + "\n"


def _cell(values: list[float]) -> str:
    if not values:
        return "–"
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--cells", default="*", help="pattern of the cells to run")
@click.option("--out", default=RESULTS, type=click.Path(path_type=Path))
@click.option("--work", default=Path("photos-work"), type=click.Path(path_type=Path), help="run folders and kept files")
def main(data: Path, cells: str, out: Path, work: Path) -> None:
    file = out.with_suffix(".jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for cell in CELLS:
        if not fnmatch.fnmatch(cell.name, cells) or any(row["cell"] == cell.name for row in rows):
            continue
        rows.append(run(cell, data.resolve(), work.resolve()))
        with file.open("a") as lines:
            lines.write(json.dumps(rows[-1]) + "\n")
        out.with_suffix(".md").write_text(page(rows))
    out.with_suffix(".md").write_text(page(rows))


if __name__ == "__main__":
    main()
