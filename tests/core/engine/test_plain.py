"""Matching needs second derivatives: operations that have none run in a form that has, or are named."""

from dataclasses import dataclass
from typing import final

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dcc_core import Architecture, DccError, seeded
from dcc_core.compute import PlainOperations
from dcc_core.engine.algorithm import optimise


def queries():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 2, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)]


OPERATIONS = {
    "scaled_dot_product_attention": (F.scaled_dot_product_attention, queries),
    "hardsigmoid": (F.hardsigmoid, lambda: [queries()[0]]),
}


def second_derivatives(operation, inputs):
    first = torch.autograd.grad(operation(*inputs).square().sum(), inputs, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in first), inputs)


@pytest.mark.parametrize("name", OPERATIONS)
def test_plain_forms_have_the_same_value_and_a_second_derivative(name):
    operation, make = OPERATIONS[name]
    inputs = make()
    with pytest.raises(RuntimeError, match="is not implemented"):
        second_derivatives(operation, inputs)
    with PlainOperations() as plain:
        value = operation(*inputs)
        assert all(torch.isfinite(g).all() for g in second_derivatives(operation, inputs))
        assert torch.autograd.gradgradcheck(operation, inputs)
    assert plain.used == {name}
    assert torch.allclose(value, operation(*inputs), atol=1e-12)


class Attentive(nn.Module):
    """Fused attention between pixels, a dropout, and a head."""

    def __init__(self, channels, classes):
        super().__init__()
        self.mix = nn.Linear(channels, 4)
        self.head = nn.Linear(4, classes)
        self.drop = nn.Dropout(0.5)

    def embed(self, images):
        x = self.mix(images.flatten(2).transpose(1, 2)).unsqueeze(1)
        return self.drop(F.scaled_dot_product_attention(x, x, x).squeeze(1).mean(dim=1))

    def forward(self, images):
        return self.head(self.embed(images))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos()


class Bare(Attentive):
    """A sigmoid by an operation whose derivative has none."""

    def embed(self, images):
        return torch.ops.aten.hardsigmoid(super().embed(images))


class Custom(Attentive):
    def embed(self, images):
        return Once.apply(super().embed(images))


class Composed(Attentive):
    """Attention inside functions of torch's own."""

    def __init__(self, channels, classes):
        super().__init__(channels, classes)
        self.layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=8, batch_first=True)

    def embed(self, images):
        return self.layer(self.mix(images.flatten(2).transpose(1, 2))).mean(dim=1)


class Pair(Attentive):
    def forward(self, images):
        return super().forward(images), None


class Flat(Attentive):
    def forward(self, images):
        return super().forward(images)[:, :1]


class Unfit(Attentive):
    def embed(self, images):
        return self.mix(images)


@final
@dataclass(frozen=True, kw_only=True)
class Fixed(Architecture):
    """Builds a module of this file."""

    module: str = "Attentive"

    def build(self, *, channels, classes, size, generator):
        with seeded(generator):
            return globals()[self.module](channels, classes)


def with_network(make_job, monkeypatch, module, **options):
    """A job on toy data whose architecture builds one of the modules above."""
    import toys

    monkeypatch.setattr(toys.Linear, "build", Fixed(module=module).build.__func__.__get__(Fixed(module=module)))
    return make_job({"arch": "linear", **options})


def test_attention_is_matched_in_its_plain_form_and_that_is_said_once(make_job, monkeypatch, caplog):
    caplog.set_level("INFO", logger="dcc")
    job = with_network(make_job, monkeypatch, "Attentive")
    start = job.start()
    before = start.synthetic.stored["images"].clone()
    optimise(start.run, job.config.loss, start.synthetic, start.state)
    assert not torch.equal(start.synthetic.stored["images"], before)
    said = [r.message for r in caplog.records if "plain form" in r.message]
    assert said == [
        "linear: matching uses the plain form of scaled_dot_product_attention, whose usual form cannot be "
        "differentiated twice"
    ]


@pytest.mark.parametrize("loss", ["class-wise", "collective"])
def test_attention_inside_torchs_own_modules_is_matched_too(make_job, monkeypatch, loss):
    job = with_network(make_job, monkeypatch, "Composed", loss=loss)
    start = job.start()
    before = start.synthetic.stored["images"].clone()
    optimise(start.run, job.config.loss, start.synthetic, start.state)
    assert not torch.equal(start.synthetic.stored["images"], before)


def test_dropout_is_off_in_matching(make_job, monkeypatch):
    """The same step twice gives the same gradients, and those of the network without its dropout."""
    from dcc_core import Step

    job = with_network(make_job, monkeypatch, "Attentive")
    start = job.start()
    network = job.build(start.run.random.generator("network")).train()
    gradients = []
    for p in (0.5, 0.5, 0.0):
        network.drop.p = p
        step = Step(start.run, start.synthetic, outer=0, inner=0, network=lambda: network)
        gradients.append(torch.cat([g.flatten() for g in step.summed_gradients().synthetic]))
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


@pytest.mark.parametrize(
    ("module", "operation"),
    [
        ("Bare", "operation 'hardsigmoid_backward'"),
        ("Custom", "a custom operation, marked once_differentiable,"),
    ],
)
@pytest.mark.parametrize("loss", ["class-wise", "collective"])
def test_an_operation_without_a_second_derivative_is_named(make_job, monkeypatch, module, operation, loss):
    job = with_network(make_job, monkeypatch, module, loss=loss)
    start = job.start()
    with pytest.raises(DccError, match=f"cannot be differentiated twice, .* {operation} has no derivative"):
        optimise(start.run, job.config.loss, start.synthetic, start.state)


def test_such_a_network_still_serves_a_loss_that_matches_no_gradients(make_job, monkeypatch):
    job = with_network(make_job, monkeypatch, "Custom", loss="means")
    start = job.start()
    optimise(start.run, job.config.loss, start.synthetic, start.state)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            "Flat",
            r"a network gives logits \(images, classes\); of 2 images in 3 classes it gave torch.* of shape \(2, 1\)",
        ),
        ("Pair", "of 2 images in 3 classes it gave tuple"),
        (
            "Unfit",
            r"architecture 'linear' of plugin toys \(.* cannot be used on 2×8×8 images: RuntimeError: .*mat1 and mat2",
        ),
    ],
)
def test_a_network_that_breaks_its_contract_is_told_before_the_work(make_job, monkeypatch, module, message):
    with pytest.raises(DccError, match=message):
        with_network(make_job, monkeypatch, module)
