"""Gradients of upper layers alone."""

import pytest
import torch

from dcc_core import DccError
from dcc_core.testing import LossConformance, Moment, job_of, toys


class TestUpper(LossConformance):
    component, options = "upper", {"of": "class-wise"}


def job(**options):
    small = {"data": "blobs", "arch": "convnet", "arch.width": 4, "arch.depth": 2, "run.precision": "float64"}
    return job_of({**small, **options}, toys)


@pytest.mark.parametrize("of", ["class-wise", "collective-bare"])
def test_the_lowest_layers_play_no_part(of):
    """The mean squared distance of weights is a sum over layers: what is missing is that of the first block."""
    whole, plain = (Moment.of(job(**{"loss": of, "loss.distance": "mse"})) for _ in range(2))
    upper = Moment.of(job(**{"loss": "upper", "loss.of": of, "loss.of.distance": "mse"}))
    for p in list(plain.step.network.parameters())[:4]:
        p.requires_grad_(False)
    assert upper.objective() == pytest.approx(plain.objective(), rel=1e-12)
    mine, theirs = (moment.gradient()["images"] for moment in (upper, plain))
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=0)
    assert whole.objective() > 1.01 * upper.objective()


def test_networks_train_as_a_whole():
    moment = Moment.of(job(**{"loss": "upper", "loss.of": "collective-bare"}))
    moment.objective()
    assert all(p.requires_grad for p in moment.step.network.parameters())


def test_a_layer_has_to_be_left():
    moment = Moment.of(job(**{"loss": "upper", "loss.of": "collective-bare", "loss.skip": 3}))
    with pytest.raises(DccError, match=r"loss\.skip=3 leaves no layer to match: the network has 3"):
        moment.objective()
