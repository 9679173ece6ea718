"""Networks trained as one stack are those that are trained one by one."""

import dataclasses

import pytest
import torch
from torch import nn

from dcc_core.scoring.stack import Stack, is_stackable
from dcc_plugins.networks.convnet import ConvNet


def convnet(norm="instance", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return ConvNet(width=4, norm=norm).build(channels=3, classes=10, size=(8, 8), generator=generator).double()


@pytest.mark.parametrize("options", [{"aug": "none"}, {"aug": "dsa", "run.ipc": 3}, {"aug": "none", "arch": "lenet"}])
def test_a_stack_ends_where_its_networks_would(make_job, options):
    """Own initial weights, own order, own draws, the rate lowered on the way; several batches an epoch."""
    job = make_job({**options, "data.size": 16})
    s = job.freeze(job.start().synthetic, 0)
    scorer, data = job.scorer(s), job.decode(s)
    protocol = dataclasses.replace(scorer.protocol, epochs=5, decays=(2,), batch=2)
    scorer = dataclasses.replace(scorer, protocol=protocol)
    randoms = [scorer.random.at("net", net) for net in range(3)]
    together, shown = scorer._train_together(data, randoms)
    assert shown == 5 * len(data)
    begun = [scorer.build(random.generator("network")) for random in randoms]
    for network, random, before in zip(together, randoms, begun, strict=True):
        alone, shown_alone = scorer._train_alone(data, random)
        assert shown_alone == shown
        for found, expected, initial in zip(network.parameters(), alone.parameters(), before.parameters(), strict=True):
            assert torch.allclose(found, expected, atol=1e-11)
            assert not torch.equal(found, initial)
        assert scorer._accuracy(network) == scorer._accuracy(alone)


def test_a_stack_holds_its_own_weights():
    networks = [convnet(seed=seed) for seed in (0, 1)]
    stack = Stack(networks)
    images = torch.randn(2, 5, 3, 8, 8, dtype=torch.float64)
    for own, logits in zip(networks, stack(images), strict=True):
        assert torch.allclose(own(images[networks.index(own)]), logits, atol=1e-12)
    with torch.no_grad():
        stack.weights[0].zero_()
    assert networks[0].features[0].weight.abs().sum() > 0
    assert [p.shape[0] for p in stack.parameters()] == [2] * len(list(networks[0].parameters()))


def test_networks_that_draw_or_keep_statistics_are_no_stack():
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert is_stackable(convnet(), images)
    assert not is_stackable(convnet("batch"), images)
    assert not is_stackable(nn.Sequential(convnet(), nn.Dropout(0.5)), images)
