"""Protocols against a plain restatement of the published evaluation loop."""

from dataclasses import replace

import pytest
import torch
import toys
from torch import nn

import dcc_plugins.manifest
from dcc_core import Augmentation, Batch, Randomness, Registry, Score, score, seeded
from dcc_core.compute.chunks import Chunks, Footprint
from dcc_core.compute.criterion import cross_entropy
from dcc_core.engine.network_training import train_epoch
from dcc_core.plugins.registry import Origin
from dcc_core.runs.report import summary
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_core.scoring.scorer import Scorer, measure_accuracy
from dcc_plugins.dsa import DSA
from dcc_plugins.idc import IDC
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


PUBLISHED = {
    # epochs, batch, first epochs at a lower rate, its factor, whether momentum begins anew
    "dc": (301, 256, (152,), 0.1, True),
    "dsa": (1001, 256, (502,), 0.1, True),
    "idc": (1000, 64, (666, 833), 0.2, False),
}


def restated(data, initial, name, random):
    """The published loop: `epochs` epochs in batches; before some of them the rate falls, with momentum anew or not."""
    epochs, batch_size, milestones, factor, restarts = PUBLISHED[name]
    weights = [p.detach().clone().requires_grad_() for p in initial.parameters()]
    velocity = [torch.zeros_like(w) for w in weights]
    rate, updates = 0.01, 0
    for epoch in range(epochs):
        if epoch in milestones:
            rate *= factor
            velocity = [torch.zeros_like(w) for w in weights] if restarts else velocity
        order = torch.randperm(len(data.labels), generator=random.at("epoch", epoch).generator("order"))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            logits = data.images[batch].flatten(1) @ weights[0].T + weights[1]
            loss = nn.functional.cross_entropy(logits, data.labels[batch])
            for i, gradient in enumerate(torch.autograd.grad(loss, weights)):
                velocity[i] = 0.9 * velocity[i] + gradient + 5e-4 * weights[i].detach()
                weights[i] = (weights[i].detach() - rate * velocity[i]).requires_grad_()
            updates += 1
    return weights, updates


def scorer_of(protocol, build=linear, **fields):
    """A scorer of two pixels on linear networks."""
    options = {
        "protocol": protocol,
        "augmentation": Recorder(),
        "build": build,
        "architecture": "linear",
        "test": two_pixels(),
        "chunks": some_at_once(100),
        "num_classes": 2,
        "random": Randomness(0),
    }
    return Scorer(**{**options, **fields})


@pytest.mark.parametrize(("name", "batches"), [("dc", [256, 44]), ("dsa", [256, 44]), ("idc", [64, 64, 64, 64, 44])])
def test_training_equals_the_published_loop(name, batches):
    data, random, network = two_pixels(), Randomness(0, ("x",)), linear(None)
    scorer = scorer_of(PROTOCOLS[name], lambda generator: network)
    weights, updates = restated(data, network, name, random)
    trained, shown = scorer._train_alone(data, random)
    epochs = PUBLISHED[name][0]
    assert updates == epochs * len(batches)
    assert scorer.augmentation.batches == batches * epochs
    assert shown == 300 * epochs
    for found, expected in zip(trained.parameters(), weights, strict=True):
        assert torch.allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_rate_of_every_epoch(name):
    """Against torch's own scheduler; the optimiser is the same one to the end where momentum is kept."""
    epochs, _, milestones, factor, restarts = PUBLISHED[name]
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(reference, list(milestones), gamma=factor)
    expected, rates, optimisers = [], [], []

    def epoch(optimiser, number):
        assert number == len(rates)
        rates.append(optimiser.param_groups[0]["lr"])
        optimisers.append(optimiser)
        expected.append(schedule.get_last_lr()[0])
        reference.step()
        schedule.step()
        return 7

    assert scorer_of(PROTOCOLS[name])._train(linear(None), epoch) == 7 * epochs
    assert rates == pytest.approx(expected, rel=1e-12)
    assert len(set(map(id, optimisers))) == (1 + len(milestones) if restarts else 1)


def test_a_shortened_protocol_lowers_its_rate_at_the_same_share():
    idc, dc = PROTOCOLS["idc"].with_epochs(100), PROTOCOLS["dc"].with_epochs(20)
    assert (idc.epochs, idc.decays) == (100, (66, 83))
    assert (dc.epochs, dc.decays) == (20, (10,))
    assert PROTOCOLS["dsa"].with_epochs(None) is PROTOCOLS["dsa"]
    rates = []
    once = scorer_of(PROTOCOLS["idc"].with_epochs(2))  # epochs 1.33 and 1.67: both after the second
    once._train(linear(None), lambda optimiser, number: rates.append(optimiser) or 0)
    assert once.protocol.decays == (1, 1)
    assert rates[0].param_groups[0]["lr"] == pytest.approx(0.01 * 0.2 * 0.2)


class Watched:
    """Real images that say how many were asked for at once."""

    def __init__(self, real):
        self.real, self.asked = real, []

    def __len__(self):
        return len(self.real)

    shape = property(lambda self: self.real.shape)
    device = property(lambda self: self.real.device)

    def batch(self, indices):
        self.asked.append(len(indices))
        return self.real.batch(indices)


@pytest.mark.parametrize("together", [False, True])
def test_all_real_images_score_as_a_set_of_the_same_ones(make_job, monkeypatch, together):
    """Normalised batch by batch, one network at a time or several as one."""
    job = make_job({"aug": "dsa"})
    s = job.freeze(job.start().synthetic, 0)
    scorer = job.scorer(s)
    scorer = replace(scorer, protocol=replace(scorer.protocol, epochs=3, decays=(1,), batch=10))
    images = Watched(job.real)
    whole = job.real.batch(torch.arange(len(job.real)))
    assert (len(whole), whole.shape, whole.device) == (26, job.data.shape, job.real.device)
    if together:
        randoms = [scorer.random.at("net", net) for net in range(2)]
        found, expected = (scorer._train_together(d, randoms) for d in (images, whole))
        assert found[1] == expected[1] == 3 * 26
        pairs = zip(found[0], expected[0], strict=True)
        same = (zip(a.parameters(), b.parameters(), strict=True) for a, b in pairs)
        assert all(torch.equal(a, b) for pair in same for a, b in pair)
    else:
        monkeypatch.setattr("dcc_core.scoring.in_processes.worker_count", lambda count, device: 1)
        found, expected = scorer.score(images, 2), scorer.score(whole, 2)
        assert found.accuracies == expected.accuracies
        assert found.images_seen == 2 * 3 * 26
    assert images.asked.count(10) == 2 * 3 * 2
    assert images.asked.count(6) == 2 * 3


class OnCard(Batch):
    """Says that it is on a GPU, so that networks train as one; it is not."""

    device = torch.device("cuda")

    def batch(self, indices):
        return Batch(self.images[indices], self.labels[indices])


@pytest.mark.parametrize(("at_once", "stacked"), [(1, False), (2, False), (1, True)])
def test_the_first_network_comes_with_the_score(monkeypatch, at_once, stacked):
    """As it was trained, from a process of its own too, and out of a stack."""
    monkeypatch.setattr("dcc_core.scoring.in_processes.worker_count", lambda count, device: at_once)
    protocol = replace(PROTOCOLS["dc"], epochs=5)

    def build(generator):
        with seeded(generator):
            return linear(None)

    scorer, data, counts = scorer_of(protocol, build, chunks=some_at_once(512)), two_pixels(), []
    given = OnCard(data.images, data.labels) if stacked else data
    assert not stacked or scorer._stack_size(given) == 2
    score, first = scorer.score_and_first(given, 3, counts.append)
    assert counts == [1, 2, 3]
    plain = scorer.score(data, 3)
    assert score.accuracies == plain.accuracies
    assert score.images_seen == plain.images_seen == 3 * 5 * 300
    trained, _ = scorer._train_alone(data, scorer.random.at("net", 0))
    for found, expected in zip(first.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=1e-12)
    assert not first.training


def test_accuracy_is_the_share_of_right_answers():
    network = nn.Flatten()
    images = torch.tensor([[3.0, 1.0], [0.0, 2.0], [5.0, 4.0], [1.0, 2.0]]).view(4, 2, 1, 1)
    assert measure_accuracy(network, Batch(images, torch.tensor([0, 1, 1, 1])), some_at_once(3)) == 0.75


def with_trait(data, trait):
    return type(data)(**{**vars(data), "traits": frozenset({trait})})


def mnist(make_job):
    return with_trait(make_job().data, "mnist")


def convnet(norm):
    return ConvNet(depth=1, width=2, norm=norm).build(
        channels=1, classes=2, size=(8, 8), generator=torch.Generator().manual_seed(0)
    )


def test_the_dc_protocol_jitters_mnist_and_batch_norm_convnets(make_job):
    dc, plain = PROTOCOLS["dc"], make_job().data
    assert dc.adapt(plain, convnet("instance"), "convnet") == dc
    assert dc.adapt(plain, convnet("batch"), "resnet18") == dc
    for data, norm, strategy in [
        (mnist(make_job), "instance", ("crop", "scale", "rotate")),
        (plain, "batch", ("crop", "noise")),
        (mnist(make_job), "batch", ("crop", "noise")),
    ]:
        suited = dc.adapt(data, convnet(norm), "convnet")
        assert (suited.epochs, suited.decays, suited.augmentation) == (1001, (501,), "jitter")
        assert suited.options == {"strategy": strategy}
    dsa = PROTOCOLS["dsa"]
    assert dsa.adapt(mnist(make_job), convnet("batch"), "convnet") == dsa


def test_the_dsa_protocol_augments_as_the_run_does(make_job):
    own = make_job({"aug": "dsa", "aug.strategy": "crop", "aug.crop": "0.25"})
    assert own.scorer(own.condense()).augmentation == DSA(strategy=("crop",), crop=0.25)
    qualified = make_job({"aug": "builtin:dsa", "aug.crop": "0.25"})
    assert qualified.scorer(qualified.condense()).augmentation == DSA(crop=0.25)
    other = make_job({"score.protocol": "dsa"})
    assert other.scorer(other.condense()).augmentation == DSA()


def test_the_idc_protocol_mixes_where_the_run_does_not(make_job):
    """Matching goes without CutMix, and may have options; the protocol is what it is, but for flips."""
    job = make_job({"aug": "idc", "aug.cutmix": 0, "aug.crop": 0.25, "score.protocol": "idc"})
    s = job.condense()
    scorer = job.scorer(s)
    assert scorer.augmentation == IDC(cutmix=0.5, beta=1.0)
    quick = replace(scorer, protocol=replace(scorer.protocol, epochs=3))
    assert quick.score(job.decode(s), 1).images_seen == 9
    adapted = scorer.protocol.resolve_augmentation(
        job.registry, with_trait(job.data, "mirror-changes-class"), "none", job.augmentation
    )
    assert adapted == IDC(flip=0.0)


def test_scoring_again_gives_the_same_accuracies(make_job, registry):
    job = make_job({"run.precision": "float32", "score.nets": 3, "run.seed": 5}, data="blobs-of:6,6,6,6,6")
    s = job.condense(1)
    first = job.scorer(s).score(job.decode(s), 3)
    again = score(s, registry=registry)
    assert again.accuracies == first.accuracies
    assert len(set(first.accuracies)) > 1 or first.accuracies[0] == 1.0
    fewer = score(s, registry=registry, nets=2)
    assert fewer.accuracies == first.accuracies[:2]


def test_spread_over_sets_and_networks_apart():
    scores = [
        Score(accuracies=a, protocol="dc", version=1, architecture="convnet", seconds=1.0, images_seen=30)
        for a in ((0.2, 0.4), (0.6, 0.8))
    ]
    found = summary(scores)
    assert found["mean"] == pytest.approx(0.5)
    assert found["std"] == pytest.approx(0.05**0.5)
    assert found["std_over_sets"] == pytest.approx(0.2)
    assert found["std_over_networks"] == pytest.approx(0.1)
    assert summary(scores[:1])["std_over_sets"] is None


def of_accuracies(*accuracies, seconds=1.0):
    return Score(accuracies=accuracies, protocol="dc", version=1, architecture="mlp", seconds=seconds, images_seen=30)


def test_a_confidence_interval_of_the_mean():
    """Student's t at 0.975: 12.706 with one degree of freedom, 4.303 with two."""
    two_sets = summary([of_accuracies(0.2, 0.4), of_accuracies(0.6, 0.8)])
    half = 12.7062 * (0.08**0.5) / 2**0.5
    assert two_sets["ci95"] == pytest.approx([0.5 - half, 0.5 + half], abs=1e-4)
    assert two_sets["ci95_over"] == "sets"
    one_set = summary([of_accuracies(0.2, 0.3, 0.7)])
    half = 4.30265 * (0.14 / 2) ** 0.5 / 3**0.5
    assert one_set["ci95"] == pytest.approx([0.4 - half, 0.4 + half], abs=1e-4)
    assert one_set["ci95_over"] == "networks"
    assert summary([of_accuracies(0.2)])["ci95"] is None
    assert summary([of_accuracies(0.2), of_accuracies(0.4)])["ci95_over"] == "sets"


def test_what_scores_cost():
    found = summary([of_accuracies(0.2, seconds=1.5), of_accuracies(0.4, seconds=2.0)])
    assert (found["seconds"], found["images_seen"]) == (3.5, 60)
    recorded = of_accuracies(0.2).as_dict()
    assert recorded["images_seen"] == 30
    assert not {"seconds", "robustness"} & set(recorded)


def test_a_set_is_scored_without_the_plugin_of_its_loss(make_job):
    s = make_job({"loss": "means", "score.nets": 1}).condense()
    assert s.provenance.config["loss"] == "means"
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


@pytest.mark.parametrize(("name", "epochs"), [("dc", 300), ("dsa", 1000)])
def test_dc_benchs_evaluator_is_ours(name, epochs):
    """Its evaluator.py and evaluator_utils.py at 071901d: `range(Epoch + 1)`, the rate lowered after Epoch // 2 + 1."""
    p = PROTOCOLS[name]
    assert (p.epochs, p.decays, p.decay, p.restarts) == (epochs + 1, (epochs // 2 + 1,), 0.1, True)
    assert (p.rate, p.momentum, p.weight_decay, p.batch) == (0.01, 0.9, 5e-4, 256)
    assert p.augmentation == {"dc": "none", "dsa": "dsa"}[name]
