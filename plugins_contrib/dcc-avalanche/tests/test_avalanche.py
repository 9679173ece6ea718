"""A strategy of Avalanche's that replays condensed images."""

import pytest

pytest.importorskip("avalanche")

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.models import SimpleMLP
from avalanche.training.supervised import Naive
from dcc_avalanche import CondensedBuffer, CondensedReplay
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from dcc_core import DccError

SMALL = {"run.outer_loops": 1, "run.inner_loops": 2, "run.network_steps": 1, "arch.depth": 2, "arch.width": 4}
MEAN, STD = (0.3,), (0.4,)


def digits(normalised=True):
    """Digits in two experiences of five classes."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    x = (x - MEAN[0]) / STD[0] if normalised else x
    parts = []
    for rows in (slice(0, 400), slice(400, 600)):
        part = TensorDataset(x[rows], torch.tensor(labels[rows]))
        part.targets = labels[rows].tolist()
        parts.append(as_classification_dataset(part))
    return nc_benchmark(*parts, n_experiences=2, task_labels=False, shuffle=False)


def trained(plugin, benchmark):
    torch.manual_seed(0)
    model = SimpleMLP(num_classes=10, input_size=64)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    strategy = Naive(
        model=model, optimizer=optimiser, train_mb_size=10, train_epochs=3, plugins=[plugin] if plugin else []
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    model.eval()
    first = benchmark.test_stream[0].dataset
    x, y = (torch.stack([torch.as_tensor(row[k]) for row in first]) for k in (0, 1))
    return float((model(x).argmax(dim=1) == y).float().mean())


def test_condensed_replay_keeps_what_is_forgotten_without():
    benchmark = digits()
    plugin = CondensedReplay(5, mean=MEAN, std=STD, options=SMALL)
    assert trained(None, benchmark) < 0.2
    assert trained(plugin, benchmark) > 0.5
    assert len(plugin.storage_policy.buffer) == 50


@pytest.mark.parametrize("how", [{"loss": "class-wise", "aug": "none"}, {"method": "random"}])
def test_the_buffer_holds_ipc_images_of_every_class_in_the_benchmarks_space(how):
    benchmark = digits()
    buffer = CondensedBuffer(3, mean=MEAN, std=STD, options=SMALL if "loss" in how else {"arch.depth": 2}, **how)
    for experience in benchmark.train_stream:
        buffer.post_adapt(None, experience)
    targets = [int(t) for t in buffer.buffer.targets]
    assert sorted(targets) == sorted(list(range(10)) * 3)
    x, y, task = buffer.buffer[0]
    assert x.shape == (1, 8, 8) and int(y) == targets[0] and task == 0
    if "method" in how:
        known = {tuple(row[0].flatten().mul(255).round().tolist()) for row in digits(False).train_stream[0].dataset}
        unit = x * STD[0] + MEAN[0]
        assert tuple(unit.flatten().mul(255).round().tolist()) in known


def test_images_in_another_space_are_refused():
    with pytest.raises(DccError, match="give those by which the benchmark normalises"):
        CondensedBuffer(3).post_adapt(None, digits().train_stream[0])


def test_a_condensed_memory_cannot_be_cut():
    with pytest.raises(DccError, match="cannot be cut to 2"):
        CondensedBuffer(3).resize(None, 2)
