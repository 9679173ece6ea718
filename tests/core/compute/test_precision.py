"""Networks in bfloat16: close to float32, with everything but their maps in float32."""

import os

import pytest
import torch
from torch import nn

from dcc_core.compute.precision import Autocast, in_precision, use_deterministic_kernels, use_tf32
from dcc_core.config.run_options import RunOptions
from dcc_core.engine.image_update import update
from dcc_core.engine.step import Step

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
    network = in_precision(Features(), RunOptions(precision="bfloat16"), CPU)
    assert isinstance(network, Autocast)
    images = torch.randn(3, 2, 4, 4)
    assert network(images).dtype == network.embed(images).dtype == torch.float32
    assert network.network.seen == torch.bfloat16
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert in_precision(Features(), RunOptions(precision="float64"), CPU).head.weight.dtype == torch.float64


@pytest.mark.parametrize("arch", [{"arch": "convnet", "arch.depth": 2}, {"arch": "resnet18", "arch.norm": "batch"}])
def test_channels_last_is_the_same_to_rounding(make_job, arch):
    """A whole run with network steps, in float64; and the maps do lie so, in float32: cuDNN's of float64 never do."""
    options = {**arch, "run.outer_loops": 1, "run.inner_loops": 2, "run.network_steps": 1, "run.real_batch": 4}
    images = {}
    for layout in ("channels-first", "channels-last"):
        job = make_job({**options, "run.layout": layout})
        images[layout] = job.condense().stored["images"]
        assert layouts(job.build(torch.Generator().manual_seed(0)).float(), job.data.shape) == {layout}
    first, last = images.values()
    assert (first - last).abs().max() < 1e-9
    assert not torch.equal(first, job.start().synthetic.stored["images"].cpu())


def layouts(network, shape):
    """How the maps of a network's convolutions lie, of those that are larger than a pixel."""
    found = set()

    def look(_layer, _inputs, maps):
        if maps.shape[-1] > 1:
            found.add("channels-first" if maps.is_contiguous() else "channels-last")
            assert maps.is_contiguous() or maps.is_contiguous(memory_format=torch.channels_last)

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(look)
    network(torch.zeros(2, *shape, device=next(network.parameters()).device))
    return found


@pytest.fixture
def torchs_own():
    """What torch says of TF32, which is the process's, is as it was again."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    yield
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


@pytest.mark.usefixtures("torchs_own")
@pytest.mark.parametrize(
    ("where", "convolutions", "products"),
    [("convolutions", True, "highest"), ("all", True, "high"), ("off", False, "highest")],
)
def test_tf32(where, convolutions, products):
    use_tf32(where)
    assert torch.backends.cudnn.allow_tf32 == convolutions
    assert torch.get_float32_matmul_precision() == products


@pytest.mark.parametrize("wanted", [True, False])
def test_deterministic_kernels_are_asked_for_or_not(monkeypatch, wanted):
    """Not here, where there are none: a kernel that has no deterministic form only warns."""
    monkeypatch.setattr(os, "environ", {})
    try:
        use_deterministic_kernels(wanted)
        assert torch.are_deterministic_algorithms_enabled() == torch.backends.cudnn.deterministic == wanted
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


@pytest.mark.usefixtures("torchs_own")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", [{"run.tf32": "all"}, {"run.layout": "channels-last"}])
def test_a_gpus_gradients_agree_with_exact_ones(make_job, options):
    """Summed gradients, to TF32's ten bits, beside those with every product in float32."""
    sums = []
    for own in ({"run.tf32": "off", "run.layout": "channels-first"}, options):
        job = make_job({"run.device": "cuda", "run.precision": "float32", "arch.width": 16, **own})
        run, synthetic, _ = job.start()
        network = job.build(run.random.generator("network"))
        sums.append(Step(run, synthetic, outer=0, inner=0, network=lambda n=network: n).summed_gradients().synthetic)
    exact, rough = (torch.cat([g.flatten() for g in s]) for s in sums)
    assert torch.cosine_similarity(exact, rough, dim=0) > 0.999


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
