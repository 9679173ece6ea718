"""Distribution matching: the objective, its schedule, its draws."""

import pytest
import torch

from dcc_core import Step
from dcc_core.testing import LossConformance, Moment, job_of, remaining_objective, toys


class TestDm(LossConformance):
    component, settings = "dm", {"aug": "dsa"}


def make_job(options=None):
    """A run of the loss on toy data in float64 unless asked otherwise."""
    return job_of({"data": "blobs", "loss": "dm", "run.precision": "float64", **(options or {})}, toys)


def restated(step):
    """The objective image by image, in loops."""
    total = 0.0
    for label in range(step.num_classes):
        means = []
        for batch in (step.real(label), step.synthetic.batch(label)):
            images = step.augment(batch, label).images.detach()
            features = [step.network.embed(image.unsqueeze(0))[0].tolist() for image in images]
            means.append([sum(column) / len(features) for column in zip(*features, strict=True)])
        total += sum((a - b) ** 2 for a, b in zip(*means, strict=True))
    return total


@pytest.mark.parametrize(
    "options", [{}, {"aug": "dsa"}, {"arch": "linear"}, {"param": "half", "run.real_batch": 4}], ids=str
)
def test_the_objective_is_the_distance_of_feature_means(options):
    moment = Moment.of(make_job({"run.ipc": 2, "run.init": "noise", **options}))
    parts = [value.item() for value in moment.terms()]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(restated(moment.step), rel=1e-9)


def test_the_published_schedule_and_rate():
    """One update per network, which is never trained; a rate of 1, whatever the loops, unless another is given."""
    config = make_job({"run.ipc": 10, "run.outer_loops": 20000, "data": "blobs-of:12,12,12"}).config
    assert (config.schedule.inner_loops, config.schedule.network_steps) == (1, 0)
    assert (config.image_rate, config.run.image_momentum, config.run.real_batch) == (1.0, 0.5, 256)
    assert make_job({"run.image_rate": 0.3}).config.image_rate == 0.3


def test_every_update_has_a_network_of_its_own():
    job = make_job()
    weights = [next(Moment.of(job, outer).step.network.parameters()) for outer in (0, 1)]
    assert not torch.equal(*weights)


def test_one_draw_serves_the_real_and_the_synthetic_images_of_a_class():
    """Real images as synthetic ones, all of them: alike under any augmentation, if the draws are."""
    moment = Moment.of(make_job({"aug": "dsa", "run.ipc": 5, "data": "blobs-of:5,5,5"}))
    assert [value.item() for value in moment.terms()] == pytest.approx([0, 0, 0], abs=1e-20)
    apart, step = Step.augment, moment.step
    step.augment = lambda batch, owners, draw=0: apart(step, batch, owners, int(batch.images.requires_grad))
    assert min(value.item() for value in moment.terms()) > 1e-6


def test_a_run_lowers_the_objective():
    """On networks that the run has not seen."""
    job = make_job({"run.outer_loops": 30, "data": "digits", "run.precision": "float32", "run.init": "noise"})
    assert remaining_objective(job) < 0.7
