"""Networks in bfloat16: close to float32, with everything but their maps in float32."""

import pytest
import torch
from torch import nn

from dcc_core.engine import update
from dcc_core.precision import Autocast, in_precision
from dcc_core.step import Step

CPU = torch.device("cpu")


@pytest.fixture(params=["class-wise", "collective-bare"])
def steps(make_job, request):
    """The same inner step in float32 and in bfloat16."""
    found = {}
    for precision in ("float32", "bfloat16"):
        job = make_job({"loss": request.param, "run.precision": precision, "arch.width": 16, "run.ipc": 2})
        run, synthetic, state = job.start()
        network = job.build(run.random.generator("network"))
        step = Step(run, synthetic, outer=0, inner=0, network=lambda network=network: network)
        found[precision] = job, step, state
    return found


def test_gradients_agree_to_the_precision_of_the_type(steps):
    """bfloat16 keeps 8 bits: summed gradients point the same way, to within a few percent."""
    sums = {name: step.summed_gradients() for name, (_, step, _) in steps.items()}
    for side in ("real", "synthetic"):
        exact, rough = (torch.cat([g.flatten() for g in getattr(s, side)]) for s in sums.values())
        assert rough.dtype == torch.float32
        assert torch.cosine_similarity(exact, rough, dim=0) > 0.995
        assert not torch.equal(exact, rough)


def test_the_objective_and_its_step_agree(steps):
    values, moves = [], []
    for job, step, state in steps.values():
        before = step.synthetic.stored["images"].clone()
        values.append(update(step, job.config.loss, state))
        moves.append((step.synthetic.stored["images"] - before).flatten())
    assert values[1] == pytest.approx(values[0], rel=0.05)
    assert torch.cosine_similarity(*moves, dim=0) > 0.9


def test_what_goes_in_and_comes_out_keeps_its_type():
    network = in_precision(Features(), "bfloat16", CPU)
    assert isinstance(network, Autocast)
    images = torch.randn(3, 2, 4, 4)
    assert network(images).dtype == network.embed(images).dtype == torch.float32
    assert network.network.seen == torch.bfloat16
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert in_precision(Features(), "float64", CPU).head.weight.dtype == torch.float64


class Features(nn.Module):
    """A network that remembers the type of its features."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(32, 8), nn.Linear(8, 3)

    def embed(self, images):
        features = self.body(images.flatten(1))
        self.seen = features.dtype
        return features

    def forward(self, images):
        return self.head(self.embed(images))
