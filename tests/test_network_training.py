"""What the network trains on between image updates: the set as it stands, or real images; all of them, or some."""

import dataclasses

import pytest
import torch

from dcc_core.engine import Network, optimise

SMALL = {"run.ipc": 2, "run.inner_loops": 3, "run.network_steps": 2, "run.network_batch": 4, "run.outer_loops": 1}


def weights(network):
    return [p.detach().clone() for p in network.matching().parameters()]


def restated(run, batch_of, n, images, inner=0):
    """Weights after plain gradient descent, batch by batch, over the first `images` of every epoch's order."""
    network = run.build(run.random.generator("outer", 0, "network")).train()
    shown = []
    for epoch in range(2):
        order = run.random.at("outer", 0, "inner", inner, "epoch", epoch).generator("order")
        for indices in torch.randperm(n, generator=order)[:images].split(4):
            shown += indices.tolist()
            batch = batch_of(indices)
            loss = torch.nn.functional.cross_entropy(network(batch.images), batch.labels)
            for p, g in zip(network.parameters(), torch.autograd.grad(loss, network.parameters()), strict=True):
                p.data -= 0.01 * g
    return list(network.parameters()), shown


@pytest.mark.parametrize("images", [None, 6, 100])
@pytest.mark.parametrize("data", ["synthetic", "real"])
def test_it_is_plain_descent_on_what_is_asked_for(make_job, data, images):
    run, synthetic, _ = make_job({**SMALL, "run.network_data": data, "run.network_images": images}).start()
    network = Network(run, 0)
    network.train(synthetic, 0)
    with torch.no_grad():
        every = synthetic.batch(0, 1, 2)
    source, n = (run.real.batch, 26) if data == "real" else (every.batch, 6)
    expected, shown = restated(run, source, n, images)
    assert len(shown) == 2 * min(n, images or n)
    if data == "real" and images == 6:
        assert set(shown[:6]) != set(shown[6:])
    for found, p in zip(weights(network), expected, strict=True):
        assert torch.allclose(found, p, rtol=0, atol=1e-12)


def test_real_images_train_it_whatever_the_set(make_job):
    """Nor is the set decoded for it."""
    run, synthetic, _ = make_job({**SMALL, "run.network_data": "real"}).start()
    first, second = Network(run, 0), Network(run, 0)
    first.train(synthetic, 0)
    synthetic.batch = lambda *labels: pytest.fail("the synthetic set was asked for")
    second.train(synthetic, 0)
    both = [torch.cat([p.flatten() for p in weights(network)]) for network in (first, second, Network(run, 0))]
    assert torch.equal(both[0], both[1])
    assert not torch.equal(both[0], both[2])


def test_batches_of_one_join_the_last_where_norms_need_more(make_job):
    """Of five images in batches of four, one is left over."""
    options = {**SMALL, "run.network_data": "real", "run.network_images": 5, "arch.norm": "batch"}
    run, synthetic, _ = make_job(options).start()
    sizes = []
    network = Network(run, 0)
    network.matching().register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    network.train(synthetic, 0)
    assert sizes == [5, 5]


def test_a_run_says_what_its_networks_trained_on(make_job):
    job = make_job({**SMALL, "run.network_data": "real", "run.network_images": 5})
    s = job.condense()
    assert s.provenance.config["run.network_data"] == "real"
    assert s.provenance.config["run.network_images"] == 5
    plain = make_job(SMALL).condense()
    assert not torch.equal(s.images, plain.images)
    run, synthetic, state = make_job(SMALL).start()
    optimise(dataclasses.replace(run, network_images=6), job.config.loss, synthetic, state)
    assert torch.allclose(run.real.normalisation.to_unit(synthetic.stored["images"].detach()), plain.images, atol=1e-12)
