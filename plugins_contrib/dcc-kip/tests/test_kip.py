"""Kernel inducing points: kernels, objective, gradients, learned labels."""

import dataclasses
import math

import dcc_kip
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dcc_core import Batch, DccError, Step, load_set
from dcc_core.testing import LossConformance, Moment, ParametrisationConformance, job_of, toys

PUBLISHED = {"weight_std": math.sqrt(2), "bias_std": 0.1}


class TestKip(LossConformance):
    component = "kip"


class TestSoftLabels(ParametrisationConformance):
    component = "soft-labels"


def make_job(options=None):
    """A run of KIP on toy data in float64 unless asked otherwise."""
    return job_of({"data": "blobs", "loss": "kip", "run.precision": "float64", **(options or {})}, toys)


def rows(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_recursion(name, depth, x, z, weight_std, bias_std):
    """One entry of a kernel, with plain numbers: the NTK as a sum over layers, the moments by the textbook's angle."""
    w, v = weight_std**2, bias_std**2

    def inner(p, q):
        return w * sum(a * b for a, b in zip(p, q, strict=True)) / len(p) + v

    covariance, of_x, of_z = inner(x, z), inner(x, x), inner(z, z)
    covariances, slopes = [covariance], []
    for _ in range(depth):
        angle = math.acos(max(-1.0, min(1.0, covariance / math.sqrt(of_x * of_z))))
        degree_1 = (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi
        covariance = w / 2 * math.sqrt(of_x * of_z) * degree_1 + v
        of_x, of_z = w / 2 * of_x + v, w / 2 * of_z + v
        covariances.append(covariance)
        slopes.append(w / 2 * (1 - angle / math.pi))
    if name == "nngp":
        return covariance
    return sum(c * math.prod(slopes[layer:]) for layer, c in enumerate(covariances))


@pytest.mark.parametrize("name", ["ntk", "nngp"])
@pytest.mark.parametrize(
    ("depth", "weight_std", "bias_std"), [(1, math.sqrt(2), 0.1), (2, 1.1, 0.7), (3, math.sqrt(2), 0.1)]
)
def test_kernels_are_the_recursion(name, depth, weight_std, bias_std):
    a, b = rows(4, 5), rows(3, 5, seed=1)
    b[0] = -2 * a[0]
    how = {"depth": depth, "weight_std": weight_std, "bias_std": bias_std}
    for left, right in ((a, b), (a, a)):
        expected = [[by_recursion(name, x=x, z=z, **how) for z in right.tolist()] for x in left.tolist()]
        kernel = dcc_kip.infinite_kernel(left, right, name=name, **how)
        assert torch.allclose(kernel, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["ntk", "nngp"])
def test_kernels_are_those_of_wide_networks(name):
    """Monte Carlo: outputs of random networks of two hidden layers, or their derivatives by all weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([rows(2, 4), torch.tensor([[1.0, 0.0, -0.5, 2.0]], dtype=torch.float64)])
    weight_std, bias_std = 1.3, 0.4
    width, outputs, networks = (256, 1, 60) if name == "ntk" else (256, 256, 300)
    found = torch.zeros(3, 3, dtype=torch.float64)
    for _ in range(networks):
        sizes = [(width, 4), (width, width), (outputs, width)]
        weights = [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in sizes]
        biases = [torch.randn(s[0], generator=generator, dtype=torch.float64).requires_grad_() for s in sizes]
        y = x
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            y = F.linear(F.relu(y) if layer else y, weight_std * w / math.sqrt(w.shape[1]), bias_std * b)
        if name == "nngp":
            found += (y @ y.T).detach() / outputs
        else:
            slopes = [torch.autograd.grad(out, weights + biases, retain_graph=True) for out in y[:, 0]]
            flat = torch.stack([torch.cat([g.flatten() for g in each]) for each in slopes])
            found += flat @ flat.T
    expected = dcc_kip.infinite_kernel(x, x, name=name, depth=2, weight_std=weight_std, bias_std=bias_std)
    assert torch.allclose(found / networks, expected, rtol=0.04)


@pytest.mark.parametrize("name", ["ntk", "nngp"])
@pytest.mark.parametrize("depth", [1, 3])
def test_derivatives_are_right_on_the_diagonal_too(name, depth):
    x, y = rows(4, 3).requires_grad_(), rows(2, 3, seed=1)
    how = {"name": name, "depth": depth, **PUBLISHED}
    assert torch.autograd.gradcheck(lambda a: dcc_kip.infinite_kernel(a, a, **how), (x,))
    assert torch.autograd.gradcheck(lambda a: dcc_kip.infinite_kernel(a, y, **how), (x,))


@pytest.mark.parametrize("name", ["ntk", "nngp"])
def test_equal_and_opposite_images_have_finite_derivatives(name):
    a = rows(2, 3)
    x = torch.cat([a, a, -a, 3 * a]).requires_grad_()
    kernel = dcc_kip.infinite_kernel(x, x, name=name, depth=2, weight_std=1.4, bias_std=1e-9)
    (kernel**2).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(kernel).all()
    assert x.grad.abs().min() > 0


def restated(loss, step, **how):
    """The objective with numpy's solve, over all classes."""
    classes = step.num_classes
    real = [step.real(k, loss.batch) for k in range(classes)]
    x_t = torch.cat([b.images for b in real]).flatten(1).tolist()
    y_t = np.eye(classes)[torch.cat([b.labels for b in real])] - 1 / classes
    batch = step.synthetic.batch(*range(classes))
    labels = batch.labels.detach()
    y_s = labels.numpy() if labels.is_floating_point() else np.eye(classes)[labels]
    x_s = batch.images.detach().flatten(1).tolist()
    how = {"name": loss.kernel, "depth": loss.depth, "weight_std": loss.weight_std, "bias_std": loss.bias_std}
    k_ss = np.array([[by_recursion(x=x, z=z, **how) for z in x_s] for x in x_s])
    k_ts = np.array([[by_recursion(x=x, z=z, **how) for z in x_s] for x in x_t])
    ridge = loss.ridge * np.trace(k_ss) / len(k_ss)
    predicted = k_ts @ np.linalg.solve(k_ss + ridge * np.eye(len(k_ss)), y_s - 1 / classes)
    return len(x_s[0]) * 0.5 * np.mean(np.sum((predicted - y_t) ** 2, axis=1))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss.kernel": "nngp", "loss.depth": 2, "loss.ridge": 0.1},
        {"param": "soft-labels", "loss.batch": 3, "loss.bias_std": 0.5},
    ],
    ids=str,
)
def test_the_objective_is_the_regressions_error(options):
    """From noise: at a real image that is in the set already, the kernel's angle would be a matter of rounding."""
    moment = Moment.of(make_job({"run.ipc": 2, "run.init": "noise", **options}))
    (value,) = moment.terms()
    assert value.item() == pytest.approx(restated(moment.loss, moment.step), rel=1e-7)


def test_parts_of_processes_add_up():
    """Classes have 12, 9 and 5 images: every image counts the same, wherever it is."""
    job = make_job({"run.ipc": 2, "run.real_batch": 8})

    def value(*classes):
        moment = Moment.of(job)
        moment.step.classes = classes
        return moment.objective()

    assert value(0, 2) + value(1) == pytest.approx(value(0, 1, 2), rel=1e-12)
    assert value() == 0


def test_the_batch_is_the_losss_own_where_it_says_so():
    asked = []
    moment = Moment.of(make_job({"loss.batch": 4, "run.real_batch": 8}))
    step = moment.step
    step.real = lambda label, n=None: asked.append(n) or Step.real(step, label, n)
    list(moment.terms())
    assert asked == [4, 4, 4]


def test_one_draw_augments_all_images_alike():
    """The regression must not be told classes by their augmentation."""
    moment = Moment.of(make_job({"aug": "dsa", "aug.strategy": "crop", "data": "blobs-of:9,9,9,9,9,9"}))
    seen, step = [], moment.step
    step.augment = lambda batch, owners, draw=0: seen.append(Step.augment(step, batch, owners, draw)) or seen[-1]
    list(moment.terms())
    ones = torch.ones(6, 2, 8, 8, dtype=torch.float64)
    shift = Step.augment(step, dataclasses.replace(seen[0], images=ones), 0).images[0]
    both = torch.cat([batch.images for batch in seen])
    assert len(both) == 6 + 6 * 9
    assert (both[:, shift == 0] == 0).all()
    assert not torch.equal(seen[0].images, moment.synthetic.batch(*range(6)).images)


def test_augmentations_that_mix_labels_mix_them_here():
    assert Moment.of(make_job({"aug": "mixup"})).objective() != Moment.of(make_job()).objective()


def test_gradients_of_the_objective_are_right():
    job = make_job({"run.ipc": 2, "param": "soft-labels", "run.init": "noise", "loss.ridge": 1e-3, "loss.batch": 3})
    moment = Moment.of(job)
    synthetic, own = moment.synthetic, moment.synthetic.parametrisation

    def objective(images, logits):
        synthetic.batch = lambda *labels: Batch(*own.decode({"images": images, "label_logits": logits}))
        (value,) = moment.terms()
        return value

    given = [synthetic.stored[name].clone().requires_grad_() for name in ("images", "label_logits")]
    assert torch.autograd.gradcheck(objective, given)


def test_images_of_the_set_among_the_real_ones_have_a_gradient():
    """As every run begins that starts from real images: angles of zero between both."""
    gradients = Moment.of(make_job({"run.ipc": 5, "run.precision": "float32"})).gradient()["images"]
    assert torch.isfinite(gradients).all()
    assert (gradients.flatten(1).abs().amax(dim=1) > 0).all()


def test_float32_images_are_solved_in_float64():
    values = {}
    for precision in ("float32", "float64"):
        values[precision] = Moment.of(make_job({"run.ipc": 5, "run.precision": precision})).objective()
    assert values["float32"] == pytest.approx(values["float64"], rel=1e-5)


def test_a_singular_kernel_says_what_to_do():
    moment = Moment.of(make_job({"run.ipc": 2, "loss.ridge": 0}))
    alike = moment.synthetic.batch(0, 0, 1, 1, 2, 2)
    moment.synthetic.batch = lambda *labels: alike
    with pytest.raises(DccError, match=r"12 synthetic images is not positive definite with loss.ridge=0.*loss.ridge="):
        list(moment.terms())


def test_a_run_lowers_its_objective_and_builds_no_network():
    """On digits, over images it has not seen; the same in float32 as in float64."""
    settings = {"data": "digits", "data.validation": 0.1, "score.part": "validation", "run.precision": "float32"}
    job = make_job({"run.outer_loops": 40, "run.image_rate": 0.5, **settings})
    start = job.start()
    run, synthetic, _ = start
    unbuilt = dataclasses.replace(run, build=lambda generator: pytest.fail("a network was asked for"))
    before = synthetic.stored["images"].clone()
    values = []
    job.condense(start=start._replace(run=unbuilt), watch=lambda report: values.append(report.loss))
    assert len(values) == 40
    assert max(values[-5:]) < 0.7 * values[0]

    unseen = job.data.validation
    everything = range(10)

    def accuracy(images):
        x_s = images.detach().flatten(1).double()
        x_t = run.real.normalisation.from_bytes(unseen.images).flatten(1).double()
        k_ss, k_ts = (dcc_kip.infinite_kernel(x, x_s, **PUBLISHED) for x in (x_s, x_t))
        y_s = F.one_hot(synthetic.batch(*everything).labels, 10).double() - 0.1
        return (k_ts @ torch.linalg.solve(k_ss, y_s)).argmax(dim=1).eq(unseen.labels).double().mean()

    assert accuracy(synthetic.stored["images"]) > accuracy(before) + 0.1


def test_labels_are_learned_and_stay_probabilities(tmp_path):
    """A set file holds what they are made of, and is scored again as it was."""
    job = make_job(
        {"param": "soft-labels", "run.ipc": 2, "run.image_rate": 0.04, "score.nets": 1, "run.outer_loops": 6}
    )
    _, synthetic, _ = start = job.start()
    first = synthetic.batch(0, 1, 2).labels.detach()
    own = torch.arange(3).repeat_interleave(2)
    assert torch.allclose(first, torch.full((6, 3), 0.05).double() + 0.85 * F.one_hot(own, 3))
    s = job.condense(start=start)
    last = job.decode(s).labels
    assert last.dtype == torch.float64
    assert (last > 0).all()
    assert torch.allclose(last.sum(dim=1), torch.ones(6).double())
    assert ((last - first).abs().amax(dim=1) > 1e-4).all()
    path = tmp_path / "soft.safetensors"
    s.save(path)
    read = load_set(path)
    again = make_job({"param": "identity", "loss": "class-wise"})
    assert torch.equal(again.decode(read).labels, last)
    scores = [j.scorer(read).score(j.decode(read), 1).accuracies for j in (job, again)]
    assert scores[0] == scores[1]
    with pytest.raises(DccError, match="no tensor 'labels': decode it by its parametrisation, 'soft-labels'"):
        _ = read.labels


def test_a_set_of_another_kind_gives_its_labels(tmp_path):
    """Hard ones become confident; soft ones of a set of the same kind are taken as they are stored."""
    path = tmp_path / "first.safetensors"
    make_job({"run.outer_loops": 1}).condense().save(path)
    options = {"param": "soft-labels", "run.init": str(path), "param.confidence": 0.7}
    labels = make_job(options).start().synthetic.batch(0, 1, 2).labels
    assert torch.allclose(labels.diagonal(), torch.full((3,), 0.7).double())
    soft = make_job({"param": "soft-labels", "run.image_rate": 0.04, "run.outer_loops": 4}).condense()
    soft.save(path)
    taken = make_job(options).start().synthetic.stored["label_logits"]
    probabilities = soft.stored["label_logits"].softmax(dim=1)
    assert torch.allclose(taken.softmax(dim=1), probabilities)
    assert not torch.allclose(probabilities.diagonal(), torch.full((3,), 0.7).double())


@pytest.mark.parametrize("wrong", [{"loss.kernel": "rbf"}, {"loss.depth": 0}, {"loss.bias_std": 0}, {"loss.ridge": -1}])
def test_options_out_of_range_are_refused(wrong):
    (key,) = wrong
    with pytest.raises(DccError, match=key):
        make_job(wrong)
