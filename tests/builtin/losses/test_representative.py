"""Representative batches around any loss."""

import pytest
import torch

from dcc_core import Step
from dcc_core.engine import Network, update
from dcc_core.runs.forecast import Probe
from dcc_core.testing import LossConformance, job_of, toys

SMALL = {
    "data": "blobs-of:30,30,30",
    "arch": "mlp",
    "loss": "representative",
    "loss.of": "collective-bare",
    "run.real_batch": 4,
    "run.outer_loops": 3,
}


class TestRepresentative(LossConformance):
    component, options = "representative", {"of": "collective-bare", "every": 2}


def make_job(**options):
    return job_of({**SMALL, **options}, toys)


def picks(job, steps):
    """What is picked at each step, given as outer and inner loop."""
    run, synthetic, state = job.start()
    seen = []
    for outer, inner in steps:
        step = Step(run, synthetic, outer=outer, inner=inner, network=Network(run, outer).module)
        update(step, job.config.loss, state)
        seen.append(torch.cat(state.by_class).clone())
    return seen


def test_a_batch_has_the_image_nearest_to_each_centre():
    """In the network's features, every image of the class has a picked one nearer than the batch of random ones has."""
    job = make_job(**{"loss.among": None})
    run, _, _ = job.start()
    features = Network(run, 0).module().eval()

    def distance(chosen, k):
        with torch.no_grad():
            own = features.embed(run.real.batch(run.real.by_class[k]).images)
            picked = features.embed(run.real.batch(chosen).images)
        return float(torch.cdist(own, picked).amin(dim=1).square().mean())

    (found,) = picks(job, [(0, 0)])
    for k in range(3):
        own = run.real.by_class[k]
        chosen = found[4 * k : 4 * k + 4]
        assert len(set(chosen.tolist())) == 4 and set(chosen.tolist()) <= set(own.tolist())
        drawn = [
            distance(own[torch.randperm(30, generator=torch.Generator().manual_seed(s))[:4]], k) for s in range(20)
        ]
        assert distance(chosen, k) < sum(drawn) / len(drawn)


def test_the_loss_is_that_of_the_picked_images():
    job = make_job()
    run, synthetic, state = job.start()
    step = Step(run, synthetic, outer=0, inner=0, network=Network(run, 0).module)
    (found,) = (term.value.item() for term in job.config.loss.terms(step, state))
    real = [run.real.batch(own) for own in state.by_class]
    view = step.with_images(lambda k, of: of(k) if len(of(k)) == run.ipc else real[k])
    (expected,) = (term.value.item() for term in job.config.loss.of.terms(view, state.of))
    assert found == pytest.approx(expected, rel=1e-5)


def test_images_are_picked_again_after_some_updates():
    job = make_job(**{"loss.every": 12, "loss.among": 20})
    first, second, third = picks(job, [(0, 0), (1, 1), (1, 2)])
    assert torch.equal(first, second) and not torch.equal(second, third)


def test_a_class_smaller_than_the_batch_is_taken_whole():
    (found,) = picks(make_job(data="blobs-of:30,30,3"), [(0, 0)])
    assert len(found) == 4 + 4 + 3


@pytest.mark.parametrize("outer_loops", [3, 1000])
def test_a_forecast_counts_the_clusterings(outer_loops):
    """One step in 50 clusters; a forecast looks at some outer loops, which must not fall on these alone."""
    job = make_job(**{"run.outer_loops": outer_loops, "loss.every": 50})
    phases = [phase for phase, _ in Probe(job, 0.0)._phases(outer_loops)]
    share = phases.count("(clustering)") / len(phases)
    assert share == pytest.approx(1 / 30 if outer_loops == 3 else 1 / 50, rel=0.3)
