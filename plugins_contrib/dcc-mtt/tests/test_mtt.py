"""Matching training trajectories: experts, and students that are to follow them."""

import dcc_mtt
import pytest
import torch
from torch.nn import functional as F

from dcc_core import DccError
from dcc_core.testing import LossConformance, Moment, job_of, toys

SHORT = {"experts": 2, "expert_epochs": 3, "latest_start": 1, "student_steps": 4}


@pytest.fixture(scope="module")
def experts_folder(tmp_path_factory):
    """Where all tests of the rules find their experts, which one of them records."""
    return tmp_path_factory.mktemp("experts")


class TestMtt(LossConformance):
    component = "mtt"

    @pytest.fixture(autouse=True)
    def cached(self, experts_folder):
        self.options = {**SHORT, "cache": experts_folder}


@pytest.fixture
def make(tmp_path):
    """A job that matches trajectories on toy data, in float64, with its experts below `tmp_path`."""

    def build(options=None):
        preset = {"data": "blobs", "loss": "mtt", "arch": "linear", "run.precision": "float64"}
        short = {f"loss.{name}": value for name, value in SHORT.items()}
        return job_of({**preset, **short, "loss.cache": str(tmp_path), **(options or {})}, toys)

    return build


def value(moment):
    (term,) = moment.terms()
    return term


@pytest.mark.parametrize("batch", [None, 2])
def test_the_objective_is_equation_2(make, batch):
    """The student by hand: a linear network's gradient, step after step."""
    moment = Moment.of(make({"run.ipc": 2, "loss.student_batch": batch, "loss.step_size": 0.3}))
    step, state = moment.step, moment.state
    place = step.generator("start")
    expert = int(torch.randint(2, (), generator=place))
    t = int(torch.randint(2, (), generator=place))
    start, target = state.trajectories[expert, t], state.trajectories[expert, t + 2]
    inputs = 2 * 8 * 8
    w, b = start[: 3 * inputs].view(3, inputs).clone(), start[3 * inputs :].clone()
    whole = step.synthetic.batch(0, 1, 2)
    for number in range(4):
        chosen = torch.randperm(6, generator=step.generator("student", number))[:batch]
        x, y = whole.images.detach()[chosen].flatten(1), F.one_hot(whole.labels[chosen], 3).double()
        error = ((x @ w.T + b).softmax(dim=1) - y) / len(chosen)
        w, b = w - 0.3 * error.T @ x, b - 0.3 * error.sum(dim=0)
    arrived = torch.cat([w.flatten(), b])
    expected = (arrived - target).square().sum() / (start - target).square().sum()
    assert value(moment).item() == pytest.approx(expected.item(), rel=1e-12)


def test_derivatives_reach_images_and_step_size(make):
    moment = Moment.of(make({"loss.step_size": 0.1}))
    gradients = moment.gradient()
    images, size = moment.synthetic.stored["images"], moment.synthetic.learned["step_size"]
    for name, tensor, place in (
        ("images", images, (0, 1, 3, 4)),
        ("images", images, (2, 0, 7, 0)),
        ("step_size", size, ()),
    ):
        gradient, tiny = gradients[name][place].item(), 1e-6
        values = []
        for change in (tiny, -tiny):
            tensor.detach()[place] += change
            values.append(moment.objective())
            tensor.detach()[place] -= change
        assert (values[0] - values[1]) / (2 * tiny) == pytest.approx(gradient, rel=1e-5)
        assert gradient != 0


def test_experts_are_networks_in_training(make):
    """Plain gradient descent on all real images, and the same for every set of a seed."""
    job = make({"loss.expert_rate": 0.05})
    run = job.context()
    found = Moment.of(job).state.trajectories
    assert found.shape == (2, 4, 3 * 128 + 3)
    assert not torch.equal(found[0, 0], found[1, 0])
    w, b = found[0, 0][: 3 * 128].view(3, 128).clone(), found[0, 0][3 * 128 :].clone()
    for epoch in range(3):  # all 26 images are one batch
        x, y = run.real.batch(torch.arange(26)).images.flatten(1), F.one_hot(run.data.train.labels, 3)
        error = ((x @ w.T + b).softmax(dim=1) - y) / 26
        w, b = w - 0.05 * error.T @ x, b - 0.05 * error.sum(dim=0)
        assert torch.allclose(torch.cat([w.flatten(), b]), found[0, epoch + 1], atol=1e-12)
    assert torch.equal(job.start(1).state.trajectories, found)


def test_experts_are_recorded_once(make, tmp_path, monkeypatch):
    first = Moment.of(make()).state.trajectories
    assert len(list(tmp_path.iterdir())) == 1
    trained = dcc_mtt.train_on_real
    monkeypatch.setattr(dcc_mtt, "train_on_real", lambda *_, **__: pytest.fail("trained again"))
    assert torch.equal(Moment.of(make({"run.ipc": 2, "loss.span": 1})).state.trajectories, first)
    monkeypatch.setattr(dcc_mtt, "train_on_real", trained)
    others = (
        {"loss.expert_epochs": 4},
        {"loss.expert_rate": 0.02},
        {"loss.experts": 3},
        {"run.seed": 1},
        {"aug": "dsa"},
        {"data.per_class": 4},
        {"arch": "mlp"},
    )
    for number, other in enumerate(others, start=2):
        make(other).start()
        assert len(list(tmp_path.iterdir())) == number, other


def test_augmentation_reaches_experts_and_students(make):
    plain, augmented = (Moment.of(make(options)) for options in ({}, {"aug": "dsa", "aug.strategy": "crop"}))
    assert torch.equal(plain.state.trajectories[0, 0], augmented.state.trajectories[0, 0])
    assert not torch.allclose(plain.state.trajectories[0, 3], augmented.state.trajectories[0, 3])
    along_plain = augmented._replace(state=plain.state)
    assert along_plain.objective() != pytest.approx(plain.objective(), rel=1e-6)
    assert along_plain.objective() == along_plain.objective()


def test_the_learned_step_size_stands_in_the_set(make):
    job = make({"loss.step_size": 0.1, "loss.step_size_rate": 0.01, "run.outer_loops": 5, "run.image_rate": 0.01})
    losses = []
    s = job.condense(watch=lambda report: losses.append(report.loss))
    assert len(losses) == 5
    assert s.provenance.learned["step_size"] != pytest.approx(0.1, abs=1e-4)


def test_a_way_beyond_the_experts_end_is_refused(make):
    with pytest.raises(DccError, match=r"loss.latest_start=1 and loss.span=3 go beyond the 3 epochs of the experts"):
        make({"loss.span": 3}).start()
