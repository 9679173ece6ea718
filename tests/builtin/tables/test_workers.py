"""Workers: tables in this process, in others, and on Ray; what a lost one costs, and how they end."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from acts import Acts
from click.testing import CliRunner

from dcc_core import DccError
from dcc_core.cli.app import cli
from dcc_core.config.settings import Rank, Settings
from dcc_plugins.tables.cell import CellRun, CellWork, is_written
from dcc_plugins.tables.on_ray import Seen, check_seen
from dcc_plugins.tables.processes import Processes, shares
from dcc_plugins.tables.workers import RETRIES, Began, Done, Failed, Lost, Resources, ThisProcess
from dcc_plugins.terminal import Display

RAY = pytest.param(
    "ray", marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
)
TINY = """
[options]
data = "digits"
"arch.width" = 8
"run.outer_loops" = 1
"run.inner_loops" = 4
"run.network_steps" = 1
"run.real_batch" = 16
"run.sets" = 1
"run.checkpoint" = "0s"
"score.nets" = 1
"score.baseline" = false
[axes]
loss = ["class-wise", "collective-bare"]
run.ipc = [1, 2]
"""
CELLS = ["class-wise/ipc=1", "class-wise/ipc=2", "collective-bare/ipc=1"]


@pytest.fixture
def sweep(tmp_path):
    """Run the tiny sweep: `sweep("out", "--on", "ray")`."""
    (tmp_path / "tiny.toml").write_text(TINY)

    def run(out, *words):
        cells = [word for cell in CELLS for word in ("--cells", cell)]
        return CliRunner().invoke(
            cli, ["sweep", str(tmp_path / "tiny.toml"), *cells, "--out", str(tmp_path / out), "--json", *words]
        )

    return run


def workers_of(parent):
    """The processes that work on a cell, by id, below a process."""
    found, parents = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_text()
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if "multiprocessing.spawn" in words or words.startswith(("ray::class-wise", "ray::collective")):
            found[int(place.name)] = words

    def below(pid):
        return pid == parent or (pid in parents and below(parents[pid]))

    return [pid for pid in found if below(pid)]


class Killer(threading.Thread):
    """Kills a worker of this process with SIGKILL while the first steps are taken."""

    def __init__(self, out):
        super().__init__(daemon=True)
        self.out = out
        self.killed = []

    def run(self):
        begun = time.monotonic()
        while time.monotonic() - begun < 120:
            if any(self.out.glob("*/*/metrics.jsonl")) and (workers := workers_of(os.getpid())):
                os.kill(workers[0], signal.SIGKILL)
                self.killed.append(workers[0])
                return
            time.sleep(0.02)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of the tiny sweep, run in this process."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "tiny.toml").write_text(TINY)
    cells = [word for cell in CELLS for word in ("--cells", cell)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    done = CliRunner().invoke(cli, ["sweep", str(folder / "tiny.toml"), *cells, "--out", str(folder), "--quiet"])
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds workers in /proc")
@pytest.mark.parametrize("place", ["local:2", RAY])
def test_a_killed_worker_costs_its_cell_a_retry_and_nothing_else(sweep, tmp_path, alone, caplog, monkeypatch, place):
    killer = Killer(tmp_path / "out")
    killer.start()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = sweep("out", "--on", place, "--cell-cpus", "1")
    assert done.exit_code == 0, done.stderr
    assert len(killer.killed) == 1
    assert caplog.text.count("lost its worker and continues in another one") == 1
    assert workers_of(os.getpid()) == []
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert [row["cell"] for row in rows] == CELLS
    assert all(row["mean"] is not None for row in rows)
    for cell in CELLS:
        assert f"cell {cell} is done" in done.stderr
        assert (tmp_path / "out" / cell / "metrics.jsonl").read_text().count('"inner"') == 4
        assert json.loads((tmp_path / "out" / cell / "report.json").read_text())["threads"] == 1
        one, other = (folder / cell / "set.safetensors" for folder in (tmp_path / "out", alone))
        assert one.read_bytes() == other.read_bytes()
    again = sweep("out", "--on", place)
    assert json.loads(again.stdout.splitlines()[-1])["rows"] == rows
    assert "cell" not in again.stderr


def cell_of(folder, **options):
    settings = Settings()
    own = {"data": "blobs", "arch": "linear", "loss": "means", "run.outer_loops": 3, "run.sets": 1}
    settings.add(own, "x", Rank.FILE)
    settings.add({"score.nets": 1, "score.baseline": False, "run.checkpoint": "0s", **options}, "x", Rank.FILE)
    return CellRun(settings=settings, folder=folder, selects=False, earlier={})


def test_a_cell_goes_on_from_its_own_checkpoint_alone(registry, tmp_path, monkeypatch):
    """One that `--overwrite` is to replace is not gone on from; one that the cell itself left is."""
    work = CellWork(registry, Display(quiet=True))
    steps = iter(range(100))

    def interrupted(self, row):
        if next(steps) % 2:
            raise KeyboardInterrupt

    def run(cell):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("dcc_core.runs.run_folder.RunFolder.metric", interrupted)
            work(cell)
        return (cell.folder / "run.log").read_text()

    assert "going on" not in run(cell_of(tmp_path))
    assert "resuming at set 0, outer loop 1" in run(cell_of(tmp_path))
    anew = replace(cell_of(tmp_path, **{"run.seed": 7}), earlier=is_written(tmp_path))
    assert "going on" not in run(anew)
    assert "resuming at set 0, outer loop 1" in run(anew)
    report = work(anew)
    assert report["config"]["run.seed"]["value"] == 7
    with monkeypatch.context() as patch:
        patch.setattr(
            "dcc_plugins.tables.cell.execute", None
        )  # its worker was lost after the report: nothing is left to do
        assert work(anew) == report


def test_each_piece_of_work_has_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    given = {"a": "threads", "b": "dies", "c": f"dies-once {tmp_path / 'died'}", "d": "errs", "e": "lives"}
    events = list(Processes(2, Resources(cpus=1)).each(Acts(), given))
    done = {e.name: e.result for e in events if isinstance(e, Done)}
    assert sorted(done) == ["a", "c", "e"]
    assert done["a"] == 1
    assert len({os.getpid(), done["c"], done["e"]}) == 3
    failed = {e.name: e.message for e in events if isinstance(e, Failed)}
    assert failed["b"] == "its worker was lost 4 times, the last time: it was killed by SIGKILL (out of memory?)"
    assert failed["d"].startswith("KeyError: 'no such key'")
    lost = [(e.name, e.reason) for e in events if isinstance(e, Lost)]
    assert lost.count(("c", "exit code 3: last words")) == 1
    assert len([name for name, _ in lost if name == "b"]) == RETRIES
    assert [e.name for e in events if isinstance(e, Began)].count("b") == RETRIES + 1


def test_in_this_process_pieces_of_work_follow_each_other():
    events = list(ThisProcess().each(Acts(), {"a": "lives", "d": "errs"}))
    assert events[:3] == [Began("a"), Done("a", os.getpid()), Began("d")]
    assert events[3].message.startswith("KeyError: 'no such key'")


@pytest.mark.parametrize(
    ("each", "count", "gpus", "shared"),
    [
        (None, 2, "", [None, None]),
        (None, 2, "0123", ["0", "1"]),
        (None, 4, "01", ["0", "0", "1", "1"]),
        (2, 2, "0123", ["0,1", "2,3"]),
        (0.5, 4, "01", ["0", "0", "1", "1"]),
        (0, 2, "01", ["", ""]),
    ],
)
def test_worker_processes_share_the_gpus(each, count, gpus, shared):
    assert shares(each, count, list(gpus)) == shared


def test_more_gpus_than_there_are():
    with pytest.raises(DccError, match="cells want 2 GPUs each, and this machine has 1; --cell-gpus says how many"):
        shares(2, 1, ["0"])


SCRIPT = """
import sys, time
from pathlib import Path
from dcc_core.runs.interrupts import Interrupts
from dcc_plugins.terminal import Display
from dcc_plugins.tables.on_ray import Seen, check_seen
from dcc_plugins.tables.workers import Resources
from dcc_plugins.tables.placement import choose_workers

class Steps:
    def __call__(self, path):
        interrupts = Interrupts()
        with interrupts.install(), interrupts.hold():
            for step in range(1000):
                time.sleep(0.05)
                Path(path).write_text(str(step))
                if interrupts.pending:
                    Path(path + ".kept").touch()
                    if "forever" not in path:
                        interrupts.check()

if __name__ == "__main__":
    place, *files = sys.argv[1:]
    workers = choose_workers(place, Resources(cpus=1), Resources(), Path(files[0]).parent)
    for event in workers.each(Steps(), {path: path for path in files}):
        print(event, flush=True)
"""


@pytest.fixture
def script(tmp_path):
    """A program with two workers that take steps for a minute, once they do: the process, and their files."""
    (tmp_path / "script.py").write_text(SCRIPT)

    def begun(place, *names):
        files = [tmp_path / name for name in names]
        words = [sys.executable, str(tmp_path / "script.py"), place, *map(str, files)]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        processes.append(process)
        until(lambda: all(file.exists() for file in files))
        return process, files

    processes = []
    yield begun
    for process in processes:
        process.kill()
        process.communicate()


def until(condition, seconds=60):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        time.sleep(0.05)


def quiet(files):
    before = [file.read_text() for file in files]
    time.sleep(0.3)
    return before == [file.read_text() for file in files]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("place", ["local:2", RAY])
def test_ctrl_c_ends_workers_after_their_steps_and_a_second_one_at_once(script, place):
    """The terminal tells every process of its group: workers are not of it."""
    process, files = script(place, "a", "forever")
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: all(Path(f"{file}.kept").exists() for file in files))
    until(lambda: quiet(files[:1]))
    assert process.poll() is None
    assert not quiet(files[1:])
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert said.decode().count("stopping after this step") == 1
    assert quiet(files)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_workers_do_not_outlive_their_parent(script):
    process, files = script("local:2", "a", "forever")
    process.kill()
    process.wait()
    until(lambda: quiet(files), seconds=5)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("locl:2", "--on 'locl:2': unknown. Did you mean 'local'? One of: local, local:N, ray, "),
        ("rya", "--on 'rya': unknown. Did you mean 'ray'? One of"),
        ("ray:", "--on 'ray:': unknown."),
        ("local:", "--on 'local:': '' is no number of worker processes; e.g. --on local:2"),
        ("local:0", "--on 'local:0': '0' is no number of worker processes"),
        ("local:two", "--on 'local:two': 'two' is no number of worker processes"),
    ],
)
def test_places_that_there_are_not(sweep, tmp_path, place, message):
    done = sweep("out", "--on", place)
    assert (done.exit_code, done.stderr.count("Error: ")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cell-cpus", "2"], "--on local runs cells in this process, with its own threads (OMP_NUM_THREADS)"),
        (["--on", "local:2", "--cell-gpus", "1.5"], "--cell-gpus 1.5: a part of one, or a whole number"),
        (["--on", "local:2", "--cell-gpus", "99"], "cells want 99 GPUs each, and this machine has"),
        (["--on", "local:2", "--cell-cpus", "0"], "Invalid value for '--cell-cpus'"),
    ],
)
def test_resources_that_there_are_not(sweep, tmp_path, words, message):
    done = sweep("out", *words)
    assert (done.exit_code, done.stderr.count("Error: ")) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_ray_its_extra_is_named(sweep, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = sweep("out", "--on", "ray")
    assert (done.exit_code, done.stderr.count("Error: ")) == (2, 1)
    assert "--on ray needs the package ray: pip install 'dataset-condensation[ray]'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def silent():
    """The port of a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("ray", [RAY])
def test_addresses_that_do_not_answer(sweep, tmp_path, monkeypatch, silent, ray):
    monkeypatch.setattr("dcc_plugins.tables.on_ray.PATIENCE", 4)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for place, message in (
        (f"ray:127.0.0.1:{port}", f"no Ray answers at '127.0.0.1:{port}': [Errno 111] Connection refused"),
        (f"ray://127.0.0.1:{port}", f"no Ray answers at 'ray://127.0.0.1:{port}': [Errno 111] Connection refused"),
        (f"ray:127.0.0.1:{silent}", f"no Ray answers at '127.0.0.1:{silent}' within 4 seconds"),
        (f"ray://127.0.0.1:{silent}", f"no Ray answers at 'ray://127.0.0.1:{silent}' within 4 seconds"),
        ("ray:127.0.0.1", "'127.0.0.1' is no address; ray:HOST:PORT, ray://HOST:PORT, or ray:auto"),
    ):
        done = sweep("out", "--on", place)
        assert (done.exit_code, done.stderr.count("Error: ")) == (2, 1), place
        assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_worker_sees_where_results_go_and_has_the_same_versions(tmp_path):
    here = {"Python": "3.11.7", "dcc": "0.1.0"}
    check_seen(Seen("far", True, here), here, tmp_path)
    with pytest.raises(DccError, match=r"a worker on far does not see '.*', where results go; give an --out on a file"):
        check_seen(Seen("far", False, here), here, tmp_path)
    other = {"Python": "3.11.7", "dcc": "0.2.0", "dcc-dm": "0.1"}
    with pytest.raises(DccError, match=r"far has other versions: dcc 0\.2\.0, here 0\.1\.0; dcc-dm 0\.1, here none$"):
        check_seen(Seen("far", True, other), here, tmp_path)
