"""Neural feature regression: the objective, its rate, its draws."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dcc_core import Step
from dcc_core.testing import LossConformance, Moment, job_of, remaining_objective, toys


class TestFrepo(LossConformance):
    component, settings = "frepo", {"aug": "dsa"}


def make_job(options=None):
    """A run of the loss on toy data in float64 unless asked otherwise."""
    return job_of({"data": "blobs", "loss": "frepo", "run.precision": "float64", **(options or {})}, toys)


def restated(loss, step):
    """The objective by numpy, image by image."""
    classes = step.num_classes

    def rows(batches):
        features, labels = [], []
        for batch in batches:
            own = batch.labels if batch.labels.is_floating_point() else torch.eye(classes)[batch.labels.cpu()]
            features += [step.network.embed(x.unsqueeze(0))[0].tolist() for x in batch.images.detach()]
            labels += (own.detach().double() - 1 / classes).tolist()
        return np.array(features), np.array(labels)

    x_t, y_t = rows([step.augment(step.real(k), 0) for k in range(classes)])
    x_s, y_s = rows([step.augment(step.synthetic.batch(k), 0) for k in range(classes)])
    k_ss = x_s @ x_s.T
    inverse = np.linalg.inv(k_ss + loss.ridge * np.trace(k_ss) / len(k_ss) * np.eye(len(k_ss)))
    error = x_t @ x_s.T @ inverse @ y_s - y_t
    values = step.synthetic.batch(0).images[0].numel()
    return len(x_s) * values / 2 * np.mean(np.sum(error**2, axis=1))


@pytest.mark.parametrize(
    "options",
    [{}, {"aug": "dsa"}, {"loss.ridge": 0.01, "run.ipc": 3}, {"param": "half", "run.real_batch": 4}],
    ids=str,
)
def test_the_objective_is_the_regressions_error(options):
    moment = Moment.of(make_job({"run.ipc": 2, "run.init": "noise", **options}))
    (value,) = moment.terms()
    assert value.item() == pytest.approx(restated(moment.loss, moment.step), rel=1e-9)


def test_the_objective_of_a_larger_set_is_as_steep():
    """Every image of a set of copies moves as that of the set itself, at the same rate and twice the ridge."""
    one, two = (Moment.of(make_job({"run.ipc": n, "loss.ridge": ridge})) for n, ridge in ((1, 0.2), (2, 0.4)))
    images = one.synthetic.stored["images"].detach()
    with torch.no_grad():
        two.synthetic.stored["images"].copy_(images.repeat_interleave(2, dim=0))
    mine, theirs = one.gradient()["images"], two.gradient()["images"][::2]
    torch.testing.assert_close(theirs, mine, rtol=1e-9, atol=0)


def test_one_draw_augments_all_images_alike():
    """The regression must not be told classes by their augmentation."""
    moment = Moment.of(make_job({"aug": "dsa"}))
    owners, augment = [], Step.augment
    moment.step.augment = lambda batch, of, draw=0: owners.append((of, draw)) or augment(moment.step, batch, of, draw)
    list(moment.terms())
    assert owners == [(0, 0), (0, 0)]


def test_augmentations_that_mix_labels_mix_them_here():
    moment = Moment.of(make_job({"aug": "mixup"}))
    mixed, augment = [], Step.augment
    moment.step.augment = lambda *how: mixed.append(augment(moment.step, *how)) or mixed[-1]
    value = moment.objective()
    assert all(batch.labels.is_floating_point() for batch in mixed)
    moment.step.augment = lambda *how: replace(batch := augment(moment.step, *how), labels=batch.labels.argmax(dim=1))
    assert abs(moment.objective() / value - 1) > 0.01


@pytest.mark.parametrize("options", [{}, {"loss": "early", "loss.of": "frepo", "loss.networks": 1, "loss.epochs": 1}])
def test_a_run_lowers_the_objective(options):
    """On networks that the run has not seen."""
    ridge = {"loss.of.ridge" if options else "loss.ridge": 0.01}
    loops = {"run.outer_loops": 40} if options else {"run.outer_loops": 2, "run.inner_loops": 20}
    own = {"data": "digits", "run.precision": "float32", "run.init": "noise"}
    assert remaining_objective(make_job({**own, **ridge, **loops, **options})) < 0.7
