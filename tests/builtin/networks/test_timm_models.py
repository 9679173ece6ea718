"""Any classifier of timm, at 32×32: options, stems, features, and what is said where one does not fit."""

import random

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dcc_core import DccError
from dcc_core.compute import PlainOperations
from dcc_plugins.networks.timm_models import TimmModel, names

FAMILIES = [
    "resnet10t",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "swin_s3_tiny_224",
    "mobilenetv3_small_050",
    "efficientnet_b0",
    "mixer_s32_224",
    "regnetx_002",
    "densenet121",
]


def build(model, size=(32, 32), channels=3, classes=10, seed=0, stem="small", **arguments):
    architecture = TimmModel(model=model, stem=stem, arguments=arguments)
    generator = torch.Generator().manual_seed(seed)
    return architecture.build(channels=channels, classes=classes, size=size, generator=generator)


@pytest.mark.parametrize("model", FAMILIES)
def test_every_family_keeps_the_contract(model):
    """Seeded from its generator alone; the head on the features gives the logits; twice differentiable."""
    before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    network, again, other = (build(model, seed=s).double().eval() for s in (3, 3, 4))
    assert (torch.get_rng_state(), random.getstate(), str(np.random.get_state()))[1:] == before[1:]
    assert torch.equal(torch.get_rng_state(), before[0])
    pairs = list(zip(network.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64).requires_grad_()
    with PlainOperations():
        logits, features = network(images), network.embed(images)
    assert features.ndim == 2
    assert torch.allclose(network.model.get_classifier()(features), logits)
    gradient = torch.autograd.grad(logits.logsumexp(dim=1).sum(), list(network.parameters()), create_graph=True)
    (second,) = torch.autograd.grad(sum(g.square().sum() for g in gradient), images)
    assert torch.isfinite(second).all()
    assert (second.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_small_images_get_small_patches(caplog):
    """As many patches as at the model's own size at most; `original` leaves the stem as it is."""
    caplog.set_level("INFO", logger="dcc")
    assert build("vit_tiny_patch16_224", size=(40, 40)).model.patch_embed.patch_size == (4, 4)
    assert build("vit_tiny_patch16_224", size=(40, 40), channels=1)(torch.zeros(1, 1, 40, 40)).shape == (1, 10)
    assert "vit_tiny_patch16_224: patches of 4×4 for 40×40 images" in caplog.text
    assert build("vit_tiny_patch16_224", size=(48, 48), stem="original").model.patch_embed.patch_size == (16, 16)
    assert build("vit_tiny_patch16_224", size=(48, 48), patch_size=8).model.patch_embed.patch_size == (8, 8)
    assert build("convnext_atto").model.stem[0].stride == (1, 1)
    assert build("convnext_atto", size=(224, 224)).model.stem[0].stride == (4, 4)


def test_shapes_that_timm_computes_with_tensors_are_found_on_the_cpu(monkeypatch):
    """As an older timm does for RegNets; global randomness is left alone."""
    create = timm.create_model

    def computing(model, **arguments):
        torch.arange(3).tolist()  # which tensors of shapes alone cannot
        return create(model, **arguments)

    monkeypatch.setattr(timm, "create_model", computing)
    before = torch.get_rng_state()
    assert build("resnet10t", size=(44, 44))(torch.zeros(2, 3, 44, 44)).shape == (2, 10)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_without_a_stem_for_small_images_warns_once(caplog):
    for seed in (0, 1):
        build("resnet10t", size=(36, 36), seed=seed)
    build("resnet10t", size=(224, 224))
    words = "timm/resnet10t is made for 176×176 images and has no stem for small ones: 36×36 images lose detail"
    assert [r.message for r in caplog.records] == [words]


def test_a_resnet_that_looks_at_a_corner_says_how_to_mend_it(caplog):
    """An untrained resnet18 sees the rest of a 32×32 image only with shortcuts that average."""

    def seen(**arguments):
        images = torch.ones(1, 3, 32, 32, requires_grad=True)
        build("resnet18", classes=7, **arguments).eval().embed(images).sum().backward()
        return bool(images.grad[..., 16:, 16:].any())

    assert (seen(), seen(avg_down=True)) == (False, True)
    assert ["-o arch.avg_down=true" in r.message for r in caplog.records] == [True, False]


def test_arguments_reach_the_model():
    network = build("vit_tiny_patch16_224", drop_path_rate=0.1, depth=2)
    assert len(network.model.blocks) == 2
    assert network.model.blocks[1].drop_path1.drop_prob == pytest.approx(0.1)


def test_options_pass_through_a_configuration(configure):
    options = {"arch": "timm/vit_tiny_patch16_224", "arch.drop_path_rate": "0.1", "arch.depth": "2"}
    config = configure({**options, "arch.qkv_bias": "false", "arch.act_layer": "relu"})
    assert config.arch.arguments == {"drop_path_rate": 0.1, "depth": 2, "qkv_bias": False, "act_layer": "relu"}
    table = {k: v for k, v in config.table().items() if k.startswith("arch")}
    assert table["arch.drop_path_rate"] == 0.1
    assert table["arch.model"] == "vit_tiny_patch16_224"
    assert configure(table).arch == config.arch


def test_suggestions_for_another_architecture_are_left_out(configure):
    """The toy data suggest a depth and a width of ConvNets."""
    assert configure({"arch": "timm/resnet10t"}).arch.arguments == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": "timm/resnt18"}, "arch: timm .* has no model 'resnt18'. Did you mean 'resnet18'"),
        ({"arch": "timm/hf-hub:a/b"}, "arch: timm .* has no model 'hf-hub:a/b'"),
        (
            {"arch": "timm/resnet10t", "arch.drop_rat": 0.1},
            "arch: timm/resnet10t does not take drop_rat=0.1: .*unexpected keyword argument 'drop_rat'. "
            "Did you mean 'drop_rate'?",
        ),
        ({"arch": "timm/resnet10t", "arch.img_size": 32}, "arch: img_size is the data's; it is no option"),
        ({"arch": "timm/resnet10t", "arch.pretrained": True}, "arch: pretrained is false: networks begin with random"),
        (
            {"arch": "timm/resnet10t", "arch.act_layer": "none"},
            "arch: act_layer=none: timm leaves out arguments that are",
        ),
        ({"arch": "timm/resnet10t", "arch.x": float("inf")}, "arch.x: inf is not a finite number, true, false"),
        ({"arch": "timm/resnet10t", "arch.norm_layer": nn.BatchNorm2d}, "arch.norm_layer: .* is not a finite number"),
        ({"arch": "timm/resnet10t.bogus"}, "arch: timm/resnet10t.bogus cannot be built: Invalid pretrained tag"),
        ({"arch": "timm/dcc_convnet"}, "'dcc_convnet' is a network of dcc in timm's registry: use dcc's own name"),
        ({"arch": "timm/resnet10t", "arch.stem": "tiny"}, "arch.stem: 'tiny' is not one of small, original"),
        ({"arch": "resnet50"}, "no architecture named 'resnet50'. Did you mean 'timm/resnet50'?"),
        ({"arch": "vit_tiny_patch16_225"}, "no architecture named .* Did you mean 'timm/vit_tiny_patch16_224'?"),
    ],
)
def test_what_timm_does_not_know_is_told_before_any_data_are_loaded(configure, options, message):
    with pytest.raises(DccError, match=message):
        configure(options)


def test_pretrained_weights_are_timms_and_asked_for_alone(monkeypatch):
    asked = []

    def create(model, *, pretrained=False, **arguments):
        asked.append(pretrained)
        if pretrained:
            raise OSError("no network")
        return made(model, **arguments)

    made = timm.create_model
    how = {"channels": 3, "classes": 10, "size": (32, 32), "generator": torch.Generator()}
    monkeypatch.setattr(timm, "create_model", create)
    TimmModel(model="resnet10t").build(**how)
    assert not any(asked)
    with pytest.raises(DccError, match=r"timm/resnet10t: its pretrained weights cannot be had: .*no network"):
        TimmModel(model="resnet10t", weights="pretrained").build(**how)
    assert asked[-1]


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        ("inception_v3", (32, 32), r"inception_v3 does not take 32×32 images: .* The smallest that it takes are 75×75"),
        ("vit_tiny_patch16_224", (3, 3), r"The smallest that it takes are 16×16"),
        ("nest_tiny", (40, 64), r"nest_tiny does not take 40×64 images: .* It takes 16×16"),
    ],
)
def test_images_that_do_not_fit(model, size, message):
    with pytest.raises(DccError, match=message):
        build(model, size=size, stem="original")


class Headless(nn.Module):
    """A model that stops at its features."""

    pretrained_cfg = {"input_size": (3, 32, 32)}  # noqa: RUF012

    def __init__(self, **_):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward_features(self, images):
        return self.layer(images)

    def forward_head(self, features, pre_logits=False):
        return features

    def forward(self, images):
        return self.forward_features(images)


def test_a_model_without_a_classifier_head(monkeypatch):
    monkeypatch.setattr(timm, "create_model", lambda name, **arguments: Headless(**arguments))
    with pytest.raises(DccError, match="timm/resnet18 does not take 32×32 images: it has no classifier head"):
        build("resnet18", in_test=True)


def test_describe_names_the_arguments():
    text = TimmModel(model="resnet10t").describe()
    assert "resnet10t: ResNet, 5.4 million parameters with 1000 classes, made for 176×176 images" in text
    assert "drop_path_rate=0.0" in text
    assert "in_chans" not in text


def test_names_are_timms():
    assert names() == timm.list_models()
