"""dcc-mtt: trajectories of experts, and students that are to follow them."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent / "plugins_contrib" / "dcc-mtt"))

import dcc_mtt
import dcc_mtt_manifest
import toys

import dcc_plugins.manifest
from dcc_core import DccError, Registry
from dcc_core.config import resolve
from dcc_core.engine import Network
from dcc_core.job import Job
from dcc_core.registry import Origin
from dcc_core.settings import Rank, Settings
from dcc_core.step import Step


class Toys:
    """Without their loss of the same name."""

    dcc_datasets = staticmethod(toys.dcc_datasets)
    dcc_architectures = staticmethod(toys.dcc_architectures)


REGISTRY = Registry(
    [dcc_plugins.manifest, Toys(), dcc_mtt_manifest],
    [Origin("builtin"), Origin("toys"), Origin("mtt", "dcc-mtt", "0.1.0")],
)
SHORT = {"loss.experts": 2, "loss.expert_epochs": 3, "loss.latest_start": 1, "loss.student_steps": 4}


@pytest.fixture
def make(tmp_path):
    """A job that matches trajectories on toy data, in float64, with its experts below `tmp_path`."""

    def build(options=None, **more):
        settings = Settings()
        settings.add({"data": "blobs", "loss": "mtt", "arch": "linear", "run.precision": "float64"}, "test", Rank.FILE)
        settings.add({**SHORT, "loss.cache": str(tmp_path), **(options or {}), **more}, "test", Rank.OPTION)
        return Job(resolve(REGISTRY, settings), REGISTRY)

    return build


def first_step(job, outer=0):
    run, synthetic, state = job.start()
    return Step(run, synthetic, outer=outer, inner=0, network=Network(run, outer).matching), synthetic, state


def value(job, step, state):
    (term,) = job.config.loss.terms(step, state)
    return term.value


@pytest.mark.parametrize("batch", [None, 2])
def test_the_objective_is_equation_2(make, batch):
    """The student by hand: a linear network's gradient, step after step."""
    job = make({"run.ipc": 2, "loss.student_batch": batch, "loss.step_size": 0.3})
    step, synthetic, state = first_step(job)
    place = step.generator("start")
    expert = int(torch.randint(2, (), generator=place))
    t = int(torch.randint(2, (), generator=place))
    start, target = state.trajectories[expert, t], state.trajectories[expert, t + 2]
    inputs = 2 * 8 * 8
    w, b = start[: 3 * inputs].view(3, inputs).clone(), start[3 * inputs :].clone()
    whole = synthetic.batch(0, 1, 2)
    for number in range(4):
        chosen = torch.randperm(6, generator=step.generator("student", number))[:batch]
        x, y = whole.images.detach()[chosen].flatten(1), F.one_hot(whole.labels[chosen], 3).double()
        error = ((x @ w.T + b).softmax(dim=1) - y) / len(chosen)
        w, b = w - 0.3 * error.T @ x, b - 0.3 * error.sum(dim=0)
    arrived = torch.cat([w.flatten(), b])
    expected = (arrived - target).square().sum() / (start - target).square().sum()
    assert value(job, step, state).item() == pytest.approx(expected.item(), rel=1e-12)


def test_derivatives_reach_images_and_step_size(make):
    job = make({"loss.step_size": 0.1})
    step, synthetic, state = first_step(job)
    torch.autograd.backward(value(job, step, state), inputs=synthetic.leaves())
    images, size = synthetic.stored["images"], synthetic.learned["step_size"]
    for tensor, place in ((images, (0, 1, 3, 4)), (images, (2, 0, 7, 0)), (size, ())):
        gradient, tiny = tensor.grad[place].item(), 1e-6
        values = []
        for change in (tiny, -tiny):
            tensor.detach()[place] += change
            values.append(value(job, step, state).item())
            tensor.detach()[place] -= change
        assert (values[0] - values[1]) / (2 * tiny) == pytest.approx(gradient, rel=1e-5)
        assert gradient != 0


def test_experts_are_networks_in_training(make):
    """Plain gradient descent on all real images, and the same for every set of a seed."""
    job = make({"loss.expert_rate": 0.05})
    run = job.context()
    found = first_step(job)[2].trajectories
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
    first = first_step(make())[2].trajectories
    assert len(list(tmp_path.iterdir())) == 1
    trained = dcc_mtt.train_on_real
    monkeypatch.setattr(dcc_mtt, "train_on_real", lambda *_, **__: pytest.fail("trained again"))
    assert torch.equal(first_step(make({"run.ipc": 2, "loss.span": 1}))[2].trajectories, first)
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
        first_step(make(other))
        assert len(list(tmp_path.iterdir())) == number, other


def test_augmentation_reaches_experts_and_students(make):
    plain, augmented = (
        first_step(make({"aug": name, "aug.strategy": "crop"} if name == "dsa" else {})) for name in ("none", "dsa")
    )
    assert torch.equal(plain[2].trajectories[0, 0], augmented[2].trajectories[0, 0])
    assert not torch.allclose(plain[2].trajectories[0, 3], augmented[2].trajectories[0, 3])
    job = make({"aug": "dsa", "aug.strategy": "crop"})
    same = value(job, augmented[0], plain[2]).item()
    assert same != pytest.approx(value(make(), plain[0], plain[2]).item(), rel=1e-6)
    assert same == value(job, augmented[0], plain[2]).item()


def test_the_learned_step_size_stands_in_the_set(make):
    job = make({"loss.step_size": 0.1, "loss.step_size_rate": 0.01, "run.outer_loops": 5, "run.image_rate": 0.01})
    losses = []
    s = job.condense(watch=lambda report: losses.append(report.loss))
    assert len(losses) == 5
    assert s.provenance.learned["step_size"] != pytest.approx(0.1, abs=1e-4)


def test_a_way_beyond_the_experts_end_is_refused(make):
    with pytest.raises(DccError, match=r"loss.latest_start=1 and loss.span=3 go beyond the 3 epochs of the experts"):
        make({"loss.span": 3}).start()
