"""The matching losses against the paper's equations, written line by line in float64."""

import dataclasses

import pytest
import torch

from dcc_core.engine.image_update import update
from dcc_core.engine.step import Step
from dcc_core.jobs.provenance import describe_condensed
from dcc_core.sets.condensed_set import CondensedSet
from dcc_plugins.losses import ClassWise, Collective, CollectiveBare


def mean_gradient(network, images, labels):
    """g(X_c) = 1/|X_c| sum over (x, y) of the gradient of the cross-entropy with respect to the weights."""
    total = None
    for image, label in zip(images, labels, strict=True):
        logits = network(image.unsqueeze(0))[0]
        loss = -(logits[label] - torch.logsumexp(logits, dim=0))
        gradient = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
        total = gradient if total is None else [t + g for t, g in zip(total, gradient, strict=True)]
    return [t / len(images) for t in total]


def layerwise(real, synthetic):
    """For each weight of two or more dimensions, for each row: 1 - cosine."""
    distance = torch.zeros((), dtype=torch.float64)
    for r, s in zip(real, synthetic, strict=True):
        if r.ndim < 2:
            continue
        for row_r, row_s in zip(r, s, strict=True):
            a, b = row_r.reshape(-1), row_s.reshape(-1)
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            distance = distance + 1 - dot / (a.norm() * b.norm() + 1e-6)
    return distance


def cosine(real, synthetic):
    a = torch.cat([r.reshape(-1) for r in real])
    b = torch.cat([s.reshape(-1) for s in synthetic])
    return 1 - (a @ b) / (a.norm() * b.norm() + 1e-6)


def mse(real, synthetic):
    return sum(((r - s) ** 2).sum() for r, s in zip(real, synthetic, strict=True))


DISTANCES = {"layerwise": layerwise, "cosine": cosine, "mse": mse}


def equation_2(network, real, synthetic, distance):
    """L = sum over c of D(g(X_c), g(S_c))."""
    return sum(
        DISTANCES[distance](mean_gradient(network, *x), mean_gradient(network, *s))
        for x, s in zip(real, synthetic, strict=True)
    )


def equation_10(network, real, synthetic, distance, divide_by=1):
    """L = D(sum over c of g(X_c), sum over c of g(S_c)); the official code divides both sums by C."""

    def summed(batches):
        parts = [mean_gradient(network, *b) for b in batches]
        return [sum(layer) / divide_by for layer in zip(*parts, strict=True)]

    return DISTANCES[distance](summed(real), summed(synthetic))


def unequal_set(job):
    """A set with 2, 1 and 3 images of the classes."""
    owners = torch.tensor([0, 0, 1, 2, 2, 2])
    images = torch.rand((6, *job.data.shape), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return CondensedSet(
        {"images": images, "labels": owners, "owners": owners},
        describe_condensed(job.config, job.registry, job.data, 0, initial_set=None),
    )


@pytest.fixture(params=["equal", "unequal"])
def step(request, make_job, tmp_path):
    """A step over classes of 12, 9 and 5 real images, 8 of each at most in a batch."""
    options = {"run.real_batch": 8, "arch.width": 3}
    if request.param == "unequal":
        path = tmp_path / "unequal.safetensors"
        unequal_set(make_job(options)).save(path)
        options |= {"run.init": str(path), "run.ipc": 3}
    job = make_job(options)
    run, synthetic, _ = job.start()
    network = job.build(run.random.generator("network"))
    return Step(run, synthetic, outer=0, inner=0, network=lambda: network)


def batches(step):
    """The real and the synthetic images of each class, the latter as leaves."""
    real = [step.real(k) for k in step.classes]
    assert [len(b.labels) for b in real] == [8, 8, 5]
    synthetic = [step.synthetic.batch(k) for k in step.classes]
    return (
        [(b.images, b.labels) for b in real],
        [(b.images.detach().clone().requires_grad_(), b.labels) for b in synthetic],
    )


def assert_equal_to(step, loss, reference):
    """Value and image gradients of a loss equal those of a reference function of the batches, to 1e-9."""
    real, synthetic = batches(step)
    expected = reference(step.network, real, synthetic)
    wanted = torch.autograd.grad(expected, [images for images, _ in synthetic])
    step.synthetic.zero_gradients()
    state = loss.setup(step.run, step.synthetic)
    value = update(step, loss, state)
    assert value == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    found = step.synthetic.stored["images"].grad
    scale = torch.cat(wanted).abs().max()
    assert scale > 0
    assert (found - torch.cat(wanted)).abs().max() < 1e-9 * scale


@pytest.mark.parametrize("distance", DISTANCES)
def test_class_wise_is_equation_2(step, distance):
    assert_equal_to(step, ClassWise(distance=distance), lambda n, x, s: equation_2(n, x, s, distance))


@pytest.mark.parametrize("distance", DISTANCES)
def test_collective_sum_is_equation_10(step, distance):
    loss = CollectiveBare(distance=distance, reduction="sum")
    assert_equal_to(step, loss, lambda n, x, s: equation_10(n, x, s, distance))


@pytest.mark.parametrize("distance", DISTANCES)
def test_collective_mean_divides_both_sides_by_the_classes(step, distance):
    loss = CollectiveBare(distance=distance, reduction="mean")
    assert_equal_to(step, loss, lambda n, x, s: equation_10(n, x, s, distance, divide_by=3))


@pytest.mark.parametrize(("distance", "factor"), [("mse", 9.0), ("layerwise", 1.0), ("cosine", 1.0)])
def test_reductions_differ_as_documented(step, distance, factor):
    """By C squared for mse; otherwise only through the cosine's 1e-6."""
    values = {}
    for reduction in ("sum", "mean"):
        loss = CollectiveBare(distance=distance, reduction=reduction)
        values[reduction] = sum(t.value.item() for t in loss.terms(step, None))
    assert values["sum"] == pytest.approx(factor * values["mean"], rel=1e-2)
    assert values["sum"] != values["mean"]


def test_micro_batches_change_nothing(step):
    """One image at a time, recomputed in backward, equals the whole at once."""
    step.run.chunks.images = 1
    loss = CollectiveBare(reduction="sum")
    assert_equal_to(step, loss, lambda n, x, s: equation_10(n, x, s, "layerwise"))


def test_collective_warms_up_class_wise(step):
    """With the bi-level warm-up the first outer loops are class-wise, the others collective."""
    step.run = dataclasses.replace(step.run, outer_loops=8)
    loss = Collective()
    assert_equal_to(step, loss, lambda n, x, s: equation_2(n, x, s, "layerwise"))
    step.outer = 2
    assert_equal_to(step, loss, lambda n, x, s: equation_10(n, x, s, "layerwise", divide_by=3))


@pytest.mark.parametrize("loss", [ClassWise(), CollectiveBare(), CollectiveBare(reduction="sum", distance="cosine")])
@pytest.mark.parametrize("images", [1, 1000])
def test_gradcheck(make_job, loss, images):
    """Numerical differences of the value agree with backward's gradient of the images."""
    options = {"data.size": 4, "data.channels": 1, "arch.width": 2, "arch.activation": "sigmoid", "run.ipc": 2}
    job = make_job(options)
    run, synthetic, _ = job.start()
    run.chunks.images = images
    network = job.build(run.random.generator("network"))
    step = Step(run, synthetic, outer=0, inner=0, network=lambda: network)

    class Objective(torch.autograd.Function):
        """The value of a loss at some images, with the engine's own gradient as its derivative."""

        @staticmethod
        def forward(ctx, images):
            synthetic.stored["images"].copy_(images)
            synthetic.zero_gradients()
            terms = []
            with torch.enable_grad():
                for term in loss.terms(step, None):
                    terms.append(term.value.detach())
                    torch.autograd.backward(term.value, inputs=synthetic.leaves())
            ctx.gradient = synthetic.stored["images"].grad.clone()
            return sum(terms)

        @staticmethod
        def backward(ctx, cotangent):
            return ctx.gradient * cotangent

    images = synthetic.stored["images"].clone().requires_grad_()
    assert torch.autograd.gradcheck(Objective.apply, (images,), eps=1e-5, atol=1e-6, fast_mode=True)
