"""The contracts hold for more than gradient matching: the toy plugin condenses through the public interface."""

import dataclasses
import random

import numpy as np
import pytest
import torch
import toys

import dcc_core
from dcc_core import DccError, MatchingLoss, Part, Randomness
from dcc_core.engine.algorithm import optimise
from dcc_core.sets.condensed_set import CondensedSet

EVERYTHING = [
    {"loss": "collective"},
    {"loss": "class-wise", "aug": "dsa"},
    {"loss": "means", "aug": "dsa"},
    {"loss": "mtt"},
    {"loss": "collective", "aug": "mixup"},
    {"loss": "class-wise", "aug": "mixup"},
    {"loss": "collective", "arch": "linear", "param": "half"},
    {"loss": "means", "param": "half", "selection": "first"},
    {"loss": "warmup", "loss.first": "means", "loss.then": "mtt", "loss.outer": 1},
    {"loss": "collective", "run.criterion": "hinge", "run.init": "noise"},
    {"loss": "collective", "arch.norm": "batch"},
]


def global_states():
    """The global random states that nothing may touch."""
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())


def ident(options):
    return " ".join(map(str, options.values()))


@pytest.mark.parametrize("options", EVERYTHING, ids=ident)
def test_condenses_and_scores(make_job, options):
    """Every class moves, the real data and global randomness do not, and the result can be scored."""
    job = make_job({"run.inner_loops": 2, "run.network_steps": 1, "run.ipc": 2, **options})
    images, global_state = job.real.images.clone(), global_states()
    run, synthetic, state = job.start()
    before = {k: v.clone() for k, v in synthetic.tensors().items()}
    values = []
    optimise(run, job.config.loss, synthetic, state, watch=lambda report: values.append(report.loss))
    assert len(values) == 4
    assert torch.tensor(values).isfinite().all()
    for name, tensor in synthetic.tensors().items():
        assert name not in before or not torch.equal(tensor, before[name]), name
    if "images" in before:
        moved = (synthetic.stored["images"] - before["images"]).flatten(1).abs().amax(dim=1)
        assert (moved > 0).all()
    assert torch.equal(job.real.images, images)
    assert global_states() == global_state
    s = job.freeze(synthetic, 0)
    assert len(job.decode(s).images) == 3 * 2 * (2 if options.get("param") == "half" else 1)
    assert 0 <= job.scorer(s).score(job.decode(s), 1).mean <= 1


@pytest.mark.parametrize("options", EVERYTHING, ids=ident)
def test_terms_share_no_graph_and_leave_the_network_alone(make_job, options):
    """Backward on each term as it arrives works, and touches no weight, gradient or statistic."""
    job = make_job({"run.ipc": 2, **options})
    run, synthetic, state = job.start()
    loss = job.config.loss
    network = job.build(run.random.generator("network"))
    step = dcc_core.Step(run, synthetic, outer=0, inner=0, network=lambda: network)
    step.network.eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    for term in loss.terms(step, state):
        assert term.value.ndim == 0
        torch.autograd.backward(term.value, inputs=synthetic.leaves())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_a_learned_step_size_is_recorded(make_job):
    s = make_job({"loss": "mtt"}).condense()
    assert s.provenance.learned["step_size"] != 0.05
    assert s.provenance.learned["step_size"] == pytest.approx(0.05, abs=0.05)


def test_a_network_that_is_not_asked_for_is_never_built(make_job):
    class Pull(MatchingLoss):
        def terms(self, step, state):
            for label in step.classes:
                real = step.real(label).images.mean(dim=0)
                yield Part((step.synthetic.batch(label).images.mean(dim=0) - real).square().sum())

    job = make_job({"run.network_steps": 0})
    built = []
    run, synthetic, state = job.start()
    run = dataclasses.replace(run, build=built.append)
    optimise(run, Pull(), synthetic, state)
    assert not built


def test_matching_sets_batch_norm_statistics_from_real_images(make_job):
    """16 images a class in train mode with momentum 0.1, then frozen; nothing else trains."""
    job = make_job({"arch.norm": "batch", "run.norm_batch": 4})
    run, synthetic, _ = job.start()
    network = job.build(run.random.generator("network"))
    step = dcc_core.Step(run, synthetic, outer=1, inner=2, network=lambda: network)
    norm = network.features[1]
    assert norm.running_mean.tolist() == [0.0] * 4
    address = Randomness(0, ("set", 0, "outer", 1, "inner", 2))
    images = torch.cat([run.real.draw(k, 4, address.generator("batch-norm", k)).images for k in range(3)])
    maps = network.features[0](images)
    assert step.network is network
    assert torch.allclose(norm.running_mean, 0.1 * maps.mean(dim=(0, 2, 3)))
    assert torch.allclose(norm.running_var, 0.9 + 0.1 * maps.transpose(0, 1).flatten(1).var(dim=1))
    assert not any(m.training for m in network.modules())


@pytest.mark.parametrize(("momentum", "share"), [(None, 0.1), (0.5, 0.5), (1.0, 1.0)])
def test_how_far_real_images_move_the_statistics(make_job, momentum, share):
    job = make_job({"arch.norm": "batch", "run.norm_batch": 4, "run.norm_momentum": momentum})
    run, synthetic, _ = job.start()
    network = job.build(run.random.generator("network"))
    norm = network.features[1]
    norm.running_mean.fill_(7.0)
    step = dcc_core.Step(run, synthetic, outer=0, inner=0, network=lambda: network)
    address = Randomness(0, ("set", 0, "outer", 0, "inner", 0))
    images = torch.cat([run.real.draw(k, 4, address.generator("batch-norm", k)).images for k in range(3)])
    mean = network.features[0](images).mean(dim=(0, 2, 3))
    assert torch.allclose(step.network.features[1].running_mean, (1 - share) * 7.0 + share * mean)
    assert norm.momentum == 0.1


def test_statistics_can_be_left_as_training_left_them(make_job):
    job = make_job({"arch.norm": "batch", "run.norm_batch": 0})
    run, synthetic, _ = job.start()
    network = job.build(run.random.generator("network"))
    step = dcc_core.Step(run, synthetic, outer=0, inner=0, network=lambda: network)
    assert step.network.features[1].running_mean.tolist() == [0.0] * 4


def test_siamese_draws_are_per_class_and_step(make_job):
    job = make_job({"aug": "dsa", "aug.strategy": "crop"}, data="blobs-of:9,9,9,9,9,9,9,9")
    run, synthetic, _ = job.start()

    def shifts(outer, inner):
        step = dcc_core.Step(run, synthetic, outer=outer, inner=inner, network=lambda: None)
        probe = dcc_core.Batch(torch.ones(8, 2, 8, 8, dtype=torch.float64), torch.arange(8))
        together = step.augment(probe, torch.arange(8)).images
        for k in range(8):
            alone = step.augment(dcc_core.Batch(probe.images[:3], probe.labels[:3]), k).images
            assert torch.equal(alone, together[k].expand(3, -1, -1, -1))
        return together

    assert torch.equal(shifts(0, 0), shifts(0, 0))
    assert not torch.equal(shifts(0, 0), shifts(0, 1))
    assert not torch.equal(shifts(0, 0), shifts(1, 0))
    assert len(torch.unique(shifts(0, 0), dim=0)) > 1


def test_real_draws_are_distinct_and_take_all_of_a_small_class(make_job):
    job = make_job({"run.real_batch": 8})
    run, synthetic, _ = job.start()
    step = dcc_core.Step(run, synthetic, outer=0, inner=0, network=lambda: None)
    assert [len(step.real(k).labels) for k in range(3)] == [8, 8, 5]
    assert len(torch.unique(step.real(0).images, dim=0)) == 8
    assert torch.equal(step.real(0, 3).images, step.real(0).images[:3])
    later = dcc_core.Step(run, synthetic, outer=0, inner=1, network=lambda: None)
    assert not torch.equal(step.real(0).images, later.real(0).images)


def test_learning_a_name_twice_is_refused(make_job):
    job = make_job()
    synthetic = job.start().synthetic
    synthetic.learn("x", 1.0, rate=0.1)
    for name in ("x", "images"):
        with pytest.raises(DccError, match=f"'{name}' is learned already"):
            synthetic.learn(name, 1.0, rate=0.1)


def test_public_names_are_importable():
    for name in dcc_core.__all__:
        assert getattr(dcc_core, name) is not None
    assert {"MatchingLoss", "condense", "hookimpl", "load_set", "score"} <= set(dcc_core.__all__)
    assert isinstance(CondensedSet, type)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(2, 1, 4, 4)}, "images are torch.float32 .*expected uint8"),
        ({"images": torch.zeros(2, 16, dtype=torch.uint8)}, r"expected uint8 \(N, C, H, W\)"),
        ({"labels": torch.tensor([0, 3])}, "labels span 0 to 3; expected 0 to 1"),
        ({"labels": torch.tensor([0.0, 1.0])}, "labels are torch.float32"),
        ({"labels": torch.tensor([0])}, r"expected int64 \(2,\)"),
    ],
)
def test_data_that_do_not_fit_are_refused(changes, message):
    good = {"images": torch.zeros(2, 1, 4, 4, dtype=torch.uint8), "labels": torch.tensor([0, 1])}
    about = {"name": "toy", "class_names": ("a", "b"), "mean": (0.5,), "std": (0.5,)}
    part = dcc_core.ImageSet(**good)
    dcc_core.RealData(train=part, test=part, **about)
    with pytest.raises(DccError, match=message):
        dcc_core.RealData(train=dcc_core.ImageSet(**{**good, **changes}), test=part, **about)
    for std in ((0.0,), (float("nan"),), (1.0, 1.0)):
        with pytest.raises(DccError, match="one number per channel"):
            dcc_core.RealData(train=part, test=part, **{**about, "std": std})
    empty = dcc_core.ImageSet(part.images[:0], part.labels[:0])
    with pytest.raises(DccError, match="test part: it holds no images"):
        dcc_core.RealData(train=part, test=empty, **about)


def test_the_toys_are_registered_like_any_plugin(registry):
    assert registry.find("loss", "toys:means").load() is toys.DistributionMatching


def test_data_that_cannot_be_loaded_are_named(make_job, monkeypatch):
    def fails(self, **_):
        raise OSError("network unreachable")

    monkeypatch.setattr(toys.Blobs, "load", fails)
    with pytest.raises(
        DccError, match=r"data 'blobs' of plugin toys \(dcc-toys 1.0\) cannot be loaded: OSError: network unreachable"
    ):
        make_job()


def test_a_packed_set_goes_on_as_it_is_stored(make_job, tmp_path):
    """The rows of a set of the same parametrisation are taken over, not decoded and packed anew."""
    path = tmp_path / "half.safetensors"
    first = make_job({"param": "half", "run.ipc": 2}).condense()
    first.save(path)
    start = make_job({"param": "half", "run.ipc": 2, "run.init": str(path)}).start()
    again = make_job({"param": "half", "run.ipc": 2}).freeze(start.synthetic, 0)
    for name, tensor in first.stored.items():
        assert torch.allclose(again.stored[name], tensor, atol=1e-12), name
    other = make_job({"run.ipc": 4, "run.init": str(path)}).start()
    assert len(other.synthetic.stored["images"]) == 12
    with pytest.raises(DccError, match=r"run.ipc: 3 images per class, but the set to start from has 4"):
        make_job({"run.ipc": 3, "run.init": str(path)}).start()


def test_a_plain_set_is_packed(make_job, tmp_path):
    """Several of its images into one row, of their own class; where they do not come out even, that is said."""
    path = tmp_path / "plain.safetensors"
    first = make_job({"run.ipc": 4})
    s = first.condense()
    s.save(path)
    start = make_job({"param": "half", "run.ipc": 2, "run.init": str(path)}).start().synthetic
    assert start.owners.tolist() == [0, 0, 1, 1, 2, 2]
    packed = first.decode(s).images.unflatten(2, (-1, 2)).mean(dim=3).unflatten(0, (-1, 2))
    assert torch.allclose(start.stored["images"], torch.cat([packed[:, 0], packed[:, 1]], dim=2))
    make_job({"run.ipc": 3}).condense().save(path)
    with pytest.raises(DccError, match=r"run.init: .* packs 2 images into one.* has 3 of class 'blob 0'"):
        make_job({"param": "half", "run.init": str(path)}).start()


def test_a_parametrisation_need_not_store_images(make_job, tmp_path):
    """Nor labels: a scale per row, and one shared picture."""
    path = tmp_path / "scaled.safetensors"
    job = make_job({"param": "scaled"})
    s = job.condense()
    assert sorted(s.stored) == ["owners", "scale", "shared_picture"]
    s.save(path)
    read = dcc_core.load_set(path)
    assert job.decode(read).images.shape == (3, 2, 8, 8)
    assert job.grid(read)[:4] == b"\x89PNG"
    assert 0 <= job.scorer(read).score(job.decode(read), 1).mean <= 1
    with pytest.raises(DccError, match="no tensor 'images': decode it by its parametrisation, 'scaled'"):
        _ = read.images


def test_several_independent_draws_in_one_step(make_job):
    job = make_job({"aug": "dsa", "aug.strategy": "rotate"})
    run, synthetic, _ = job.start()
    step = dcc_core.Step(run, synthetic, outer=0, inner=0, network=lambda: None)
    batch = synthetic.batch(0)
    first, second = step.augment(batch, 0).images, step.augment(batch, 0, draw=1).images
    assert torch.equal(step.augment(batch, 0).images, first)
    assert not torch.equal(first, second)


def test_only_the_devices_that_work_are_taken(make_job):
    with pytest.raises(DccError, match=r"run\.device: 'meta' is not one of auto, cpu, cuda"):
        make_job({"run.device": "meta"})
