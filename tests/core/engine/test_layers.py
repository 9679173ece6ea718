"""Class gradients in one pass through the layers equal those of autograd, class after class."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcc_core.compute.chunks import SECOND_ORDER, WEIGHTS, Chunks, Footprint
from dcc_core.compute.criterion import cross_entropy, hinge
from dcc_core.engine.gradients import WeightGradient
from dcc_core.engine.grouped_gradients import gradients_by_group, supports_grouping

WHOLE = Chunks(Footprint(largest=1, total=1, weights=1), torch.device("cpu"))
"""All images at once."""


class Everything(nn.Module):
    """Every known kind of layer, in uncommon forms; ends in logits (B, 3)."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2),
            nn.GroupNorm(2, 8),
            nn.Sigmoid(),
            nn.LayerNorm([4, 7]),
        )
        self.tokens = nn.Linear(28, 5)
        self.norm = nn.LayerNorm(5)
        self.head = nn.Linear(40, 3, bias=False)

    def forward(self, images):
        return self.head(F.silu(self.norm(self.tokens(self.maps(images).flatten(2)))).flatten(1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Everything().double()
    for p in network.parameters():
        nn.init.normal_(p, std=0.5)
    network.maps[1].running_mean.normal_()
    network.maps[1].running_var.uniform_(0.5, 2)
    return network.eval()


def some_images(n):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 2, 8, 8, generator=generator, dtype=torch.float64), torch.arange(n) % 3


@pytest.mark.parametrize("per_group", [1, 2])
@pytest.mark.parametrize("criterion", [cross_entropy, hinge])
@pytest.mark.parametrize("fixed", [0, 4])
def test_value_and_derivative_equal_autograds(network, per_group, criterion, fixed):
    """The gradients of three groups, and the derivative of a function of them with respect to the images.

    fixed: so many of the first weights do not train: those of two layers and half of a third.
    """
    images, labels = some_images(3 * per_group)
    weights = torch.linspace(0.5, 1.5, len(images), dtype=torch.float64)
    for p in list(network.parameters())[:fixed]:
        p.requires_grad_(False)
    parameters = [p for p in network.parameters() if p.requires_grad]

    def after_another(x):
        parts = zip(x.split(per_group), labels.split(per_group), weights.split(per_group), strict=True)
        losses = [(criterion(network(x), y) * w).sum() for x, y, w in parts]
        by_class = [torch.autograd.grad(loss, parameters, create_graph=True) for loss in losses]
        return [torch.stack(of_weight) for of_weight in zip(*by_class, strict=True)]

    def at_once(x):
        service = WeightGradient(network, criterion, WHOLE, by_layer=True)
        return service.by_group(x, labels, weights, 3)

    results = []
    for way in (after_another, at_once):
        x = images.clone().requires_grad_()
        gradients = way(x)
        curved = sum((torch.sin(g) * (k + 1)).sum() for k, g in enumerate(gradients))
        results.append((gradients, torch.autograd.grad(curved, x)[0]))
    for expected, found in zip(results[0][0], results[1][0], strict=True):
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, atol=1e-12)
    assert results[0][1].abs().max() > 1e-3
    assert torch.allclose(results[0][1], results[1][1], atol=1e-11)


class Odd(nn.Module):
    """A network whose weights are not used by one call of a known layer each."""

    def __init__(self, how):
        super().__init__()
        self.first, self.last = nn.Linear(128, 128), nn.Linear(128, 3)
        self.how = how
        if how == "a weight of its own":
            self.scale = nn.Parameter(torch.ones(128))
        if how in ("folded", "no say in the loss", "called by keyword"):
            self.idle = nn.Linear(128, 128)
        if how == "other padding":
            self.conv = nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")

    def forward(self, images):
        x = self.conv(images) if self.how == "other padding" else images
        x = torch.tanh(self.first(x.flatten(1)))
        match self.how:
            case "a weight of its own":
                x = x * self.scale
            case "called twice":
                x = torch.tanh(self.first(x))
            case "folded":
                x = self.idle(x.repeat(2, 1))[: len(x)]
            case "no say in the loss":
                self.idle(x)
            case "called by keyword":
                x = self.idle(input=x)
            case "used outside its layer":
                x = x + F.linear(x, self.first.weight)
        return self.last(x)


@pytest.mark.parametrize(
    "how",
    [
        "a weight of its own",
        "called twice",
        "used outside its layer",
        "other padding",
        "folded",
        "no say in the loss",
        "called by keyword",
    ],
)
def test_other_networks_are_found_out(how):
    torch.manual_seed(0)
    assert not supports_grouping(Odd(how).double().eval(), *some_images(2), cross_entropy)
    assert supports_grouping(Odd("").double().eval(), *some_images(2), cross_entropy)


def test_no_hook_stays(network):
    images, _ = some_images(2)
    with pytest.raises(RuntimeError, match="normalized_shape"):
        gradients_by_group(network, torch.sum, images[..., :4, :4], 2, graph=False)
    assert not any(m._forward_hooks for m in network.modules())


@pytest.mark.parametrize(("images", "groups"), [(1, 20), (4, 5), (5, 1), (50, 1)])
def test_groups_of_many_images_come_one_by_one(network, images, groups):
    service = WeightGradient(network, cross_entropy, WHOLE, by_layer=True)
    assert service.groups_at_once(images, (3, 32, 32)) == groups
    assert WeightGradient(network, cross_entropy, WHOLE).groups_at_once(images, (3, 32, 32)) == 1


def test_groups_keep_to_what_fits_into_memory(network):
    left = WEIGHTS * 1 + 12 * SECOND_ORDER
    chunks = Chunks(Footprint(largest=1, total=1, weights=1), torch.device("cpu"), memory=left)
    service = WeightGradient(network, cross_entropy, chunks, by_layer=True)
    assert service.groups_at_once(2, (3, 32, 32)) == 6
    assert service.groups_at_once(3, (3, 32, 32)) == 1


def test_class_gradients_come_in_chunks_with_the_same_result(make_job):
    """With toy classes of two images, whole chunks; the sum of distances and its derivative do not change."""
    import dataclasses

    from dcc_core.engine.image_update import update
    from dcc_core.engine.step import Step

    values = {}
    for by_layer in (True, False):
        job = make_job({"loss": "class-wise", "aug": "dsa", "run.ipc": 2})
        run, synthetic, state = job.start()
        assert run.by_layer
        run = dataclasses.replace(run, by_layer=by_layer)
        network = job.build(run.random.generator("network"))
        step = Step(run, synthetic, outer=0, inner=0, network=lambda network=network: network)
        assert [g.classes for g in step.class_gradients()] == ([(0, 1, 2)] if by_layer else [(0,), (1,), (2,)])
        values[by_layer] = update(step, job.config.loss, state), synthetic.stored["images"]
    assert values[True][0] == pytest.approx(values[False][0], abs=1e-10)
    assert torch.allclose(values[True][1], values[False][1], atol=1e-10)
