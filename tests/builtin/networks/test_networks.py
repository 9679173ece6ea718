"""The field's networks: the layers that its tables agree on, seeded, and twice differentiable."""

import pytest
import torch
from torch import nn

from dcc_core import DccError
from dcc_plugins.networks import pooling
from dcc_plugins.networks.convnet import default_depth
from dcc_plugins.networks.in_timm import NETWORKS
from dcc_plugins.networks.pooling import AveragePool

BY_TITLE = {cls.title: cls for cls in NETWORKS}
COLOUR, GREY = (3, (32, 32)), (1, (28, 28))


def build(options=None, channels=3, classes=10, size=(32, 32), seed=0, title="convnet"):
    network = BY_TITLE[title](**(options or {}))
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


FORMS = {
    "small": {},
    "in parts": {"IN_PARTS": 0},
    "in rows": {"IN_PARTS": 0, "IN_ROWS": 0},
    "on a GPU": {"on_cpu": lambda maps: False},
}
"""What decides the form in which maps are pooled."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (2, 3)])
def test_average_pooling_is_torchs(monkeypatch, size, form):
    """Value, first and second derivatives, odd sides cut off as torch does; in a stack as well."""
    for name, value in FORMS[form].items():
        monkeypatch.setattr(pooling, name, value)
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(AveragePool()(maps), nn.functional.avg_pool2d(maps, 2), atol=1e-14)
    assert torch.autograd.gradcheck(AveragePool(), maps)
    assert torch.autograd.gradgradcheck(lambda m: AveragePool()(m).square(), maps)
    stacked = torch.func.vmap(torch.func.grad(lambda m: AveragePool()(m).square().sum()))(maps)
    assert torch.equal(stacked, torch.autograd.grad(AveragePool()(maps).square().sum(), maps)[0])


def test_all_derivatives_of_pooling_have_the_same_bytes(monkeypatch):
    maps = torch.randn(3, 4, 6, 8, requires_grad=True)
    gradients = []
    for form in ("small", "in parts", "in rows"):
        for name, value in FORMS[form].items():
            monkeypatch.setattr(pooling, name, value)
        gradients.append(torch.autograd.grad(AveragePool()(maps).sin().sum(), maps)[0])
    assert torch.equal(gradients[0], gradients[1]) and torch.equal(gradients[1], gradients[2])


def test_maps_that_cannot_be_halved_are_refused():
    maps = torch.zeros(2, 3, 8, 1)
    with pytest.raises(ValueError, match="cannot be halved"):
        AveragePool()(maps)


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


def traced(network, channels, size):
    """Convolutions as (out, in, kernel, side of their maps), linear layers as (out, in), in order of work."""
    seen = []

    def look(layer, _, output):
        o, i, *kernel = layer.weight.shape
        seen.append((o, i, kernel[0], output.shape[-1]) if kernel else (o, i))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(look)
    logits = network(torch.zeros(2, channels, *size))
    assert logits.shape == (2, 10)
    return seen


def vgg(plan, channels):
    """The convolutions that a plan such as `64 M 128 M` describes, for maps of 32."""
    layers, side, inputs = [], 32, channels
    for word in plan.split():
        if word == "M":
            side //= 2
        else:
            layers.append((int(word), inputs, 3, side))
            inputs = int(word)
    return [*layers, (10, 512)]


def resnet(blocks, channels, sides, head):
    """Stem, then per block two 3×3 convolutions and, where the width changes, a 1×1 shortcut."""
    layers, inputs = [(64, channels, 3, sides[0])], 64
    for width, count, side in zip((64, 128, 256, 512), blocks, sides, strict=True):
        for block in range(count):
            layers += [(width, inputs, 3, side), (width, width, 3, side)]
            if block == 0 and width != inputs:
                layers.append((width, inputs, 1, side))
            inputs = width
    return [*layers, (10, head)]


def described(title, channels, size):
    """The layers of the field's descriptions."""
    grey = channels == 1
    plans = {
        "vgg11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
        "vgg13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
        "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
        "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
    }
    sides = (28, 14, 7, 4) if grey else (32, 16, 8, 4)
    match title:
        case "convnet":
            return [(128, channels, 3, 32), (128, 128, 3, 16), (128, 128, 3, 8), (10, 128 * 4 * 4)]
        case "lenet":
            return [(6, channels, 5, 28), (16, 6, 5, 10), (120, 400), (84, 120), (10, 84)]
        case "alexnet":
            return [
                *((128, channels, 5, 32), (192, 128, 5, 16)),
                *((256, 192, 3, 8), (192, 256, 3, 8), (192, 192, 3, 8), (10, 192 * 16)),
            ]
        case "mlp":
            return [(128, channels * size[0] * size[1]), (128, 128), (10, 128)]
        case "resnet18":
            return resnet((2, 2, 2, 2), channels, sides, 512)
        case "resnet34":
            return resnet((3, 4, 6, 3), channels, sides, 512)
        case _:
            return vgg(plans[title], channels)


def parameters(layers, norms):
    """Weights of these layers; biases of all but a ResNet's convolutions; two per channel of a norm."""
    total = 0
    for layer in layers:
        out, inputs, kernel = (*layer[:3], 1) if len(layer) == 2 else layer[:3]
        total += out * inputs * kernel**2
        total += out if len(layer) == 2 or norms != "no bias" else 0
        total += 2 * out if len(layer) == 4 and norms else 0
    return total


NORMS = {"lenet": "", "alexnet": "", "mlp": "", "resnet18": "no bias", "resnet34": "no bias"}


@pytest.mark.parametrize(("channels", "size"), [COLOUR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("title", [t for t in BY_TITLE if t != "resnet18-ap"])
def test_the_layers_are_those_of_the_fields_tables(title, channels, size):
    network = build(channels=channels, size=size, title=title)
    expected = described(title, channels, size)
    assert traced(network, channels, size) == expected
    assert sum(p.numel() for p in network.parameters()) == parameters(expected, NORMS.get(title, "all"))


@pytest.mark.parametrize(
    ("channels", "size", "sides", "last"), [(*COLOUR, (32, 16, 8, 4), 4), (*GREY, (28, 14, 7, 3), 3)]
)
def test_resnet18_ap_averages_where_resnet18_strides(channels, size, sides, last):
    """Convolutions keep the side, a 2×2 average follows the first of a stage, and no global average ends it."""
    network = build(channels=channels, size=size, title="resnet18-ap")
    expected = []
    for out, inputs, kernel, side in resnet((2, 2, 2, 2), channels, sides, 0)[:-1]:
        entering = inputs != out and inputs != channels
        expected.append((out, inputs, kernel, sides[sides.index(side) - 1] if entering else side))
    assert traced(network, channels, size) == [*expected, (10, 512 * last * last)]
    assert not any(m.stride != (1, 1) for m in network.modules() if isinstance(m, nn.Conv2d))


def test_counts_that_are_known():
    """Published parameter counts of the field's networks at 32×32 in colour."""
    known = {"convnet": 320_010, "lenet": 62_006, "alexnet": 1_872_202, "vgg11": 9_231_114, "resnet18": 11_173_962}
    assert {t: sum(p.numel() for p in build(title=t).parameters()) for t in known} == known


@pytest.mark.parametrize("title", ["vgg11", "resnet18", "resnet34", "resnet18-ap"])
def test_norms_by_option(title):
    def norms(options):
        modules = build(options, title=title).modules()
        return {type(m) for m in modules if isinstance(m, nn.GroupNorm | nn.BatchNorm2d)}

    assert norms({}) == {nn.GroupNorm}
    assert norms({"norm": "batch"}) == {nn.BatchNorm2d}
    assert norms({"norm": "none"}) == set()


OBLONG = ("convnet", "lenet", "alexnet", "vgg11", "resnet18", "mlp")


@pytest.mark.parametrize(
    ("title", "size"), [*((t, (32, 32)) for t in BY_TITLE), *((t, (48, 40)) for t in OBLONG)], ids=str
)
def test_every_network_keeps_the_contract(title, size):
    """Any size; the head on the features gives the logits; twice differentiable in every image; seeded."""
    network, again = (build(channels=2, size=size, title=title, seed=3).double().eval() for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 2, *size, generator=generator, dtype=torch.float64).requires_grad_()
    logits, features = network(images), network.embed(images)
    assert features.shape == (2, network.num_features)
    assert torch.allclose(network.head(features), logits)
    gradient = torch.autograd.grad(logits.logsumexp(dim=1).sum(), list(network.parameters()), create_graph=True)
    (second,) = torch.autograd.grad(sum(g.square().sum() for g in gradient), images)
    assert torch.isfinite(second).all()
    assert (second.abs().amax(dim=(1, 2, 3)) > 0).all()


SMALLEST = {"convnet": 2, "lenet": 16, "alexnet": 8, "vgg11": 32, "resnet18": 9, "resnet18-ap": 16}


@pytest.mark.parametrize(("title", "side"), SMALLEST.items())
def test_images_too_small_are_refused_with_the_smallest_size(title, side):
    below = side - 1
    with pytest.raises(
        DccError, match=f"{title} needs images of at least {side}×{side} pixels; these are {below}×{below}"
    ):
        build(size=(below, below), title=title)
    network = build(size=(side, side), title=title)
    images = torch.randn(8, 3, side, side, generator=torch.Generator().manual_seed(0))
    assert network.embed(images).std(dim=0).max() > 0


def test_what_else_to_do_about_small_images():
    with pytest.raises(DccError, match=r"at least 32×32 pixels; these are 8×8\. Give a smaller -o arch\.depth"):
        build({"depth": 5}, size=(8, 8))
    with pytest.raises(DccError, match=r"Smaller ones take -o arch\.norm=batch"):
        build(size=(8, 8), title="resnet18")
    assert build({"norm": "batch"}, size=(8, 8), title="resnet18")(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("title", list(BY_TITLE))
def test_timm_knows_them_too(title):
    """Under `dcc_`, with the options of the architecture and timm's methods, seeded as timm's models are."""
    import timm

    name = f"dcc_{title.replace('-', '_')}"
    assert timm.is_model(name)
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=7, in_chans=1)
    torch.manual_seed(0)
    again = timm.create_model(name, num_classes=7, in_chans=1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    images = torch.randn(2, 1, 32, 32)
    maps = model.forward_features(images)
    assert torch.equal(model.forward_head(maps), model(images))
    assert torch.equal(model.get_classifier()(model.forward_head(maps, pre_logits=True)), model(images))
    model.reset_classifier(3)
    assert (model(images).shape, model.num_classes) == ((2, 3), 3)
    model.reset_classifier(0)
    assert model(images).shape == (2, model.num_features)


def test_timms_arguments_reach_the_networks():
    import timm

    model = timm.create_model("dcc_convnet", num_classes=10, in_chans=1, img_size=28, norm="batch", width=16)
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)] == [16, 16, 16]
    with pytest.raises(TypeError, match="widht"):
        timm.create_model("dcc_convnet", widht=16)
    with pytest.raises(DccError, match="dcc_convnet has no pretrained weights"):
        timm.create_model("dcc_convnet", pretrained=True)
