"""Work that is replayed equals work that runs as it is. Without a GPU, a replay computes anew on its own tensors."""

import copy
import functools
import gc
import os
import weakref
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from dcc_core import MatchingLoss, Step, Total
from dcc_core.compute import Compiler, Graphs, Randomness, seeded, structure_of
from dcc_core.engine import Network, optimise, update
from dcc_core.errors import ContractError

DEVICE = torch.device(os.environ.get("DCC_TEST_DEVICE", "cpu"))


class Rerun(Graphs):
    """Graphs on any device: a replay runs the work again on the tensors that it was recorded on."""

    device_type = DEVICE.type

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    @property
    def recorded(self):
        return self.counts["recorded"]

    @property
    def replayed(self):
        return self.counts["replayed"]

    def record(self, work, device):
        counts = self.counts
        counts["recorded"] += 1
        outputs, launch = super().record(work, device) if DEVICE.type == "cuda" else self.rerun(work)

        def count_and_launch():
            counts["replayed"] += 1
            launch()

        return outputs, count_and_launch

    def rerun(self, work):
        outputs = work()  # as a trial before a capture

        def launch():
            with torch.enable_grad():
                results = work()
            for output, new in zip(outputs, results, strict=True):
                output.copy_(new)

        return outputs, launch


@pytest.fixture
def graphs():
    return Rerun()


def learned(make_job, graphs, options):
    """What a run learns, plainly and with replayed work."""
    found = []
    for way in (Graphs(wanted=False), graphs):
        job = make_job({"run.outer_loops": 3, "run.inner_loops": 3, "run.network_steps": 2, **options})
        job._compiler = Compiler("off", way)
        found.append(job.condense().stored["images"].cpu())
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "collective-bare", "aug": "dsa"},
        {
            "loss": "collective-bare",
            "arch": "convnet",
            "arch.norm": "batch",
            "arch.width": 4,
            "run.network_momentum": 0.5,
        },
        {"loss": "class-wise", "run.ipc": 2, "run.real_batch": 3},
        {"loss": "collective-bare", "run.micro_batch": 2},
        {"loss": "penalised", "loss.of": "collective-bare"},
        {"loss": "early", "loss.of": "collective-bare", "loss.networks": 2, "loss.epochs": 1},
        {"loss": "collective-bare", "aug": "mixup", "run.network_momentum": 0},
    ],
    ids=lambda options: ",".join(map(str, options.values())),
)
def test_a_run_learns_the_same(make_job, graphs, options):
    plain, replayed = learned(make_job, graphs, options)
    assert graphs.replayed > 10
    assert torch.allclose(plain, replayed, rtol=1e-9, atol=1e-12)


def test_a_run_that_goes_on_learns_the_same(make_job):
    """Its graphs are captured anew, at other steps."""

    def condense(begin=None):
        job, states = make_job({"loss": "collective-bare", "run.outer_loops": 2, "run.network_momentum": 0.5}), []
        job._compiler = Compiler("off", Rerun())
        run, synthetic, state = job.start()
        keep = lambda capture, now=False: states.append(capture())  # noqa: E731
        optimise(run, job.config.loss, synthetic, state, keep=keep, begin=begin)
        return synthetic.stored["images"], states

    whole, states = condense()
    assert len(states) > 10
    for begin in states[1::6]:
        assert torch.equal(condense(begin)[0], whole)


def test_networks_of_all_outer_loops_share_graphs(make_job, graphs):
    """One for the real images' gradient, one for the synthetic, its derivative, and a training step."""
    learned(make_job, graphs, {"loss": "collective-bare", "run.outer_loops": 6})
    assert graphs.recorded <= 4


def scale(network, images, *, by):
    return [network(images) * by]


def call(graphs, network, images, by=2):
    (result,) = graphs.call(functools.partial(scale, by=by), network, images)
    return result


def linear(bias=False, weight=1.0):
    layer = nn.Linear(1, 1, bias=bias)
    nn.init.constant_(layer.weight, weight)
    return layer.to(DEVICE)


def images(count=1):
    return torch.full((count, 1), 3.0, device=DEVICE)


def test_the_second_call_is_recorded_and_later_ones_replayed(graphs):
    counts = []
    for weight in (1, 2, 3, 4):
        assert call(graphs, linear(weight=weight), images()).item() == 6 * weight
        counts.append((graphs.recorded, graphs.replayed))
    assert counts == [(0, 0), (1, 1), (1, 2), (1, 3)]


def test_what_is_given_is_not_overwritten(graphs):
    network = linear()
    results = [call(graphs, network, images() + i) for i in range(4)]
    assert [r.item() for r in results] == [6, 8, 10, 12]


class Applied(nn.Module):
    """Applies what it was given, and what else it keeps is an attribute."""

    def __init__(self, function=None, **own):
        super().__init__()
        self.function = function or (lambda x: x)
        vars(self).update(own)

    def forward(self, x):
        return self.function(x)


def power(exponent):
    return lambda x: x**exponent


@dataclass
class Settings:
    size: int


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Applied(power(2)), Applied(power(3))),
        (Applied(torch.tanh), Applied(torch.relu)),
        (Applied(nn.functional.max_pool2d), Applied(nn.functional.adaptive_max_pool2d)),
        (Applied(functools.partial(torch.clamp, min=0)), Applied(functools.partial(torch.clamp, min=1))),
        (Applied(sizes={"a": [1]}), Applied(sizes={"a": [2]})),
        (Applied(names={"a"}), Applied(names={"b"})),
        (Applied(size=1), Applied(size=True)),
        (Applied(size=1), Applied(size=1.0)),
        (Applied(size=None), Applied(size=0)),
        (Applied(settings=Settings(1)), Applied(settings=Settings(2))),
        (Applied(kind=torch.float32), Applied(kind=torch.float64)),
        (Applied(kind=nn.ReLU), Applied(kind=nn.Tanh)),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh())),
        (nn.Linear(2, 3), nn.Linear(3, 2)),
    ],
)
def test_structures_differ_where_networks_compute_differently(one, other):
    assert structure_of(one) is not None
    assert structure_of(one) == structure_of(copy.deepcopy(one))
    assert structure_of(one) != structure_of(other)


def holding(tensor):
    return lambda x: x + tensor


@pytest.mark.parametrize(
    "network",
    [
        Applied(hidden=torch.ones(1)),
        Applied(hidden=[torch.ones(1)]),
        Applied(holding(torch.ones(1))),
        Applied(hidden=[nn.Linear(1, 1)]),
        Applied(hidden=object()),
        nn.Sequential(Applied(hidden={"a": {1: torch.ones(1)}})),
    ],
)
def test_what_may_hide_a_tensor_has_no_structure(network):
    assert structure_of(network) is None


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_100"])
def test_networks_of_timm_have_one(name):
    timm = pytest.importorskip("timm")
    assert structure_of(timm.create_model(name)) == structure_of(timm.create_model(name)) is not None


class Shifted(nn.Module):
    """Its shift is a tensor that is no buffer."""

    def __init__(self, shift):
        super().__init__()
        self.shift = [torch.tensor(float(shift), device=DEVICE)]

    def forward(self, x):
        return x + self.shift[0]


def frozen():
    layer = linear()
    layer.weight.requires_grad_(False)
    return layer


def evaluated():
    return linear().eval()


@pytest.mark.parametrize(
    "other",
    [
        lambda graphs: call(graphs, nn.Sequential(Applied(power(3)), Applied(power(2))), images()),
        lambda graphs: call(graphs, linear(bias=True), images()),
        lambda graphs: call(graphs, frozen(), images()),
        lambda graphs: call(graphs, evaluated(), images()),
        lambda graphs: call(graphs, linear(), images(2)),
        lambda graphs: call(graphs, linear(), images(), by=3),
        lambda graphs: call(graphs, linear().double(), images().double()),
    ],
    ids=["settings", "bias", "frozen", "mode", "shape", "work", "type"],
)
def test_what_differs_shares_no_graph(graphs, other):
    for _ in range(3):
        call(graphs, linear(), images())
        call(graphs, nn.Sequential(Applied(power(2)), Applied(power(2))), images())
    before = graphs.recorded, graphs.replayed
    assert before == (2, 4)
    other(graphs)
    assert (graphs.recorded, graphs.replayed) == before


@pytest.mark.parametrize("kind", ["hook", "tensor"])
def test_networks_with_hooks_or_hidden_tensors_run_as_they_are(graphs, kind):
    seen = []
    for i in range(4):
        network = nn.Sequential(linear(), Shifted(i))
        if kind == "hook":
            network = linear()
            network.register_forward_hook(lambda *_: seen.append(1))
        assert call(graphs, network, images()).item() == 2 * (3 + i * (kind == "tensor"))
    assert graphs.replayed == 0
    assert len(seen) == (4 if kind == "hook" else 0)


def test_what_is_prepared_is_captured_before_it_is_called(graphs):
    """A derivative's thread calls it: there nothing can be captured."""
    work, counts = functools.partial(scale, by=2), []
    for i in range(3):
        graphs.prepare(work, linear(), images())
        counts.append(graphs.recorded)
        (result,) = graphs.call(work, linear(weight=i), images(), prepared=True)
        assert result.item() == 6 * i
        assert graphs.recorded == counts[-1]
    assert counts == [0, 1, 1]
    assert graphs.replayed == 2


def test_a_mode_within_a_network_counts(graphs):
    """A BatchNorm that is frozen while the network trains."""
    x = torch.tensor([[0.0], [4.0]], device=DEVICE)
    results = []
    for frozen_one in (False, False, False, True):
        network = nn.Sequential(nn.BatchNorm1d(1)).to(DEVICE)
        network[0].train(not frozen_one)
        results.append(call(graphs, network, x).flatten().tolist())
    assert results[2] == pytest.approx([-2, 2], abs=1e-4)
    assert results[3] == pytest.approx([0, 8], abs=1e-4)


class Averaging(nn.Module):
    """Keeps a moving average in a buffer that it replaces, or changes in place."""

    def __init__(self, in_place):
        super().__init__()
        self.register_buffer("mean", torch.zeros((), device=DEVICE))
        self.in_place = in_place

    def forward(self, x):
        new = 0.5 * self.mean + x.mean()
        if self.in_place:
            self.mean.copy_(new)
        else:
            self.mean = new
        return self.mean * 1


@pytest.mark.parametrize("in_place", [True, False])
def test_buffers_change_in_place_or_nothing_is_replayed(graphs, in_place):
    network, found = Averaging(in_place), []
    for _ in range(4):
        graphs.change(functools.partial(scale, by=1), network, [], images())
        found.append(network.mean.item())
    assert found == [3, 4.5, 5.25, 5.625]
    assert graphs.replayed == (3 if in_place else 0)


def test_numbers_drawn_do_not_depend_on_when_it_is_captured():
    found = []
    for begun in (0, 2):
        graphs, network = Rerun(), nn.Dropout(0.5).to(DEVICE).train()
        for step in range(begun, 5):
            with seeded(Randomness(0).generator("step", step), DEVICE):
                results = [call(graphs, network, images(64)) for _ in range(2)]
        found.append(torch.stack(results).cpu())
    assert torch.equal(*found)


def test_a_network_that_cannot_be_copied_runs_as_it_is(graphs):
    class Locked(Applied):
        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle '_thread.lock' object")

    for _ in range(3):
        assert call(graphs, Locked(), images()).item() == 6
    assert graphs.recorded == 0


def test_memory_is_given_back_where_it_runs_out(graphs):
    for _ in range(3):
        call(graphs, linear(), images())

    def exhaust(network, x):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        graphs.call(functools.partial(exhaust), linear(), images())
    call(graphs, linear(), images())
    assert graphs.replayed == 2


def test_graphs_end_with_their_run(make_job):
    gc.disable()
    try:
        job, graphs = make_job({"loss": "collective-bare", "run.outer_loops": 2}), Rerun()
        job._compiler = Compiler("off", graphs)
        job.condense()
        assert graphs.replayed > 0
        there = weakref.ref(graphs)
        del job, graphs
        assert there() is None
    finally:
        gc.enable()


def test_weights_stay_until_the_derivative(make_job, graphs):
    class Careless(MatchingLoss):
        def terms(self, step, state):
            found = step.summed_gradients().synthetic
            with torch.no_grad():
                next(step.network.parameters()).add_(1)
            yield Total(sum(g.square().sum() for g in found))

    job = make_job()
    job._compiler = Compiler("off", graphs)
    run, synthetic, state = job.start()
    with pytest.raises(ContractError, match="they changed before the derivative"):
        update(Step(run, synthetic, outer=0, inner=1, network=Network(run, 0).module), Careless(), state)


def test_the_oldest_graphs_go(graphs, monkeypatch):
    monkeypatch.setattr("dcc_core.compute.graphs.MOST", 2)
    for count in (1, 2, 3, 1):
        for _ in range(2):
            call(graphs, linear(), images(count))
    assert graphs.recorded == 4


@pytest.mark.parametrize("failures", [2, 9])
def test_what_cannot_be_captured_runs_as_it_is_and_that_is_said_once(graphs, monkeypatch, caplog, failures):
    """A capture may fail twice for other reasons; after the third time none is tried."""
    reasons = [RuntimeError("operation not permitted when stream is capturing\nmore")] * failures
    record = graphs.record

    def fail(work, device):
        if reasons:
            raise reasons.pop()
        return record(work, device)

    monkeypatch.setattr(graphs, "record", fail)
    for i in range(8):
        assert call(graphs, linear(weight=i), images()).item() == 6 * i
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    given_up = [
        "run.graphs: no CUDA graph could be captured, work runs without them: "
        "operation not permitted when stream is capturing"
    ]
    assert warnings == (given_up if failures > 2 else [])
    assert len(reasons) == (6 if failures > 2 else 0)
    assert graphs.replayed == (0 if failures > 2 else 5)


def test_scores_are_the_same(make_job, graphs):
    """Alone and in a stack, with a rate that falls."""
    accuracies = []
    for way in (Graphs(wanted=False), graphs):
        job = make_job({"score.nets": 3, "score.protocol": "dc", "arch": "convnet", "arch.width": 4})
        job._compiler = Compiler("off", way)
        s = job.freeze(job.start().synthetic, 0)
        scorer, data = job.scorer(s), job.decode(s)
        networks, _ = scorer._train_together(data, [scorer.random.at("net", i) for i in range(3)])
        network, _ = scorer._train_alone(data, scorer.random.at("net", 0))
        accuracies.append([p.detach().cpu() for n in (*networks, network) for p in n.parameters()])
    assert graphs.replayed > 100
    for plain, replayed in zip(*accuracies, strict=True):
        assert torch.allclose(plain, replayed, rtol=1e-7, atol=1e-9)


def test_options_choose(make_job):
    assert make_job()._compiler.graphs.replay_on(torch.device("cuda"))
    assert not make_job()._compiler.graphs.replay_on(torch.device("cpu"))
    assert not make_job({"run.graphs": False})._compiler.graphs.replay_on(torch.device("cuda"))


@pytest.mark.skipif(DEVICE.type != "cuda", reason="replays on a GPU alone have the bytes of what they replay")
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_run_with_graphs_repeats(make_job, deterministic):
    options = {"loss": "collective-bare", "aug": "dsa", "run.outer_loops": 3, "run.deterministic": deterministic}
    first, second = (make_job(options).condense().stored["images"].cpu().numpy() for _ in range(2))
    assert np.array_equal(first, second) or not deterministic


def test_a_copy_of_a_network_is_recorded_not_the_network(graphs):
    network = linear()
    for _ in range(3):
        call(graphs, network, images())
    before = copy.deepcopy(network.state_dict())
    call(graphs, linear(weight=9), images())
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize("arch", ["convnet", "lenet", "alexnet", "vgg11", "resnet18", "resnet18-ap", "mlp"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_networks_of_ours_share_graphs(make_job, arch, precision):
    job = make_job({"arch": arch, "run.precision": precision, "data.size": 32})
    one, other = (job.build(torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert structure_of(one) == structure_of(other) is not None
