"""The network's training between image updates: on the set as it stands or on real images, and how."""

import dataclasses

import pytest
import torch
import toys

from dcc_core import DccError, Step
from dcc_core.engine.algorithm import Network, optimise
from dcc_plugins.augmentation import NoAugmentation

SMALL = {"run.ipc": 2, "run.inner_loops": 3, "run.network_steps": 2, "run.network_batch": 4, "run.outer_loops": 1}


def weights(network):
    return [p.detach().clone() for p in network.module().parameters()]


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
    network.module().register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
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
    images = run.real.normalisation.to_unit(synthetic.stored["images"].detach())
    assert torch.allclose(images.cpu(), plain.images, atol=1e-12)


def by_hand(run, batch_of, n, images, inners, *, momentum, decay):
    """Weights after SGD with momentum and weight decay, over as many inner loops, written out."""
    network = run.build(run.random.generator("outer", 0, "network")).train()
    moving = [torch.zeros_like(p) for p in network.parameters()]
    for inner in range(inners):
        for epoch in range(2):
            order = run.random.at("outer", 0, "inner", inner, "epoch", epoch).generator("order")
            for indices in torch.randperm(n, generator=order)[:images].split(4):
                batch = batch_of(indices)
                loss = torch.nn.functional.cross_entropy(network(batch.images), batch.labels)
                gradients = torch.autograd.grad(loss, network.parameters())
                for p, g, v in zip(network.parameters(), gradients, moving, strict=True):
                    v.mul_(momentum).add_(g + decay * p.detach())
                    p.data -= 0.01 * v
    return list(network.parameters())


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 5e-4), (0.9, 0), (0, 0.1)])
def test_momentum_and_decay_are_sgds(make_job, momentum, decay):
    """Through an outer loop: momentum goes on from one image update to the next."""
    given = {"run.network_momentum": momentum, "run.network_decay": decay}
    run, synthetic, _ = make_job({**SMALL, "run.network_data": "real", **given}).start()
    network = Network(run, 0)
    for inner in range(2):
        network.train(synthetic, inner)
    expected = by_hand(run, run.real.batch, 26, None, 2, momentum=momentum, decay=decay)
    plain = by_hand(run, run.real.batch, 26, None, 2, momentum=0, decay=0)
    for found, p in zip(weights(network), expected, strict=True):
        assert torch.allclose(found, p, rtol=0, atol=1e-12)
    assert max((p - q).abs().max() for p, q in zip(expected, plain, strict=True)) > 1e-4


def test_by_default_nothing_is_kept_nor_decays(make_job):
    """Nor augmented otherwise than in matching."""
    options = {**SMALL, "aug": "dsa"}
    plain = make_job(options).condense()
    said = make_job({**options, "run.network_momentum": 0, "run.network_decay": 0, "run.network_aug": ""}).condense()
    assert said.to_bytes() == plain.to_bytes()
    job = make_job(options)
    assert job.context().network_augmentation is job.augmentation


def shown(run, synthetic):
    """The images and labels that the network is trained on, batch by batch, as the criterion and it see them."""
    images, labels = [], []

    def criterion(logits, given):
        labels.append(given)
        return run.criterion(logits, given)

    network = Network(dataclasses.replace(run, criterion=criterion), 0)
    network.module().register_forward_pre_hook(lambda module, given: images.append(given[0].detach()))
    network.train(synthetic, 0)
    return images, labels


def test_an_augmentation_of_the_networks_training_alone(make_job):
    """IDC's CutMix: labels of two classes, of a batch of real images; matching has images as they are."""
    options = {**SMALL, "run.network_data": "real", "run.network_batch": 26, "run.network_aug": "idc,cutmix=1,flip=0"}
    job = make_job(options)
    run, synthetic, _ = job.start()
    assert [type(a).__name__ for a in (run.augmentation, run.network_augmentation)] == ["NoAugmentation", "IDC"]
    images, labels = shown(run, synthetic)
    assert len(labels) == 2
    for batch in labels:
        assert batch.shape == (26, 3)
        assert torch.allclose(batch.sum(dim=1).cpu(), torch.ones(26).double())
        assert ((batch > 0).sum(dim=1) == 2).any()
    _, hard = shown(dataclasses.replace(run, network_augmentation=run.augmentation), synthetic)
    assert all(batch.dtype == torch.int64 for batch in hard)
    assert all(not torch.isin(batch, run.real.batch(torch.arange(26)).images).all() for batch in images)
    step = Step(run, synthetic, outer=0, inner=0, network=Network(run, 0).module)
    assert torch.equal(step.augment(step.real(0), 0).images, step.real(0).images)
    s = job.condense()
    assert s.provenance.config["run.network_aug"] == ["idc", "cutmix=1", "flip=0"]
    assert not torch.equal(s.images, make_job({**options, "run.network_aug": ""}).condense().images)


def test_it_has_the_options_written_there_and_suits_the_data(make_job):
    """Whatever the run's of the same name has; digits are not mirrored."""
    job = make_job({"aug": "idc", "aug.cutmix": 0, "run.network_aug": "idc,strategy=crop"}, data="digits")
    run = job.context()
    assert (run.augmentation.cutmix, run.network_augmentation.cutmix) == (0, 0.5)
    assert run.network_augmentation.strategy == ("crop",)
    assert run.network_augmentation.flip == 0
    assert make_job({"aug": "dsa", "run.network_aug": "none"}).network_augmentation == NoAugmentation()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("icd", "^run.network_aug: no augmentation named 'icd'. Did you mean 'idc'"),
        ("idc,cutmx=1", "^run.network_aug 'idc,cutmx=1': aug.cutmx: unknown option. Did you mean 'cutmix'"),
        ("idc,cutmix=2", "^run.network_aug 'idc,cutmix=2': aug.cutmix: '2' is not a finite number >= 0 and <= 1"),
        ("idc,dsa", "^run.network_aug: idc, dsa are 2 augmentations; give one, with its options"),
    ],
)
def test_what_is_no_augmentation_is_told(make_job, given, message):
    with pytest.raises(DccError, match=message):
        make_job({"run.network_aug": given})


def test_a_breach_in_that_training_is_its_augmentations(make_job, monkeypatch):
    run, synthetic, _ = make_job({**SMALL, "aug": "dsa", "run.network_aug": "mixup"}).start()
    monkeypatch.setattr(toys.Mixup, "apply", lambda self, images, labels, params, index: (images[:, :1], labels))
    with pytest.raises(DccError, match=r"^augmentation 'mixup' of plugin toys \(dcc-toys 1.0\) breaks a rule"):
        Network(run, 0).train(synthetic, 0)
    with pytest.raises(DccError, match=r"^augmentation 'mixup' of plugin toys \(dcc-toys 1.0\) breaks a rule"):
        make_job({"run.network_aug": "mixup"})
