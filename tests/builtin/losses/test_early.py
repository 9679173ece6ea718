"""A pool of early networks around any loss."""

import pytest
import torch

from dcc_core import Step
from dcc_core.engine import Network, update
from dcc_core.testing import LossConformance, job_of, toys
from dcc_plugins import early
from dcc_plugins.early import move_weights


class TestEarly(LossConformance):
    component, options = "early", {"of": "collective-bare", "networks": 2, "epochs": 1}


def early_job(**options):
    small = {"data": "blobs", "arch": "mlp", "run.outer_loops": 3, "loss": "early", "loss.of": "collective-bare"}
    return job_of({**small, "loss.networks": 2, "loss.epochs": 1, **options}, toys)


def weights_of(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def used_networks(job, steps):
    """The weights that the loss matches on, a step each."""
    run, synthetic, state = job.start()
    seen = []
    for outer in range(steps):
        own = Network(run, outer)
        step = Step(run, synthetic, outer=outer, inner=0, network=own.module)
        update(step, job.config.loss, state)
        seen.append(weights_of(state.module))
        assert not own.state_dict(), "the engine's own network was built"
    return seen


def test_a_network_of_the_pool_is_used_as_it_is_without_noise():
    job = early_job(**{"loss.noise": 0.0})
    state, pool = job.start().state, []
    for own in state.networks:
        state.module.load_state_dict(own)
        pool.append(weights_of(state.module).clone())
    found = [[torch.equal(one, of_pool) for of_pool in pool] for one in used_networks(job, 8)]
    assert all(sum(row) == 1 for row in found)
    assert {row.index(True) for row in found} == {0, 1}


def test_noise_gives_another_network_at_every_step_and_the_pool_stays():
    job = early_job(**{"loss.networks": 1})
    before = weights_of_pool(job)
    first, second = used_networks(job, 2)
    assert not torch.equal(first, second)
    assert all(map(torch.equal, before, weights_of_pool(job)))


def weights_of_pool(job):
    return [t.clone() for own in job.start().state.networks for t in own.values()]


@pytest.mark.parametrize("length", [0.5, 2.0])
def test_each_filter_moves_as_far_as_it_is_long(length):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(5, 2))
    before = [p.detach().clone() for p in network.parameters()]
    move_weights(network, length, torch.Generator().manual_seed(0))
    for old, new in zip(before, network.parameters(), strict=True):
        moved = (new.detach() - old).flatten(1).norm(dim=1) if old.ndim > 1 else (new.detach() - old).norm()
        own = old.flatten(1).norm(dim=1) if old.ndim > 1 else old.norm()
        torch.testing.assert_close(moved, length * own, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("images", "epochs"), [(0, 1), (26, 1), (130, 5), (110, 4)])
def test_few_images_are_shown_more_often(caplog, images, epochs):
    """There are 26 of them."""
    job = early_job(**{"loss.images": images})
    assert len(job.real.labels) == 26
    with caplog.at_level("INFO", logger="dcc"):
        job.start()
    assert f"on all real images, {epochs} epochs each" in caplog.text


def test_the_pool_is_trained_once_for_a_job_and_on_real_images(monkeypatch, caplog):
    trained = []

    def train(run, network, epochs, random, **how):
        trained.append((epochs, weights_of(network)))
        yield from real(run, network, epochs, random, **how)

    real = early.train_on_real
    monkeypatch.setattr(early, "train_on_real", train)
    job = early_job(**{"loss.epochs": 3})
    with caplog.at_level("INFO", logger="dcc"):
        for index in (0, 1, 0):
            state = job.start(index).state
    assert caplog.text.count("early trains a pool of 2 networks on all real images, 3 epochs each") == 1
    assert [epochs for epochs, _ in trained] == [3, 3]
    state.module.load_state_dict(state.networks[0])
    assert not torch.equal(weights_of(state.module), trained[0][1])


def test_an_outer_loop_is_one_update_at_the_rate_of_the_loss():
    job = early_job()
    assert (job.context().inner_loops, job.context().network_steps) == (1, 0)
    plain = job_of({"data": "blobs", "arch": "mlp", "loss": "collective-bare", "run.outer_loops": 10}, toys)
    assert early_job(**{"run.outer_loops": 100}).config.image_rate == plain.config.image_rate
