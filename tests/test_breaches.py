"""Components that break a rule of their kind end a run with one error: which component, which package, which rule."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
import toys
from torch.nn import functional as F

from dcc_core import DccError, ImageSet, Part, RealData
from dcc_core.engine import optimise

DM = r"loss 'dm' of plugin toys \(dcc-toys 1.0\) breaks a rule of its kind: "


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
    job = make_job({"loss": "dm", "run.ipc": 2})
    with pytest.raises(DccError, match=DM + rule):
        job.condense()


def test_a_loss_inside_another_is_named_too(make_job, monkeypatch):
    monkeypatch.setattr(toys.DistributionMatching, "terms", lambda self, step, state: nothing(step))
    job = make_job({"loss": "warmup", "loss.first": "dm", "loss.then": "mtt", "loss.outer": 1})
    run, synthetic, state = job.start()
    match = r"loss 'warmup' of plugin builtin \(dcc 0.1\) with loss 'dm' of plugin toys .* breaks a rule"
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
    job = make_job({"aug": "mixup", "loss": "dm"})
    monkeypatch.setattr(toys.Mixup, "apply", lambda self, images, labels, params, index: smaller(images, labels))
    with pytest.raises(DccError, match=r"augmentation 'mixup' of plugin toys .*keeps the shape of images"):
        job.condense()


def floats(data):
    return lambda: replace(data, train=ImageSet(data.train.images / 255, data.train.labels))


def beyond(data):
    return lambda: replace(data, test=ImageSet(data.test.images, data.test.labels + 1))


def no_data(data):
    return lambda: {"images": data.train.images}


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (floats, r"data 'blobs', train part: images are torch.float32 .*; expected uint8 \(N, C, H, W\)"),
        (beyond, "data 'blobs', test part: labels span 1 to 3; expected 0 to 2"),
        (no_data, "load returns RealData; it returned dict"),
    ],
    ids=["floats", "beyond", "no data"],
)
def test_a_data_source_is_named_with_its_plugin(make_job, monkeypatch, make, rule):
    good: RealData = toys.Blobs().load(root=None, download=False, progress=False)
    load = make(good)
    monkeypatch.setattr(toys.Blobs, "load", lambda self, **_: load())
    with pytest.raises(DccError, match=rule + r".* \(data 'blobs' of plugin toys \(dcc-toys 1.0\)\)$"):
        make_job()


def test_rules_that_are_kept_cost_nothing(make_job):
    """A step whose process has no classes may yield nothing."""
    job = make_job({"loss": "dm"})
    titles = job.context().titles
    assert isinstance(titles, Mapping)
    assert titles["loss"] == "loss 'dm' of plugin toys (dcc-toys 1.0)"
    assert torch.isfinite(job.condense().images).all()
