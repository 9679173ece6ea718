"""Inversion of a teacher: the objective, its layers, several teachers."""

import pytest
import torch
from torch.nn import functional as F

from dcc_core import DccError
from dcc_core.testing import Moment, remaining_objective
from dcc_plugins.crops import Crops
from dcc_plugins.inversion import batch_norms, mixed_order

OPTIONS = {
    "loss": "inversion",
    "loss.teacher_epochs": 1,
    "arch": "convnet",
    "arch.depth": 1,
    "arch.width": 4,
    "arch.norm": "batch",
    "run.ipc": 2,
    "run.init": "noise",
}


@pytest.fixture
def job(make_job, tmp_path):
    return lambda **more: make_job({**OPTIONS, "run.data_root": tmp_path, **more})


@pytest.mark.parametrize("batch", [100, 4])
def test_the_objective_is_cross_entropy_and_the_distance_of_statistics(job, batch):
    moment = Moment.of(job(**{"loss.batch": batch, "loss.weight": 0.3}))
    parts = [value.item() for value in moment.terms()]
    teacher, expected = moment.state.teachers[0].network, []
    (norm,) = batch_norms(teacher)
    convolution = next(m for m in teacher.modules() if isinstance(m, torch.nn.Conv2d))
    whole = moment.step.synthetic.batch(0, 1, 2)
    for number, chosen in enumerate(torch.tensor([0, 2, 4, 1, 3, 5]).split(batch)):
        draws = Crops(smallest=0.08).draw(len(chosen), (3, 8, 8), moment.step.generator("crops", number))
        matrices = draws["matrix"].to(whole.device)
        grid = F.affine_grid(matrices, (len(chosen), *whole.shape), align_corners=False)
        crops = F.grid_sample(whole.images[chosen], grid, align_corners=False)
        maps = convolution(crops)
        value = F.cross_entropy(teacher(crops), whole.labels[chosen], reduction="sum")
        mean, variance = maps.mean(dim=(0, 2, 3)), maps.var(dim=(0, 2, 3), unbiased=False)
        distance = (mean - norm.running_mean).square().sum().sqrt() + (
            variance - norm.running_var
        ).square().sum().sqrt()
        expected.append(value.item() + 0.3 * len(chosen) * distance.item())
    assert parts == pytest.approx(expected, rel=1e-9)


def test_classes_take_turns():
    assert mixed_order(torch.tensor([0, 0, 0, 1, 2, 2])).tolist() == [0, 3, 4, 1, 5, 2]


def test_a_teacher_without_statistics_is_refused(job):
    with pytest.raises(DccError, match=r"inversion compares with BatchNorm's statistics, and the teacher has none"):
        job(**{"arch.norm": "instance"}).start()
    job(**{"arch.norm": "instance", "loss.weight": 0}).start()


def test_outer_loops_take_teachers_in_turn(job):
    made = job(**{"loss.teachers": 2})
    first, second = (Moment.of(made, outer).objective() for outer in (0, 1))
    state = made.start().state
    assert state.teachers[0].about["weights"] != state.teachers[1].about["weights"] and first != second


def test_a_run_lowers_the_objective(job):
    made = job(**{"run.outer_loops": 40, "data": "digits", "arch.width": 8, "run.precision": "float32"})
    assert remaining_objective(made, 5) < 0.6
