"""What only whole processes show: memory, start-up, and whether forecasts come true."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = str(Path(__file__).parent)

STEP = """
import sys; sys.path.insert(0, {here!r})
from ways import job_of
from dcc_core import Step
from dcc_core.engine.image_update import update
from dcc_core.compute.memory import process_peak
data = dict(data__count={classes}, data__images=16000 // {classes}, data__tests=1000 // {classes})
job = job_of(loss="collective-bare", arch__width=32, run__real_batch=16, **data)
run, synthetic, state = job.start()
network = job.build(run.random.generator("network"))
for inner in range(2):
    update(Step(run, synthetic, outer=1, inner=inner, network=lambda: network), job.config.loss, state)
print(process_peak())
"""
"""Two collective steps, and the most memory; as many real images are stored for any number of classes."""

NEEDED = """
import os, torch, kornia
from pathlib import Path
from dcc_plugins.data.torchvision_sets import Cifar10
Cifar10().load(root=Path({root!r}), download=False, progress=False)
os._exit(0)
"""
"""What any program of this kind does before it can begin."""

FIRST_STEP = """
import os, sys
import dcc_core.engine.algorithm, dcc_core.runs.forecast
def stop(*_): os._exit(0)
dcc_core.engine.algorithm.update = dcc_core.runs.forecast.update = stop
from dcc_core.cli import main_run
sys.argv = ["dcc-run", "--data", "cifar10", "--data-root", {root!r}, "--aug", "dsa", "--quiet", "--out", {out!r}]
main_run()
"""
"""`dcc-run` until its first image update."""

RUN = "--data digits --outer-loops 30 --eval-nets 6 --quiet --json"


def memory_ratio() -> float:
    """Peak memory of a collective step on 1000 classes, in units of that on 10."""
    return _peak(classes=1000) / _peak(classes=10)


def start_ratio(root: Path) -> float:
    """Time until the first image update on CIFAR-10, in units of importing torch and kornia and reading the data."""
    with tempfile.TemporaryDirectory() as out:
        first = _seconds(FIRST_STEP.format(root=str(root), out=f"{out}/run"))
    return first / _seconds(NEEDED.format(root=str(root)))


def forecast_ratios() -> tuple[float, float]:
    """Time and memory of a run, in units of what `--dry-run` said."""
    foretold = json.loads(_dcc_run("--dry-run").stdout)
    with tempfile.TemporaryDirectory() as out:
        report = json.loads(_dcc_run(f"--out {out}/run").stdout.splitlines()[-1])
    seconds = sum(report["seconds"].values())
    return seconds / foretold["total_seconds"], report["peak_memory_bytes"] / foretold["peak_memory_bytes"]


def _dcc_run(more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from dcc_core.cli import main_run; main_run()", *RUN.split(), *more.split()]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - start


def _peak(*, classes: int) -> int:
    """The most memory, in bytes, of a process that does two collective steps."""
    code = STEP.format(here=HERE, classes=classes)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
