"""Components that break a rule of their kind end a run with one error: which component, which package, which rule."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import toys
from torch import nn
from torch.nn import functional as F

from dcc_core import DccError, ImageSet, Part, RealData
from dcc_core.engine.algorithm import Network, optimise
from dcc_core.jobs.coreset import select_coreset

DM = r"loss 'means' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "


def nothing(step):
    yield from ()


def vector(step):
    yield Part(step.synthetic.batch(0).images.flatten(1).sum(dim=1))


def number(step):
    yield Part(step.synthetic.batch(0).images.sum().item())


def bare(step):
    yield step.synthetic.batch(0).images.sum()


def returned(step):
    return Part(step.synthetic.batch(0).images.sum())


def constant(step):
    yield Part(step.real(0).images.sum())


def shared(step):
    images = step.synthetic.batch(0).images.square()
    yield Part(images.square().sum())
    yield Part(images.sum())


@pytest.mark.parametrize(
    ("terms", "rule"),
    [
        (nothing, "terms yields at least one Part or Total in every step; it yielded nothing"),
        (vector, r"terms are scalars; term 1 is torch.float64 of shape \(2,\)"),
        (number, "terms are scalar tensors; term 1 holds float"),
        (bare, "terms yields Part and Total; term 1 is Tensor"),
        (returned, "terms yields Part and Total; it returned Part, so write yield"),
        (constant, "terms depend on the synthetic set; term 1 is a constant"),
        (shared, "terms share no graph, .* yield the sum"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_loss_is_held_to_its_terms(make_job, monkeypatch, terms, rule):
    monkeypatch.setattr(toys.DistributionMatching, "terms", lambda self, step, state: terms(step))
    job = make_job({"loss": "means", "run.ipc": 2})
    with pytest.raises(DccError, match=DM + rule):
        job.condense()


def test_a_loss_inside_another_is_named_too(make_job, monkeypatch):
    monkeypatch.setattr(toys.DistributionMatching, "terms", lambda self, step, state: nothing(step))
    job = make_job({"loss": "warmup", "loss.first": "means", "loss.then": "mtt", "loss.outer": 1})
    run, synthetic, state = job.start()
    match = r"loss 'warmup' of plugin builtin \(dcc 0.1\) with loss 'means' of plugin toys .* breaks a rule"
    with pytest.raises(DccError, match=match):
        optimise(run, job.config.loss, synthetic, state)


def smaller(images, labels):
    return F.avg_pool2d(images, 2), labels


def fewer_labels(images, labels):
    return images, labels[:-1]


@pytest.mark.parametrize(
    ("apply", "rule"),
    [
        (smaller, r"Mixup.apply keeps the shape of images; of \(2, 2, 8, 8\) it made \(2, 2, 4, 4\)"),
        (fewer_labels, r"Mixup.apply keeps the shape of labels; of \(2, 3\) it made \(1, 3\)"),
    ],
)
def test_an_augmentation_keeps_shapes(make_job, monkeypatch, apply, rule):
    """Told before the first step."""
    monkeypatch.setattr(toys.Mixup, "apply", lambda self, images, labels, params, index: apply(images, labels))
    with pytest.raises(DccError, match=rf"augmentation 'mixup' of plugin toys \(dcc-toys 1.0\) breaks a rule .*{rule}"):
        make_job({"aug": "mixup"})


def test_an_augmentation_that_changes_shapes_now_and_then_is_named(make_job, monkeypatch):
    job = make_job({"aug": "mixup", "loss": "means"})
    monkeypatch.setattr(toys.Mixup, "apply", lambda self, images, labels, params, index: smaller(images, labels))
    with pytest.raises(DccError, match=r"^augmentation 'mixup' of plugin toys .*keeps the shape of images"):
        job.condense()


def test_one_that_changes_shapes_in_training_is_named(make_job, monkeypatch):
    """The networks' between image updates, and a student's inside a loss, which is not to blame."""
    job = make_job({"aug": "mixup", "loss": "means"})
    run, synthetic, state = job.start()
    run = replace(run, network_steps=1)
    monkeypatch.setattr(toys.Mixup, "apply", lambda self, images, labels, params, index: smaller(images, labels))
    title = r"^augmentation 'mixup' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "
    with pytest.raises(DccError, match=title):
        Network(run, 0).train(synthetic, 0)
    monkeypatch.setattr(
        toys.DistributionMatching, "terms", lambda self, step, state: step.augment_each(step.synthetic.batch(0))
    )
    with pytest.raises(DccError, match=title):
        optimise(run, job.config.loss, synthetic, state)


def floats(data):
    return replace(data, train=ImageSet(data.train.images / 255, data.train.labels))


def beyond(data):
    return replace(data, test=ImageSet(data.test.images, data.test.labels + 1))


def flat(data):
    return replace(data, test=ImageSet(data.test.images.flatten(1), data.test.labels))


def arrays(data):
    return replace(data, train=ImageSet(data.train.images.numpy(), data.train.labels.numpy()))


def of_bytes(data):
    return replace(data, mean=(110.0, 120.0))


def wide(data):
    return replace(data, std=(60.0, 60.0))


def numbered(data):
    return replace(data, class_names=(0, 1, 2))


def no_data(data):
    return {"images": data.train.images}


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (floats, r"data 'blobs', train part: images are torch.float32 .*; expected uint8 \(N, C, H, W\)"),
        (beyond, "data 'blobs', test part: labels span 1 to 3; expected 0 to 2"),
        (flat, r"data 'blobs', test part: images are torch.uint8 of shape \(18, 128\); expected uint8 \(N, C, H, W\)"),
        (arrays, "data 'blobs', train part: images and labels are ndarray and ndarray; expected tensors"),
        (of_bytes, r"statistics are of images scaled to 0..1; mean \(110.0, 120.0\) .* are not"),
        (wide, r"statistics are of images scaled to 0..1; mean .* and std \(60.0, 60.0\) are not"),
        (numbered, "data 'blobs': the class name 0 cannot be written as text"),
        (no_data, "load returns RealData; it returned dict"),
    ],
)
def test_a_data_source_is_named_with_its_plugin(make_job, monkeypatch, make, rule):
    good: RealData = toys.Blobs().load(root=None, download=False, progress=False)
    monkeypatch.setattr(toys.Blobs, "load", lambda self, **_: make(good))
    with pytest.raises(DccError, match=rf"^data 'blobs' of plugin toys \(dcc-toys 1.0\) breaks a rule of .*: {rule}"):
        make_job()


def test_what_options_leave_of_data_is_no_breach(make_job, monkeypatch):
    """The test part has no images of the classes that are asked for."""
    good: RealData = toys.Blobs().load(root=None, download=False, progress=False)
    part = ImageSet(good.test.images[12:], good.test.labels[12:])
    monkeypatch.setattr(toys.Blobs, "load", lambda self, **_: replace(good, test=part))
    with pytest.raises(DccError, match=r"^data 'blobs', test part: it holds no images \(data 'blobs' of plugin toys"):
        make_job({"data.classes": "0,1"})


@pytest.mark.parametrize(
    ("picks", "rule"),
    [
        (lambda own: [o[:2] for o in own][:2], "select picks for every class; of 3 classes it gave 2"),
        (lambda own: None, "select gives indices for every class; it gave NoneType"),
        (lambda own: [o[:1] for o in own], r"select picks 2 different .*; of class 'blob 0' it picked \[0\]"),
        (lambda own: [o[:3] for o in own], r"select picks 2 different .*; of class 'blob 0' it picked \[0, 1, 2\]"),
        (lambda own: [o[[0, 0]] for o in own], r"select picks 2 different .*; of class 'blob 0' it picked \[0, 0\]"),
        (lambda own: [own[0][:2], own[2][:2], own[1][:2]], r"of class 'blob 1' it picked \[21, 22\]"),
        (
            lambda own: [o[:2] + 25 for o in own],
            r"their place among .*, 0 to 25; of class 'blob 0' it picked \[25, 26\]",
        ),
        (lambda own: [o[:2] - 26 for o in own], r"of class 'blob 0' it picked \[-26, -25\]"),
        (lambda own: [o[:2].tolist() for o in own], r"int64 tensors \(2,\); for class 'blob 0' it gave list"),
        (lambda own: [o[:2] < 9 for o in own], r"for class 'blob 0' it gave torch.bool of shape \(2,\)"),
    ],
)
def test_a_selection_is_named_with_its_plugin(make_job, monkeypatch, picks, rule):
    monkeypatch.setattr(toys.First, "select", lambda self, data, ipc, run: picks(run.real.by_class))
    job = make_job({"selection": "first", "run.ipc": 2})
    title = r"^selection 'first' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "
    for work in (job.start, lambda: select_coreset(job)):
        with pytest.raises(DccError, match=f"{title}.*{rule}"):
            work()


def test_a_selection_that_fails_is_named(make_job, monkeypatch):
    monkeypatch.setattr(toys.First, "select", lambda self, data, ipc, run: data.nothing)
    title = r"selection 'first' of plugin toys \(dcc-toys 1.0\)"
    with pytest.raises(DccError, match=rf"^{title} failed: AttributeError: .*nothing.*\n  DCC_DEBUG=1 shows where$"):
        make_job({"run.init": "first"}).start()


class Narrow(toys.LinearModule):
    def forward(self, images):
        return super().forward(images)[:, :2]


class Maps(toys.LinearModule):
    def embed(self, images):
        return images

    def forward(self, images):
        return self.head(images.flatten(1))


class Faceless(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.head = nn.Linear(inputs, classes)

    def forward(self, images):
        return self.head(images.flatten(1))


def no_module(inputs, classes):
    return lambda images: images


@pytest.mark.parametrize(
    ("module", "rule"),
    [
        (Narrow, r"a network gives logits .*; of 2 images in 3 classes it gave torch.float64 of shape \(2, 2\)"),
        (Maps, r"`embed` gives features .*; of 2 images in 3 classes it gave torch.float64 of shape \(2, 2, 8, 8\)"),
        (Faceless, "a network has `embed`, which gives the features before its head; Faceless has none"),
        (no_module, "build gives a torch.nn.Module; it gave function"),
    ],
)
@pytest.mark.parametrize("options", [{"arch": "linear"}, {"score.arch": "linear"}], ids=str)
def test_an_architecture_is_named_with_its_plugin(make_job, monkeypatch, module, rule, options):
    """Before the work, the run's and those that it is scored on."""
    monkeypatch.setattr(
        toys.Linear, "build", lambda self, *, channels, classes, size, generator: module(channels * 64, classes)
    )
    title = r"^architecture 'linear' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "
    with pytest.raises(DccError, match=title + rule):
        make_job(options)


def test_an_architecture_that_fails_is_named(make_job, monkeypatch):
    monkeypatch.setattr(toys.Linear, "build", lambda self, **_: [][0])
    title = r"^architecture 'linear' of plugin toys \(dcc-toys 1.0\) failed: IndexError"
    with pytest.raises(DccError, match=title):
        make_job({"score.arch": "convnet,linear"})


def changed(**changes):
    """What `half` decodes, with some of it changed."""
    decode = toys.Half.decode

    def wrong(self, stored):
        images, labels = decode(self, stored)
        return changes.get("images", lambda x: x)(images), changes.get("labels", lambda x: x)(labels)

    return wrong


def images_alone(self, stored):
    return stored["images"]


@pytest.mark.parametrize(
    ("decode", "rule"),
    [
        (changed(images=lambda x: x[:, :, ::2]), r"of shape \(8, 2, 8, 8\); it gave .* of shape \(8, 2, 4, 8\)"),
        (changed(images=lambda x: x[1:]), r"images_per_row images .* \(8, 2, 8, 8\); it gave .* \(7, 2, 8, 8\)"),
        (changed(images=lambda x: x.float()), r"torch.float64 of shape .*; it gave torch.float32"),
        (changed(images=lambda x: x.detach()), "what is decoded depends on what is stored and requires grad"),
        (changed(labels=lambda y: y[1:]), r"labels, int64 of shape \(8,\), 0 to 2, or .*; it gave .* of shape \(7,\)"),
        (changed(labels=lambda y: y.int()), "it gave torch.int32"),
        (changed(labels=lambda y: y + 1), r"0 to 2, .*; it gave torch.int64 of shape \(8,\), 1 to 3"),
        (changed(labels=lambda y: F.one_hot(y, 4).double()), r"probabilities of shape \(8, 3\); it gave .* \(8, 4\)"),
        (images_alone, "decode gives images and labels, a tuple of two; it gave torch.float64"),
    ],
)
def test_a_parametrisation_is_named_with_its_plugin(make_job, monkeypatch, decode, rule):
    monkeypatch.setattr(toys.Half, "decode", decode)
    title = r"^parametrisation 'half' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "
    with pytest.raises(DccError, match=f"{title}.*{rule}"):
        make_job({"param": "half", "run.ipc": 2}).start()


@pytest.mark.parametrize(
    ("init", "rule"),
    [
        (lambda tensors: {k: t.detach() for k, t in tensors.items()}, "what requires grad is learned; .* nothing does"),
        (lambda tensors: tensors | {"labels": tensors["labels"][1:]}, r"of 6 rows 'labels' has the shape \(5,\)"),
        (lambda tensors: tensors | {"scale": torch.zeros(())}, r"of 6 rows 'scale' has the shape \(\)"),
        (lambda tensors: tensors | {"factor": 2}, "init gives tensors by name; 'factor' is int"),
        (lambda tensors: list(tensors), "init gives tensors by name; it gave list"),
    ],
)
def test_what_is_stored_is_held_to_its_rules(make_job, monkeypatch, init, rule):
    good = toys.Half.init
    monkeypatch.setattr(toys.Half, "init", lambda self, images, labels, run: init(good(self, images, labels, run)))
    title = r"^parametrisation 'half' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "
    with pytest.raises(DccError, match=f"{title}.*{rule}"):
        make_job({"param": "half", "run.ipc": 2}).start()


def test_a_parametrisation_that_fails_on_a_file_is_named(make_job, monkeypatch):
    s = make_job({"param": "half", "run.ipc": 2, "loss": "means"}).condense()
    monkeypatch.setattr(toys.Half, "decode", lambda self, stored: stored["pictures"])
    for job in (make_job(), make_job({"param": "half", "run.ipc": 2})):
        with pytest.raises(DccError, match=r"^parametrisation 'half' of plugin toys .* failed: KeyError: 'pictures'"):
            job.decode(s)


def test_rules_that_are_kept_cost_nothing(make_job):
    """A step whose process has no classes may yield nothing."""
    job = make_job({"loss": "means"})
    titles = job.context().titles
    assert isinstance(titles, Mapping)
    assert titles["loss"] == "loss 'means' of plugin toys (dcc-toys 1.0)"
    assert torch.isfinite(job.condense().images).all()
