"""A run from the command line to its folder."""

import hashlib
import io
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dcc_core import DccError, condense, hookimpl, load_set
from dcc_core.config.settings import Rank, Settings
from dcc_core.jobs.configuration import resolve
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import RunFolder, default_folder
from dcc_core.sets.grid import draw_grid
from dcc_plugins.commands.run import run
from dcc_plugins.terminal import Display

SMALL = shlex.split("--outer-loops 2 --inner-loops 2 --network-steps 1 --eval-nets 1 --protocol dc -o arch.width=8")


def dcc_run(*arguments):
    return CliRunner().invoke(run, [*SMALL, *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of one small run of the collective loss with DSA, and what it printed."""
    out = tmp_path_factory.mktemp("run") / "out"
    result = dcc_run("--aug", "dsa", "--out", str(out), "--json", "--sets", "2")
    assert result.exit_code == 0, result.stderr
    return out, result


def test_what_a_run_leaves(folder):
    out, _ = folder
    assert sorted(p.name for p in out.iterdir()) == [
        "config.toml",
        "grid-1.png",
        "grid.png",
        "metrics.jsonl",
        "report.json",
        "run.log",
        "set-1.safetensors",
        "set.safetensors",
        "snapshots",
    ]
    log = (out / "run.log").read_text()
    assert "dsa leaves out flip" in log
    assert "1347 training images of 10 classes; collective+dsa" in log


def test_the_set_file_describes_itself(folder):
    s = load_set(folder[0] / "set-1.safetensors")
    p = s.provenance
    assert s.images.shape == (10, 1, 8, 8)
    assert s.labels.tolist() == list(range(10))
    assert (p.method, p.data, p.seed, p.set) == ("collective+dsa", "digits", 0, 1)
    assert p.class_names == tuple("0123456789")
    assert p.config["loss.reduction"] == "mean"
    assert p.config["run.outer_loops"] == 2
    assert "torch" in p.versions
    assert len(p.scores) == 1
    assert (p.scores[0]["protocol"], p.scores[0]["architecture"]) == ("dc", "convnet")
    assert len(p.scores[0]["accuracies"]) == 1


def test_the_set_file_holds_no_place_or_time(folder):
    out, _ = folder
    content = (out / "set.safetensors").read_bytes()
    for word in (str(out).encode(), f'"{os.uname().nodename}"'.encode(), b"seconds", b"run.device", b"data_root"):
        assert word not in content


def test_json_is_the_last_line_of_stdout_and_alone(folder):
    out, result = folder
    assert result.stdout.count("\n") == 1
    report = json.loads(result.stdout)
    assert report == json.loads((out / "report.json").read_text())
    assert report["accuracy"]["condensed"]["sets"] == 2
    assert report["accuracy"]["gain"] == pytest.approx(
        report["accuracy"]["condensed"]["mean"] - report["accuracy"]["random"]["mean"]
    )
    assert set(report["seconds"]) == {"load", "probe", "condense", "score", "baseline"}
    assert report["config"]["run.outer_loops"] == {"value": 2, "origin": "--outer-loops"}
    assert report["config"]["run.real_batch"] == {"value": 32, "origin": "suggested by digits"}
    assert report["config"]["loss"] == {"value": "collective", "origin": "default"}
    assert sorted(report["files"]) == sorted(p.name for p in out.iterdir())


def test_plain_lines_where_there_is_no_terminal(folder):
    stderr = folder[1].stderr
    lines = re.findall(r"^\d+%, (.+) left, (condensing|scoring) .+", stderr, re.M)
    assert 2 <= len(lines) <= 20  # which pieces of work get one depends on how long each takes
    assert re.search(r"^100%, 0.0 s left, scoring random on convnet 1/1 networks, accuracy so far \d", stderr, re.M)
    assert "\x1b" not in stderr


def test_metrics_hold_every_step_and_score(folder):
    rows = [json.loads(line) for line in (folder[0] / "metrics.jsonl").read_text().splitlines()]
    steps = [(r["set"], r["outer"], r["inner"]) for r in rows if "loss" in r]
    assert steps == [(s, o, i) for s in (0, 1) for o in (0, 1) for i in (0, 1)]
    assert [(r["set"], r["subject"]) for r in rows if "subject" in r] == [
        (0, "condensed"),
        (0, "random"),
        (1, "condensed"),
        (1, "random"),
    ]


def test_the_same_seed_gives_the_same_bytes_in_another_process(folder, tmp_path):
    out, _ = folder
    command = [sys.executable, "-m", "dcc_core", "run", *SMALL, "--aug", "dsa", "--sets", "2", "--out", "again"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in ("set.safetensors", "set-1.safetensors", "grid.png"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name
    assert (out / "set.safetensors").read_bytes() != (out / "set-1.safetensors").read_bytes()


def test_the_set_beats_random_images_by_ten_points(tmp_path):
    """At less than half of the default budget, on test images that condensing never sees."""
    words = shlex.split("--loss collective --aug dsa --outer-loops 4 --protocol dc --eval-nets 1")
    result = CliRunner().invoke(run, [*words, "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(result.stdout)["accuracy"]["gain"] > 0.10


def test_another_seed_gives_other_images(folder, tmp_path):
    out = tmp_path / "other"
    assert dcc_run("--aug", "dsa", "--out", str(out), "--seed", "1", "--quiet").exit_code == 0
    assert not torch.equal(load_set(out / "set.safetensors").images, load_set(folder[0] / "set.safetensors").images)


def test_quiet_shows_only_the_result(tmp_path):
    state = torch.get_rng_state()
    result = dcc_run("--out", str(tmp_path / "out"), "--quiet")
    assert result.stderr == ""
    assert re.search(r"collective +│ +\d+\.\d", result.stdout)
    assert re.search(r"random real images +│ +\d+\.\d", result.stdout)
    assert torch.equal(torch.get_rng_state(), state)


def test_python_gives_the_same_images(folder):
    s = condense(
        data="digits",
        loss="collective",
        aug="dsa",
        outer_loops=2,
        inner_loops=2,
        network_steps=1,
        options={"arch.width": 8},
    )
    assert torch.equal(s.images, load_set(folder[0] / "set.safetensors").images)
    with pytest.raises(DccError, match="unknown argument 'looss'"):
        condense(looss="collective")


def test_a_set_initialises_a_run(folder, tmp_path):
    """The images of a set file are where condensing starts: a tiny rate leaves them there."""
    first = folder[0] / "set.safetensors"
    out = tmp_path / "out"
    result = dcc_run("--init", str(first), "--out", str(out), "-o", "run.image_rate=1e-12", "-o", "score.baseline=no")
    assert result.exit_code == 0, result.stderr
    again = load_set(out / "set.safetensors")
    assert torch.allclose(again.images, load_set(first).images, atol=1e-5)
    digest = hashlib.sha256(first.read_bytes()).hexdigest()[:16]
    assert again.provenance.config["run.init"] == f"set file {digest}"
    assert str(first) not in (out / "set.safetensors").read_bytes().decode(errors="ignore")
    assert "random" not in json.loads((out / "report.json").read_text())["accuracy"]


def test_a_set_of_other_classes_is_refused(registry, configure, tmp_path):
    path = tmp_path / "blobs.safetensors"
    condense(registry=registry, data="blobs", outer_loops=1, inner_loops=1).save(path)
    result = dcc_run("--init", str(path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "the set holds 3 classes (blob 0, blob 1, blob 2) of 2×8×8 images ('blobs'); data 'digits'" in result.stderr


MINE = ("dataset.safetensors", "grid-search.png", "notes.txt")


def test_overwrite_replaces_a_runs_files_and_nothing_else(tmp_path):
    for name in ("set.safetensors", "set-4.safetensors", "grid-4.png", "unfinished.safetensors", *MINE):
        (tmp_path / name).write_text("old")
    RunFolder(tmp_path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 7
    result = dcc_run("--out", str(tmp_path), "--overwrite", "--ipc", "200")
    assert result.exit_code == 2
    assert len(list(tmp_path.iterdir())) == 7
    result = dcc_run("--out", str(tmp_path), "--overwrite", "-o", "score.baseline=no")
    assert result.exit_code == 0, result.stderr
    assert all((tmp_path / name).read_text() == "old" for name in MINE)
    assert {p.name for p in tmp_path.iterdir()} - set(MINE) == {
        *("config.toml", "grid.png", "metrics.jsonl", "report.json", "run.log", "set.safetensors", "snapshots")
    }


def test_a_run_may_overwrite_the_set_it_starts_from(folder, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(folder[0], out)
    result = dcc_run("--out", str(out), "--overwrite", "--init", str(out / "set.safetensors"))
    assert result.exit_code == 0, result.stderr


def test_the_default_folder_has_a_readable_name(configure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configure({"data": "blobs-of:4,5", "aug": "dsa", "run.ipc": 3})
    assert str(default_folder(config)) == "runs/blobs-of_4_5-collective-dsa-convnet-ipc3-seed0"
    default_folder(config).mkdir(parents=True)
    (default_folder(config) / "file").touch()
    assert str(default_folder(config)).endswith("-seed0-2")


class Watcher:
    """Counts what it is told, and fails at one step."""

    def __init__(self, error):
        self.error = error
        self.broadcast = []

    @hookimpl
    def dcc_run_started(self, run):
        self.broadcast.append(run.class_names)

    @hookimpl
    def dcc_step_finished(self, report):
        self.broadcast.append((report.outer, report.inner))
        if len(self.broadcast) == 3:
            raise self.error

    @hookimpl
    def dcc_evaluated(self, report):
        self.broadcast.append((report.subject, len(report.score.accuracies)))


def executed(out, watcher, **options):
    from dcc_core.plugins.registry import Origin, Registry
    from dcc_plugins import manifest

    registry = Registry([manifest, watcher], [Origin("builtin"), Origin("watcher")])
    settings = Settings()
    small = {"run.outer_loops": 2, "run.inner_loops": 2, "run.network_steps": 0, "arch.width": 4, "score.nets": 1}
    settings.add(small | options, "test", Rank.OPTION)
    return execute(resolve(registry, settings), registry, RunFolder(out), Display(quiet=True))


@pytest.mark.filterwarnings("ignore::dcc_core.errors.PluginWarning")
def test_observers_follow_a_run_and_cannot_end_it(tmp_path):
    watcher = Watcher(RuntimeError("disk gone"))
    executed(tmp_path / "out", watcher)
    names = tuple("0123456789")
    assert watcher.broadcast == [names, (0, 0), (0, 1), ("condensed", 1), ("random", 1)]


def test_the_log_is_written_while_the_run_goes_on(tmp_path):
    """A run that is killed must leave the log that it had."""
    seen = []

    class Reader:
        @hookimpl
        def dcc_step_finished(self, report):
            seen.append((tmp_path / "out" / "run.log").read_text())

    executed(tmp_path / "out", Reader())
    assert len(seen) == 4
    assert all("1347 training images" in text for text in seen)


def test_an_interrupted_run_keeps_its_images(tmp_path):
    """Ctrl-C, as an observer that raises it: the images of the last step, the metrics and the log stay."""
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt, match="results so far are in"):
        executed(out, Watcher(KeyboardInterrupt()))
    s = load_set(out / "unfinished.safetensors")
    assert not s.provenance.finished
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2
    assert "interrupted" in (out / "run.log").read_text()
    assert not logging.getLogger("dcc").handlers


def test_a_loss_that_becomes_nan_ends_with_one_message(tmp_path):
    result = dcc_run("-o", "run.image_rate=1e305", "-o", "run.precision=float64", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    error = result.stderr[result.stderr.index("Error: ") :]
    assert re.match(
        r"Error: .*gradient of 'images' of class 0, 1, 2, ... is not finite \(outer loop \d, inner loop \d", error
    )
    assert "Traceback" not in result.stderr
    assert load_set(tmp_path / "out" / "unfinished.safetensors").images.isfinite().all()
    assert "Traceback" in (tmp_path / "out" / "run.log").read_text()
    assert f"results so far are in '{tmp_path / 'out'}'" in error
    assert (tmp_path / "out" / "metrics.jsonl").exists()
    assert (tmp_path / "out" / "config.toml").exists()


def test_the_grid_has_a_row_per_class():
    images = torch.zeros(3, 3, 8, 8)
    images[0], images[1], images[2, 0] = 0.5, 1.5, 1.0
    png = Image.open(io.BytesIO(draw_grid(images, torch.tensor([0, 0, 1]), ("a", "longer"))))
    left = png.width - 2 * (64 + 4)
    assert png.height == 2 * 68 + 4
    assert png.getpixel((left + 30, 30)) == (128, 128, 128)
    assert png.getpixel((left + 68 + 30, 30)) == (255, 255, 255)
    assert png.getpixel((left + 30, 68 + 30)) == (255, 0, 0)
    text = png.crop((0, 68, left - 4, 136)).convert("L").getextrema()
    assert text[0] < 100


def test_wide_grids_and_grey_images():
    png = Image.open(io.BytesIO(draw_grid(torch.rand(70, 1, 100, 90), torch.zeros(70, dtype=torch.int64), ("x",))))
    assert png.size[1] == 100 + 8
    assert png.size[0] > 50 * 94
    assert png.size[0] < 52 * 94
