"""The speed benchmark's reference works as the field does, and computes what the engine computes."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dcc_core.engine.image_update import update
from dcc_core.engine.step import Step

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import field_loop


class Counted(nn.Module):
    """A network that keeps the number of images of every call."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.calls = []

    def forward(self, images):
        self.calls.append(len(images))
        return self.network(images)


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("loss", ["class-wise", "collective-bare"])
def test_one_class_after_another_to_the_engines_result(make_job, loss):
    """A call for the real and one for the synthetic images of every class; the images move as the engine moves them."""
    job = make_job({"loss": loss, "loss.reduction": "sum"} if loss == "collective-bare" else {"loss": loss})
    run, synthetic, state = job.start()
    plain = field_loop.convnet(2, 3, 8, width=4, depth=1)
    network = job.build(run.random.generator("network"))
    for own, other in zip(plain.parameters(), network.parameters(), strict=True):
        own.data.copy_(other.data)
    images = synthetic.stored["images"].detach().clone().requires_grad_()
    optimiser = torch.optim.SGD([images], lr=job.config.image_rate, momentum=job.config.run.image_momentum)
    step = Step(run, synthetic, outer=0, inner=0, network=lambda: network)
    real = {k: step.real(k).images for k in range(3)}
    counted = Counted(plain)
    take = field_loop.class_wise_step if loss == "class-wise" else field_loop.collective_step
    value = take(counted, real.__getitem__, images, run.ipc, optimiser)
    assert counted.calls == [n for k in range(3) for n in (len(real[k]), run.ipc)]
    assert value == pytest.approx(update(step, job.config.loss, state), abs=1e-9)
    assert torch.allclose(images, synthetic.stored["images"], atol=1e-9)


def test_scoring_gathers_sample_by_sample(monkeypatch):
    """A data loader over single samples, shuffled anew in every epoch; the last test is the only one."""
    taken = []

    class Samples(torch.utils.data.TensorDataset):
        def __getitem__(self, index):
            taken.append(index)
            return super().__getitem__(index)

    monkeypatch.setattr(field_loop, "TensorDataset", Samples)
    images, labels = torch.randn(6, 1, 4, 4), torch.arange(6) % 2
    test = field_loop.loader(images, labels, shuffle=False)
    network = Counted(field_loop.convnet(1, 2, 4, width=2, depth=1))
    accuracy = field_loop.score(network, images, labels, test, epochs=3, decay_after=1)
    assert network.calls == [6] * 4
    assert len(taken) == 24
    assert [sorted(taken[i : i + 6]) for i in (0, 6, 12)] == [list(range(6))] * 3
    assert taken[:6] != taken[6:12] or taken[6:12] != taken[12:18]
    assert taken[18:] == list(range(6))
    assert 0 <= accuracy <= 1
