"""Group norm with a second derivative in closed form equals torch's, in value and in both derivatives."""

import pytest
import torch
from torch.nn import functional as F

from dcc_core.compute import group_norm

GENERATOR = torch.Generator().manual_seed(0)


def numbers(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64).requires_grad_()


def two_derivatives(norm, inputs, groups):
    """Value, first derivatives and those of a function of them; tensors that do not matter are zero."""
    maps = inputs[0]
    result = norm(maps, groups, *inputs[1:])
    slope = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view(result.shape)
    first = torch.autograd.grad((result.sin() * slope).sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum((g.cos() * g).sum() for g in first), inputs)
    return [result, *first, *second]


@pytest.mark.parametrize("groups", [6, 3, 1])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 6, 2, 2), (2, 6, 7)])
def test_it_equals_torchs(groups, affine, shape):
    inputs = [numbers(*shape), *([numbers(6), numbers(6)] if affine else [])]
    found, expected = (two_derivatives(norm, inputs, groups) for norm in (group_norm, F.group_norm))
    for own, other in zip(found, expected, strict=True):
        assert torch.allclose(own, other, rtol=1e-12, atol=1e-12)


def test_second_derivatives_equal_finite_differences():
    inputs = (numbers(2, 4, 3, 3), numbers(4), numbers(4))
    assert torch.autograd.gradgradcheck(lambda x, w, b: group_norm(x, 2, w, b), inputs)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_one_of_the_first_derivatives_may_be_differentiated_alone(part):
    inputs = [numbers(2, 4, 3, 3), numbers(4), numbers(4)]
    found = []
    for norm in (group_norm, F.group_norm):
        first = torch.autograd.grad(norm(inputs[0], 2, *inputs[1:]).square().sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(first[part].square().sum(), inputs[0])[0])
    assert torch.allclose(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "maps",
    [
        numbers(2, 4, 3, 3).detach().to(memory_format=torch.channels_last),
        numbers(2, 4, 3, 3).detach().bfloat16(),
        numbers(0, 4, 3, 3).detach(),
    ],
    ids=["channels last", "another type", "no images"],
)
def test_other_maps_are_torchs(maps):
    weight, bias = numbers(4).detach(), numbers(4).detach()
    if maps.dtype == torch.bfloat16:
        weight, bias = weight.float(), bias.float()
    assert torch.equal(group_norm(maps, 2, weight, bias), F.group_norm(maps, 2, weight, bias))


def test_matching_runs_it_instead_of_torchs(make_job, monkeypatch):
    from dcc_core.engine import Network, update
    from dcc_core.engine.step import Step

    job = make_job({"loss": "collective-bare"})
    run, synthetic, state = job.start()
    step = Step(run, synthetic, outer=0, inner=0, network=Network(run, 0).module)
    with torch.profiler.profile() as profile:
        update(step, job.config.loss, state)
    names = {event.name for event in profile.events()}
    assert "_DerivativeBackward" in names and "NativeGroupNormBackwardBackward0" not in names
