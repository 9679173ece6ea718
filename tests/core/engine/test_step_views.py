"""A step for some of its classes, and with other images: what losses around losses are made of."""

import pytest
import torch

from dcc_core import Batch, Step
from dcc_core.engine.algorithm import Network

SIX = {"data": "blobs-of:9,8,9,7,9,9", "run.ipc": 2}


def make_step(job, network=None):
    run, synthetic, _ = job.start()
    return Step(run, synthetic, outer=0, inner=0, network=network or Network(run, 0).module), synthetic


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_parts_of_a_step_share_its_network(make_job, norm):
    """Built once, and BatchNorm's statistics moved once."""
    built = []
    job = make_job({**SIX, "arch.norm": norm})
    run = job.context()

    def network():
        built.append(run.build(run.random.generator("x")))
        return built[-1]

    step, _ = make_step(job, network)
    parts = [
        step.within([0, 3]),
        step.with_images(lambda k, of: of(k)),
        step.within([5, 1]).with_images(lambda k, of: of(k)),
    ]
    states = [{k: v.clone() for k, v in p.network.state_dict().items()} for p in [*parts, step]]
    assert len(built) == 1
    assert [p.classes for p in parts] == [(0, 3), tuple(range(6)), (1, 5)]
    for state in states:
        assert all(torch.equal(v, states[0][k]) for k, v in state.items())
    sums = [p.summed_gradients().real[0] for p in (step.within([0, 3, 4]), step.within([1, 2, 5]), step)]
    assert torch.allclose(sums[0] + sums[1], sums[2], atol=1e-12)


def test_changes_act_on_both_sides_and_on_each_other(make_job):
    step, synthetic = make_step(make_job(SIX))
    seen = step.with_images(lambda k, of: Batch(-of((k + 1) % 6).images, of(k).labels))
    assert torch.equal(seen.real(5, 4).images, -step.real(0, 4).images)
    assert torch.equal(seen.synthetic.batch(5, 1).images, -synthetic.batch(0, 2).images)
    twice = seen.with_images(lambda k, of: Batch(2 * of(k).images, of(k).labels))
    assert torch.equal(twice.real(2).images[:7], -2 * step.real(3).images)
    assert torch.equal(twice.synthetic.batch(2).images, -2 * synthetic.batch(3).images)
    assert torch.equal(step.synthetic.batch(5).images, synthetic.batch(5).images)
