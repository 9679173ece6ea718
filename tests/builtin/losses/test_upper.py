"""Gradients of upper layers alone."""

import pytest

from dcc_core import DccError
from dcc_core.testing import LossConformance, Moment, job_of, toys


class TestUpper(LossConformance):
    component, options = "upper", {"of": "class-wise"}


def job(**options):
    small = {"data": "blobs", "arch": "convnet", "arch.width": 4, "arch.depth": 2, "run.precision": "float64"}
    return job_of({**small, **options}, toys)


@pytest.mark.parametrize("skip", [1, 2])
@pytest.mark.parametrize("of", ["class-wise", "collective-bare"])
def test_the_lowest_layers_play_no_part(of, skip):
    """The squared distance is a sum over weights: what is missing is that of the first blocks', four tensors each."""
    how = {"distance": "mse"} | ({"reduction": "sum"} if of == "collective-bare" else {})
    whole = Moment.of(job(**{"loss": of, **{f"loss.{key}": value for key, value in how.items()}}))
    inner = {f"loss.of.{key}": value for key, value in how.items()}
    upper = Moment.of(job(**{"loss": "upper", "loss.of": of, "loss.skip": skip, **inner}))
    if of == "class-wise":
        pairs = [(c.real, c.synthetic) for c in whole.step.class_gradients()]
    else:
        summed = whole.step.summed_gradients()
        pairs = [(summed.real, summed.synthetic)]
    missing = sum(
        (r - s).square().sum() for real, syn in pairs for r, s in list(zip(real, syn, strict=True))[: 4 * skip]
    )
    assert upper.objective() == pytest.approx(whole.objective() - missing.item(), rel=1e-9)
    assert missing > 0.01 * whole.objective()


@pytest.mark.parametrize("around", ["representative", "plain"])
def test_a_loss_that_makes_a_view_of_the_step_is_served(around):
    """The gradient with the layers of the whole network has been asked for before, and is afterwards."""
    wrapped = {"loss.of": "representative", "loss.of.of": "collective-bare"}
    own = wrapped if around == "representative" else {"loss.of": "collective-bare"}
    moment = Moment.of(job(**{"loss": "upper", **own}))
    before = len(moment.step.summed_gradients().real)
    assert moment.gradient()["images"].abs().max() > 0
    assert len(moment.step.summed_gradients().real) == before


@pytest.mark.parametrize("of", ["dm", "early"])
def test_a_loss_without_gradients_of_the_network_is_refused(of):
    inner = {"loss.of.of": "collective-bare", "loss.of.networks": 1, "loss.of.epochs": 0} if of == "early" else {}
    moment = Moment.of(job(**{"loss": "upper", "loss.of": of, **inner}))
    with pytest.raises(DccError, match=r"takes no gradients of the network it is given.*put upper inside"):
        moment.objective()


def test_networks_train_as_a_whole():
    moment = Moment.of(job(**{"loss": "upper", "loss.of": "collective-bare"}))
    moment.objective()
    assert all(p.requires_grad for p in moment.step.network.parameters())


def test_a_layer_has_to_be_left():
    moment = Moment.of(job(**{"loss": "upper", "loss.of": "collective-bare", "loss.skip": 3}))
    with pytest.raises(DccError, match=r"loss\.skip=3 leaves no layer to match: the network has 3"):
        moment.objective()
