"""The kernel of matching: its Jacobian by finite differences, its velocity, as an observer and as a study."""

import csv

import pytest
import torch
from click.testing import CliRunner

import dcc_plugins.manifest
from dcc_core import Registry, StepReport
from dcc_core.plugins.registry import Origin
from dcc_core.testing import Moment
from dcc_plugins.commands.run import run
from dcc_plugins.figures import figure_style
from dcc_plugins.ntk import Velocities, kernel, velocity
from dcc_plugins.studies import Bench
from dcc_plugins.studies.ntk_velocity import NtkVelocity
from dcc_plugins.terminal import Display

REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])
STEP = 1e-5


@pytest.mark.parametrize("loss", ["class-wise", "collective-bare"])
def test_the_kernel_is_the_gram_matrix_of_the_jacobian(make_job, loss):
    """By central differences of the objective in float64, for every number of every synthetic sample."""
    job = make_job({"loss": loss, "run.init": "noise", "run.outer_loops": 1, "run.inner_loops": 1, "run.ipc": 2})
    seen = []
    job.condense(watch=lambda report: seen.append(kernel(report.gradients)))
    moment = Moment.of(job)
    images = moment.synthetic.stored["images"]
    assert images.dtype == torch.float64
    numbers = images.view(-1)
    jacobian = torch.zeros_like(numbers)
    with torch.no_grad():
        for i, value in enumerate(numbers.tolist()):
            ends = []
            for side in (STEP, -STEP):
                numbers[i] = value + side
                ends.append(moment.objective())
            numbers[i] = value
            jacobian[i] = (ends[0] - ends[1]) / (2 * STEP)
    rows = jacobian.view(len(images), -1)
    torch.testing.assert_close(seen[0], (rows @ rows.T).cpu(), rtol=1e-5, atol=1e-9)
    assert seen[0].shape == (6, 6)


def test_velocity_is_the_angle_between_kernels():
    a, b = torch.diag(torch.tensor([1.0, 0.0])).double(), torch.diag(torch.tensor([0.0, 2.0])).double()
    assert velocity(a, 3 * a) == pytest.approx(0)
    assert velocity(a, b) == pytest.approx(1)
    assert velocity(a, a + b / 2) == pytest.approx(1 - 0.5**0.5)
    assert velocity(a, 0 * a) == 0


def test_only_consecutive_steps_of_a_set_have_a_velocity():
    velocities, found = Velocities(), []
    for place in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)):
        at = dict(zip(("set", "outer", "inner"), place, strict=True))
        report = StepReport(**at, loss=0.0, phase="", gradients={"images": torch.eye(2)})
        found.append(velocities.step(report, 2)[0])
    assert found == [None, pytest.approx(0), pytest.approx(0), None, None]


def test_any_run_can_log_it(tmp_path):
    words = (
        "--outer-loops 2 --inner-loops 2 --network-steps 0 --sets 2 --eval-nets 1 --protocol dc -o arch.width=4 --quiet"
    )
    logged = CliRunner().invoke(run, [*words.split(), "--log", "ntk-velocity", "--out", str(tmp_path / "logged")])
    assert logged.exit_code == 0, logged.stderr
    with (tmp_path / "logged" / "ntk_velocity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["set"], r["outer"], r["inner"]) for r in rows] == [(s, o, i) for s in "01" for o in "01" for i in "01"]
    assert [r["velocity"] == "" for r in rows] == [True, False, False, False] * 2
    assert all(0 < float(r["velocity"]) <= 1 for r in rows if r["velocity"])
    assert all(float(r["trace"]) > 0 for r in rows)
    plain = CliRunner().invoke(run, [*words.split(), "--out", str(tmp_path / "plain")])
    assert plain.exit_code == 0
    assert (tmp_path / "plain" / "set.safetensors").read_bytes() == (
        tmp_path / "logged" / "set.safetensors"
    ).read_bytes()


def test_peaks_are_counted_at_new_networks():
    velocities = {0: None, 1: 0.2, 2: 0.1, 3: 0.9, 4: 0.2, 5: 0.3, 6: 0.1, 7: 0.2, 8: 0.4}
    rows = [
        {"method": "class-wise", "seed": 0, "step": s, "inner": s % 3, "velocity": v} for s, v in velocities.items()
    ]
    study = NtkVelocity(outer_loops=3, inner_loops=3, seeds=1)
    assert study._peaks(rows, "class-wise", 0) == 0.5
    assert study._at(rows, "class-wise", 0, fresh=True) == [0.9, 0.1]


def test_the_study_follows_both_methods(tmp_path):
    given = {"arch.width": 2, "run.network_steps": 0, "run.real_batch": 8}
    bench = Bench(REGISTRY, given, tmp_path, tmp_path, Display(quiet=True))
    with figure_style():
        found = NtkVelocity(data="digits", ipc=1, outer_loops=2, inner_loops=3, seeds=2).conduct(bench)
    assert len(found.tables["ntk_velocity"]) == 2 * 2 * 6
    assert {r["velocity"] is None for r in found.tables["ntk_velocity"] if r["step"]} == {False}
    assert "of 2 runs" in found.page
