"""Protocols against a plain restatement of the published evaluation loop."""

import pytest
import torch
import toys
from torch import nn

import dcc_plugins.manifest
from dcc_core import Augmentation, Batch, Randomness, Registry, Score, score
from dcc_core.chunks import Chunks, Footprint
from dcc_core.criterion import cross_entropy
from dcc_core.evaluate import Scorer, accuracy
from dcc_core.protocols import PROTOCOLS
from dcc_core.registry import Origin
from dcc_core.report import summary
from dcc_core.training import train_epoch
from dcc_plugins.augmentation import DSA
from dcc_plugins.networks.convnet import ConvNet


class Recorder(Augmentation):
    """No augmentation; counts the batches it is asked for."""

    def __init__(self):
        self.batches = []

    def draw(self, n, shape, generator, *, per_batch=False):
        assert per_batch
        self.batches.append(n)
        return {}

    def apply(self, images, labels, params, index):
        return images, labels


def two_pixels():
    """A set of 300 images that a linear network can learn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 2
    images = torch.randn(300, 1, 1, 2, generator=generator, dtype=torch.float64)
    return Batch(images + labels.view(-1, 1, 1, 1) * 2.0 - 1.0, labels)


def linear(generator):
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).double()


def some_at_once(images):
    """Chunks of so many images."""
    return Chunks(Footprint(largest=1, total=1, weights=1), torch.device("cpu"), given=images)


def restated(data, initial, epochs, decay_after, random):
    """`range(epochs)` epochs in batches of 256; after one of them, a tenth of the rate and momentum anew."""
    weights = [p.detach().clone().requires_grad_() for p in initial.parameters()]
    velocity = [torch.zeros_like(w) for w in weights]
    rate, updates = 0.01, 0
    for epoch in range(epochs):
        order = torch.randperm(len(data.labels), generator=random.at("epoch", epoch).generator("order"))
        for start in range(0, len(order), 256):
            batch = order[start : start + 256]
            logits = data.images[batch].flatten(1) @ weights[0].T + weights[1]
            loss = nn.functional.cross_entropy(logits, data.labels[batch])
            for i, gradient in enumerate(torch.autograd.grad(loss, weights)):
                velocity[i] = 0.9 * velocity[i] + gradient + 5e-4 * weights[i].detach()
                weights[i] = (weights[i].detach() - rate * velocity[i]).requires_grad_()
            updates += 1
        if epoch == decay_after:
            rate *= 0.1
            velocity = [torch.zeros_like(w) for w in weights]
    return weights, updates


@pytest.mark.parametrize(("name", "epochs", "decay_after"), [("dc", 301, 151), ("dsa", 1001, 501)])
def test_training_equals_the_published_loop(name, epochs, decay_after):
    data, random, network = two_pixels(), Randomness(0, ("x",)), linear(None)
    recorder = Recorder()
    scorer = Scorer(
        protocol=PROTOCOLS[name],
        augmentation=recorder,
        build=lambda generator: network,
        architecture="linear",
        test=data,
        chunks=some_at_once(100),
        num_classes=2,
        random=Randomness(0),
    )
    weights, updates = restated(data, network, epochs, decay_after, random)
    trained = list(scorer._trained(data, random).parameters())
    assert updates == epochs * 2
    assert recorder.batches == [256, 44] * epochs
    for found, expected in zip(trained, weights, strict=True):
        assert torch.allclose(found, expected, atol=1e-10)


def test_accuracy_is_the_share_of_right_answers():
    network = nn.Flatten()
    images = torch.tensor([[3.0, 1.0], [0.0, 2.0], [5.0, 4.0], [1.0, 2.0]]).view(4, 2, 1, 1)
    assert accuracy(network, Batch(images, torch.tensor([0, 1, 1, 1])), some_at_once(3)) == 0.75


def mnist(make_job):
    data = make_job().data
    return type(data)(**{**vars(data), "traits": frozenset({"mnist"})})


def convnet(norm):
    return ConvNet(depth=1, width=2, norm=norm).build(
        channels=1, classes=2, size=(8, 8), generator=torch.Generator().manual_seed(0)
    )


def test_the_dc_protocol_jitters_mnist_and_batch_norm_convnets(make_job):
    dc, plain = PROTOCOLS["dc"], make_job().data
    assert dc.suited(plain, convnet("instance"), "convnet") == dc
    assert dc.suited(plain, convnet("batch"), "resnet18") == dc
    for data, norm, strategy in [
        (mnist(make_job), "instance", ("crop", "scale", "rotate")),
        (plain, "batch", ("crop", "noise")),
        (mnist(make_job), "batch", ("crop", "noise")),
    ]:
        suited = dc.suited(data, convnet(norm), "convnet")
        assert (suited.epochs, suited.decay_after, suited.augmentation) == (1001, 501, "jitter")
        assert suited.options == {"strategy": strategy}
    dsa = PROTOCOLS["dsa"]
    assert dsa.suited(mnist(make_job), convnet("batch"), "convnet") == dsa


def test_the_dsa_protocol_augments_as_the_run_does(make_job):
    own = make_job({"aug": "dsa", "aug.strategy": "crop", "aug.crop": "0.25"})
    assert own.scorer(own.condense()).augmentation == DSA(strategy=("crop",), crop=0.25)
    qualified = make_job({"aug": "builtin:dsa", "aug.crop": "0.25"})
    assert qualified.scorer(qualified.condense()).augmentation == DSA(crop=0.25)
    other = make_job({"score.protocol": "dsa"})
    assert other.scorer(other.condense()).augmentation == DSA()


def test_scoring_again_gives_the_same_accuracies(make_job, registry):
    job = make_job({"run.precision": "float32", "score.nets": 3, "run.seed": 5}, data="blobs-of:6,6,6,6,6")
    s = job.condense(1)
    first = job.scorer(s).score(job.decoded(s), 3)
    again = score(s, registry=registry)
    assert again.accuracies == first.accuracies
    assert len(set(first.accuracies)) > 1 or first.accuracies[0] == 1.0
    fewer = score(s, registry=registry, nets=2)
    assert fewer.accuracies == first.accuracies[:2]


def test_spread_over_sets_and_networks_apart():
    scores = [
        Score(accuracies=a, protocol="dc", version=1, architecture="convnet", seconds=1.0)
        for a in ((0.2, 0.4), (0.6, 0.8))
    ]
    found = summary(scores)
    assert found["mean"] == pytest.approx(0.5)
    assert found["std"] == pytest.approx(0.05**0.5)
    assert found["std_over_sets"] == pytest.approx(0.2)
    assert found["std_over_networks"] == pytest.approx(0.1)
    assert summary(scores[:1])["std_over_sets"] is None


def test_a_set_is_scored_without_the_plugin_of_its_loss(make_job):
    s = make_job({"loss": "dm", "score.nets": 1}).condense()
    assert s.provenance.config["loss"] == "dm"
    without = Registry([dcc_plugins.manifest, OnlyData()], [Origin("builtin"), Origin("data")])
    assert len(score(s, registry=without).accuracies) == 1


class OnlyData:
    dcc_datasets = staticmethod(toys.dcc_datasets)


@pytest.mark.parametrize(("norm", "batches"), [("batch", [257]), ("instance", [256, 1])])
def test_a_last_image_on_its_own_joins_the_batch_before_where_statistics_are_taken(norm, batches):
    """BatchNorm has no statistics of one value; other networks keep the protocol to the letter."""
    generator = torch.Generator().manual_seed(0)
    network = ConvNet(depth=1, width=2, norm=norm).build(channels=1, classes=2, size=(2, 2), generator=generator)
    data = Batch(torch.randn(257, 1, 2, 2, generator=generator), torch.arange(257) % 2)
    augmentation, optimiser = Recorder(), torch.optim.SGD(network.parameters(), lr=0.1)
    options = {"batch_size": 256, "num_classes": 2, "criterion": cross_entropy, "random": Randomness(0)}
    options["chunks"] = some_at_once(1000)
    train_epoch(network, data, optimiser, augmentation=augmentation, **options)
    assert augmentation.batches == batches
