"""What each optimiser of the images does with their gradients, written out."""

from dataclasses import dataclass
from typing import final

import pytest
import torch

from dcc_core import MatchingLoss, Part, State
from dcc_core.engine import optimise


def move_by_adam(image, gradients, rate, momentum):
    mean = square = torch.zeros_like(image)
    for t, g in enumerate(gradients, start=1):
        mean = momentum * mean + (1 - momentum) * g
        square = 0.999 * square + 0.001 * g**2
        image = image - rate * (mean / (1 - momentum**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-8)
    return image


def move_by_normalised(image, gradients, rate, momentum):
    velocity = torch.zeros_like(image)
    for g in gradients:
        velocity = momentum * velocity + g / (g**2).mean().sqrt()
        image = image - rate * velocity
    return image


MOVES = {"adam": move_by_adam, "normalised": move_by_normalised}


@final
@dataclass(frozen=True, kw_only=True)
class Bowl(MatchingLoss):
    """Has its minimum at zero. scale: of the objective."""

    scale: float = 1.0

    def terms(self, step, state: State):
        yield Part(self.scale * step.synthetic.batch(*step.classes).images.square().mean())


def condense(make_job, optimiser, loss):
    """Images before and after three updates, and the gradient of each."""
    options = {"run.outer_loops": 3, "run.inner_loops": 1, "run.network_steps": 0, "run.image_momentum": 0.7}
    run, synthetic, state = make_job({**options, "run.image_optimiser": optimiser, "run.image_rate": 0.05}).start()
    before, gradients = synthetic.stored["images"].clone(), []
    optimise(run, loss, synthetic, state, watch=lambda report: gradients.append(report.gradients["images"].clone()))
    return before, synthetic.stored["images"], gradients


@pytest.mark.parametrize("optimiser", MOVES)
def test_an_update_is_that_of_the_formula(make_job, optimiser):
    before, after, gradients = condense(make_job, optimiser, Bowl())
    assert len(gradients) == 3 and not torch.equal(gradients[0], gradients[2])
    torch.testing.assert_close(after, MOVES[optimiser](before, gradients, 0.05, 0.7), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("optimiser", MOVES)
def test_the_size_of_the_loss_does_not_matter(make_job, optimiser):
    images = [condense(make_job, optimiser, Bowl(scale=scale))[1] for scale in (1.0, 1000.0)]
    torch.testing.assert_close(*images, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loops", [10, 1000])
def test_their_rate_is_the_same_for_every_loss_and_length(configure, loops):
    def rate(**options):
        return configure({"run.outer_loops": loops, **options}).image_rate

    for optimiser in MOVES:
        rates = {rate(loss=loss, **{"run.image_optimiser": optimiser}) for loss in ("class-wise", "collective", "dm")}
        assert len(rates) == 1
        assert rate(**{"run.image_optimiser": optimiser, "run.image_rate": 0.7}) == 0.7
