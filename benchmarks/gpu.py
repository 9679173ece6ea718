"""What a GPU does with this package, in minutes: speed, busy share, parity, repeatability, the paper's first rows.

    python benchmarks/gpu.py OUT [--minutes 6] [--data-root DIR] [--device cuda] [--only speed,busy] [--tiny]

Appends a JSON line to OUT/rows.jsonl for everything that is measured, as it comes. A part that fails leaves a line with
its error, and the others go on. With the time that is left it condenses CIFAR-10 at the paper's settings (ipc 1, 1000
outer loops) by DSAC, DCC, DSA and DC, each in a process of its own; called again with the same OUT, it resumes them.
--tiny does a little of everything, also on a CPU.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import torch
from dispatched import count
from ways import job_of, matching

from dcc_core import Step
from dcc_core.engine import Network, read_updates, start_update, update
from dcc_core.testing import learned

METHODS = {
    "DSAC": {"loss": "collective", "aug": "dsa"},
    "DCC": {"loss": "collective", "aug": "none"},
    "DSA": {"loss": "class-wise", "aug": "dsa"},
    "DC": {"loss": "class-wise", "aug": "none"},
}
LOSSES = ("class-wise", "collective-bare", "penalised")
AUGMENTATIONS = ("none", "dsa", "jitter")
ARCHITECTURES = ("convnet", "lenet", "alexnet", "vgg11", "resnet18-ap", "mlp")
PRECISIONS = ("float64", "float32", "bfloat16")


class Session:
    """The device, the size of the work, the time that is left, and the file of rows."""

    def __init__(self, out: Path, device: str, seconds: float, *, tiny: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.device, self.tiny = out, torch.device(device), tiny
        self._end = time.monotonic() + seconds
        self.size = {"run.device": device, "arch.width": 4 if tiny else 128, "run.real_batch": 4 if tiny else 256}

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()

    def write(self, part: str, **row: Any) -> None:
        """Append a row."""
        line = json.dumps({"part": part, **row})
        with (self.out / "rows.jsonl").open("a") as file:
            file.write(f"{line}\n")
        click.echo(line)

    @contextlib.contextmanager
    def attempt(self, part: str, **row: Any) -> Iterator[None]:
        """Write a row with the error if something fails."""
        try:
            yield
        except Exception as error:
            self.write(part, **row, error=f"{type(error).__name__}: {error}"[:500])

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], object], times: int) -> float:
        """The time of a piece of work, after a first one."""
        work()
        self.wait()
        start = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - start) / times


def describe(session: Session) -> None:
    """Write which machine this is."""
    name = torch.cuda.get_device_name(session.device) if session.device.type == "cuda" else platform.processor()
    versions = {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    command = shlex.join(["python", *sys.argv])
    session.write("machine", device=name, date=f"{datetime.date.today()}", command=command, **versions)


def outer_loop(options: dict[str, Any]) -> Callable[[], object]:
    """One outer loop of a run: image updates with the network's training between them."""
    job = job_of(**options)
    run, synthetic, state = job.start()
    outers = itertools.count(1)

    def work() -> None:
        outer = next(outers)
        network = Network(run, outer)
        started = []
        for inner in range(run.inner_loops):
            step = Step(run, synthetic, outer=outer, inner=inner, network=network.module)
            started.append(start_update(step, job.config.loss, state))
            if inner < run.inner_loops - 1:
                network.train(synthetic, inner)
        _ = list(read_updates(started))

    return work


def image_update(options: dict[str, Any]) -> Callable[[], object]:
    """One image update of a run."""
    job = job_of(**options)
    run, synthetic, state = job.start()
    network, inners = Network(run, 0), itertools.count(1)

    def work() -> None:
        step = Step(run, synthetic, outer=0, inner=next(inners), network=network.module)
        update(step, job.config.loss, state)

    return work


def speed_options(session: Session, name: str, ipc: int, **how: Any) -> dict[str, Any]:
    """Options of a run of a method, without its warm-up."""
    loss = METHODS[name]["loss"].replace("collective", "collective-bare")
    loops = {"run.inner_loops": 2 if session.tiny else 10, "run.network_steps": 5 if ipc == 1 else 50}
    return {**session.size, "run.ipc": ipc, **loops, **METHODS[name], "loss": loss, **how}


def measure_speed(session: Session) -> None:
    """Seconds an outer loop, by method and images per class, and with other ways of computing."""
    others = [
        {"run.graphs": False},
        {"run.deterministic": False},
        {"run.tf32": "all"},
        {"run.layout": "channels-last"},
        {"run.precision": "bfloat16"},
    ]
    rows = [(ipc, name, {}) for ipc in (1, 10) for name in METHODS]
    rows += [(ipc, "DSAC", how) for how in others for ipc in (1, 10)]
    time_outer_loops(session, "speed", rows[: 2 if session.tiny else None])


def measure_compiled(session: Session) -> None:
    """Seconds an outer loop with compiled passes; compiling, which takes longest, is not part of it."""
    time_outer_loops(
        session, "compiled", [(ipc, "DSAC", {"run.compile": "on"}) for ipc in (10, 1)[: 1 if session.tiny else 2]]
    )


def time_outer_loops(session: Session, part: str, rows: list[tuple[int, str, dict[str, Any]]]) -> None:
    for ipc, name, how in rows:
        with session.attempt(part, method=name, ipc=ipc, **how):
            work = outer_loop(speed_options(session, name, ipc, **how))
            session.write(part, method=name, ipc=ipc, **how, seconds=session.seconds(work, 1 if session.tiny else 3))


def measure_field(session: Session) -> None:
    """Seconds an image update, beside a plain loop in the shape of the field's code."""
    for name, ipc in itertools.product(("DSAC",) if session.tiny else METHODS, (1,) if session.tiny else (1, 10)):
        loss = METHODS[name]["loss"].replace("collective", "collective-bare")
        with session.attempt("field", method=name, ipc=ipc):
            job = job_of(**{**session.size, **METHODS[name], "loss": loss, "run.ipc": ipc})
            field, ours = matching(job, class_wise=loss == "class-wise")
            times = [session.seconds(way, 1 if session.tiny else 5) for way in (field, ours)]
            session.write("field", method=name, ipc=ipc, field=times[0], ours=times[1])


def measure_busy_share(session: Session) -> None:
    """The share of an outer loop in which the device works, its longest kernels, launches; an update's operations."""
    for name, ipc in (("DSAC", 1), ("DSAC", 10), ("DC", 1), ("DC", 10))[: 1 if session.tiny else 4]:
        with session.attempt("busy", method=name, ipc=ipc):
            options = speed_options(session, name, ipc)
            row: dict[str, Any] = {"method": name, "ipc": ipc, "operations": count(image_update(options)).total()}
            work = outer_loop(options)
            row["seconds"] = session.seconds(work, 1 if session.tiny else 3)
            if session.device.type == "cuda":
                with torch.profiler.profile() as profile:
                    work()
                    session.wait()
                events = profile.key_averages()
                on_device = [e for e in events if str(e.device_type).endswith("CUDA")]
                row["busy"] = sum(e.self_device_time_total for e in on_device) / 1e6 / row["seconds"]
                row["launches"] = {e.key: e.count for e in events if "Launch" in e.key}
                row["waits"] = {e.key: e.count for e in events if "ynchronize" in e.key}
                top = sorted(on_device, key=lambda e: -e.self_device_time_total)[:16]
                row["top"] = {e.key[:110]: [e.count, e.self_device_time_total / 1e3] for e in top}
            session.write("busy", **row)


def image_gradient(options: dict[str, Any]) -> torch.Tensor:
    """The images' gradient in the first step of a run, taken until it is replayed on a GPU."""
    job = job_of(**options)
    run, synthetic, state = job.start()
    before, network = synthetic.state_dict(), Network(run, 0).module
    for _ in range(3 if job.device.type == "cuda" else 1):
        synthetic.load_state_dict(before)
        update(Step(run, synthetic, outer=0, inner=0, network=network), job.config.loss, state)
    return synthetic.gradients()["images"].detach().double().cpu()


def measure_parity(session: Session) -> None:
    """The relative error of the images' gradient, beside the same in float64 on the CPU."""
    small = {"run.real_batch": 4, "run.ipc": 2, "data.classes": (0, 1, 2)}
    cases = itertools.product(ARCHITECTURES, LOSSES, AUGMENTATIONS)
    for arch, loss, aug in itertools.islice(cases, 2 if session.tiny else None):
        if session.left < 0:
            return
        options = {**small, "arch": arch, "loss": loss, "aug": aug}
        if loss == "penalised":
            options["loss.of"] = "collective-bare"
        expected = image_gradient({**options, "run.device": "cpu", "run.precision": "float64"})
        for precision in PRECISIONS:
            row = {"arch": arch, "loss": loss, "aug": aug, "precision": precision}
            with session.attempt("parity", **row):
                found = image_gradient({**options, "run.device": str(session.device), "run.precision": precision})
                session.write("parity", **row, error_of_gradient=float((found - expected).norm() / expected.norm()))


def measure_repeatability(session: Session) -> None:
    """Whether the same seed gives the same bytes, with and without deterministic kernels."""
    for name, wanted in itertools.product(METHODS, (True, False)):
        with session.attempt("repeat", method=name, deterministic=wanted):
            size = {**session.size, "run.outer_loops": 2, "run.inner_loops": 2, "run.network_steps": 2}
            options = {**size, **METHODS[name], "run.deterministic": wanted}
            first, second = (learned(job_of(**options))["images"].tobytes() for _ in range(2))
            session.write("repeat", method=name, deterministic=wanted, same=first == second)


def condense_side_by_side(session: Session, data_root: Path | None, methods: str, outer_loops: int) -> None:
    """The paper's settings for ipc 1, a process for each method, until the time is over."""
    data = ["--data", "digits"] if session.tiny else ["--data", "cifar10", "--recipe", "official"]
    data += ["--outer-loops", "1" if session.tiny else str(outer_loops)]
    size = (
        [
            "--eval-nets",
            "1",
            "--protocol",
            "dc",
            "-o",
            "score.baseline=no",
            "-o",
            "arch.width=4",
            "-o",
            "data.per_class=20",
        ]
        if session.tiny
        else ["-o", "run.sets=1", "--eval-nets", "20", "-o", "score.baseline=no"]
    )
    root = ["--data-root", str(data_root)] if data_root else []
    processes = {}
    for name in methods.split(","):
        options = METHODS[name]
        folder = session.out / "runs" / name
        words = ["--resume", str(folder)]
        if not (folder / "config.toml").exists():
            chosen = ["--loss", options["loss"], "--aug", options["aug"], "--ipc", "1", "--device", str(session.device)]
            words = [*data, *size, *root, *chosen, "--out", str(folder)]
        command = [sys.executable, "-m", "dcc_core", "run", *words, "-o", "run.checkpoint=30s"]
        processes[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for process in processes.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(1, session.left))
    for name, process in processes.items():
        process.terminate()  # it keeps its state
        log = process.communicate()[1]
        report = session.out / "runs" / name / "report.json"
        row: dict[str, Any] = {"method": name, "exit": process.returncode, "log": log[-1000:]}
        if report.exists():
            read = json.loads(report.read_text())
            row = {"method": name, "accuracy": read["accuracy"], "seconds": read["seconds"]}
        session.write("full", **row)


PARTS = {
    "speed": measure_speed,
    "compiled": measure_compiled,
    "busy": measure_busy_share,
    "field": measure_field,
    "repeat": measure_repeatability,
    "parity": measure_parity,
}


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--minutes", default=6.0, show_default=True)
@click.option("--data-root", type=click.Path(path_type=Path, exists=True))
@click.option("--device", default="cuda", show_default=True)
@click.option("--only", default=",".join([*PARTS, "full"]), show_default=True, help="the parts, in their order")
@click.option("--methods", default=",".join(METHODS), show_default=True, help="that condense, for the part full")
@click.option("--outer-loops", default=1000, show_default=True, help="of these methods")
@click.option("--tiny", is_flag=True)
def main(
    out: Path,
    minutes: float,
    data_root: Path | None,
    device: str,
    only: str,
    methods: str,
    outer_loops: int,
    tiny: bool,
) -> None:
    session = Session(out, device, 60 * minutes, tiny=tiny)
    describe(session)
    for name in only.split(","):
        with session.attempt(name):
            if name == "full":
                condense_side_by_side(session, data_root, methods, outer_loops)
            else:
                PARTS[name](session)


if __name__ == "__main__":
    main()
