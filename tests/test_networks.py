"""ConvNet: the layers that the paper's field agrees on, seeded, and twice differentiable."""

import pytest
import torch

from dcc_core import DccError
from dcc_plugins.networks import ConvNet, default_depth


def build(options=None, channels=3, classes=10, size=(32, 32), seed=0):
    network = ConvNet(**(options or {}))
    generator = torch.Generator().manual_seed(seed)
    return network.build(channels=channels, classes=classes, size=size, generator=generator)


def shapes(network):
    return [tuple(p.shape) for p in network.parameters()]


def test_convnet_3_128_at_32():
    network = build()
    block = [(128, 128, 3, 3), (128,), (128,), (128,)]
    first = [(128, 3, 3, 3), (128,), (128,), (128,)]
    assert shapes(network) == [*first, *block, *block, (10, 2048), (10,)]
    assert sum(p.numel() for p in network.parameters()) == 320_010
    assert network.embed(torch.zeros(2, 3, 32, 32)).shape == (2, 128 * 4 * 4)


def test_one_channel_28_is_padded_to_32():
    network = build(channels=1, size=(28, 28))
    assert shapes(network)[-2:] == [(10, 2048), (10,)]
    assert network.features[0](torch.zeros(1, 1, 28, 28)).shape[-2:] == (32, 32)
    assert sum(p.numel() for p in network.parameters()) == 317_706


def test_instance_norm_is_affine_and_per_channel():
    norm = build().features[1]
    out = norm(torch.randn(2, 128, 8, 8) * 3 + 1)
    assert norm.affine
    assert out.mean(dim=(2, 3)).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("side", "depth"), [(2, 1), (4, 1), (8, 2), (16, 3), (28, 3), (32, 3), (64, 4), (128, 5), (224, 5)]
)
def test_depth_follows_the_image(side, depth):
    assert default_depth(side) == depth


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group", "none"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "sigmoid"])
@pytest.mark.parametrize("pooling", ["average", "max", "none"])
def test_variants_differentiate_twice(norm, activation, pooling):
    options = {"depth": 1, "width": 8, "norm": norm, "activation": activation, "pooling": pooling}
    network = build(options, size=(8, 12)).eval()
    images = torch.randn(3, 3, 8, 12, requires_grad=True)
    loss = network(images).logsumexp(dim=1).sum()
    gradient = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
    (second,) = torch.autograd.grad(sum(g.square().sum() for g in gradient), images)
    assert torch.isfinite(second).all()
    assert second.abs().max() > 0


def test_initialisation_depends_on_its_generator_alone():
    before = torch.get_rng_state()
    first = build(seed=1)
    torch.manual_seed(99)
    torch.rand(3)
    second, other = build(seed=1), build(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    torch.set_rng_state(before)
    build(seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_images_too_small_are_refused_with_the_smallest_size():
    with pytest.raises(DccError, match="depth 3 needs images of at least 8×8 pixels; these are 4×4"):
        build({"depth": 3}, size=(4, 4))
