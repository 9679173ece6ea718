"""Coreset selections against brute-force restatements, and `dcc select`."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import toys
from click.testing import CliRunner
from torch.nn import functional as F

import dcc_core
from dcc_core import DccError, load_set, over_real, train_on_real
from dcc_core.cli.app import cli
from dcc_core.jobs.coreset import select_coreset
from dcc_core.jobs.measurements import work_on_all_images
from dcc_plugins.selections.by_score import EL2N, CScore, Forgetting, GraNd
from dcc_plugins.selections.in_feature_space import Herding, KCenter, KMeans

MISLABELLED = (1, 6, 14, 17)


@pytest.fixture
def run(make_job):
    return make_job({"arch": "linear", "run.ipc": 3}).context()


@pytest.fixture
def mislabelled(make_job, monkeypatch):
    """Blobs of which four images bear another class's label."""
    load = toys.Blobs.load

    def wrong(self, **how):
        data = load(self, **how)
        labels = data.train.labels.clone()
        labels[list(MISLABELLED)] = (labels[list(MISLABELLED)] + 1) % 3
        return replace(data, train=replace(data.train, labels=labels))

    monkeypatch.setattr(toys.Blobs, "load", wrong)
    return make_job({"arch": "linear"}).context()


def pixels(run, indices):
    return run.real.batch(indices).images.flatten(1)


def test_herding_keeps_the_mean_of_what_is_picked_near_the_class_mean(run):
    chosen = Herding(features="pixels").select(run.data, 3, run)
    for own, found in zip(run.real.by_class, chosen, strict=True):
        x, picked = pixels(run, own), []
        for _ in range(3):
            rest = [i for i in range(len(own)) if i not in picked]
            missed = [(x[[*picked, i]].mean(dim=0) - x.mean(dim=0)).norm() for i in rest]
            picked.append(rest[int(torch.stack(missed).argmin())])
        assert found.tolist() == own[picked].tolist()


def test_k_center_goes_to_the_image_farthest_from_all_that_are_picked(run):
    chosen = KCenter(features="pixels").select(run.data, 4, run)
    for own, found in zip(run.real.by_class, chosen, strict=True):
        x = pixels(run, own)
        picked = [min(range(len(own)), key=lambda i: float((x[i] - x.mean(dim=0)).norm()))]
        while len(picked) < 4:
            rest = [i for i in range(len(own)) if i not in picked]
            picked.append(max(rest, key=lambda i: min(float((x[i] - x[j]).norm()) for j in picked)))
        assert found.tolist() == own[picked].tolist()


def test_k_center_picks_different_images_among_equal_ones():
    assert sorted(KCenter().pick(torch.ones(4, 2), 4).tolist()) == [0, 1, 2, 3]
    assert sorted(Herding().pick(torch.ones(4, 2), 4).tolist()) == [0, 1, 2, 3]


def test_k_means_picks_the_image_nearest_to_each_centre():
    """Of three far clusters, the point in the middle of each, whatever the clusters' sizes."""
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]], dtype=torch.float64)
    ring = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    points = torch.cat([centres[:1] + ring, centres[1:2] + ring, centres[2:] + ring, centres])
    assert sorted(KMeans().pick(points, 3).tolist()) == [12, 13, 14]
    assert KMeans().pick(points, 3).tolist() == KMeans().pick(points, 3).tolist()


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_k_means_picks_different_images_among_equal_ones():
    assert sorted(KMeans().pick(torch.ones(4, 2, dtype=torch.float64), 3).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("cls", [Herding, KCenter, KMeans])
def test_features_are_those_of_a_trained_network(run, cls, make_job):
    """Of a convolutional network they differ from pixels; the linear one's features are the pixels themselves."""
    own = cls(epochs=1).select(run.data, 3, run)
    assert torch.equal(torch.cat(own), torch.cat(cls(features="pixels").select(run.data, 3, run)))
    deep = make_job({"arch.width": 8}).context()
    trained, initial = (torch.cat(cls(epochs=n).select(deep.data, 4, deep)) for n in (30, 0))
    assert not torch.equal(trained, initial)


def trained(run, net, epochs):
    random = run.random.at("selection", "net", net)
    network = run.build(random.generator("network"))
    for _ in train_on_real(run, network, epochs, random):
        pass
    return network.eval()


def test_el2n_is_the_mean_length_of_the_error_vector(run):
    expected = []
    for net in range(2):
        network = trained(run, net, 2)
        for i, label in enumerate(run.data.train.labels.tolist()):
            p = network(run.real.batch(torch.tensor([i])).images)[0].softmax(dim=0).tolist()
            expected.append(sum((p[k] - (k == label)) ** 2 for k in range(3)) ** 0.5)
    expected = torch.tensor(expected, dtype=torch.float64).view(2, -1).mean(dim=0)
    found = EL2N(nets=2, epochs=2).difficulty(run.data, run)
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("arch", ["linear", "convnet"])
def test_grand_is_the_mean_length_of_the_gradient(make_job, arch):
    run = make_job({"arch": arch}).context()
    expected = torch.zeros(len(run.data.train.labels), dtype=torch.float64)
    for net in range(2):
        network = trained(run, net, 1)
        for i in range(len(expected)):
            batch = run.real.batch(torch.tensor([i]))
            loss = F.cross_entropy(network(batch.images), batch.labels)
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            expected[i] += sum(g.square().sum() for g in gradients).sqrt().item() / 2
    found = GraNd(nets=2, epochs=1).difficulty(run.data, run)
    assert torch.allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("cls", [EL2N, GraNd])
def test_mislabelled_images_are_the_hardest(mislabelled, cls):
    difficulty = cls(nets=3, epochs=60).difficulty(mislabelled.data, mislabelled)
    assert sorted(difficulty.topk(len(MISLABELLED)).indices.tolist()) == sorted(MISLABELLED)
    easiest = torch.cat(list(cls(nets=3, epochs=60).select(mislabelled.data, 3, mislabelled)))
    assert not set(easiest.tolist()) & set(MISLABELLED)
    hardest = torch.cat(list(cls(nets=3, epochs=60, keep="hardest").select(mislabelled.data, 4, mislabelled)))
    assert set(hardest.tolist()) >= set(MISLABELLED)


def test_forgetting_counts_right_then_wrong(mislabelled):
    run, epochs = mislabelled, 25
    random = run.random.at("selection", "net", 0)
    history = [[] for _ in run.data.train.labels]

    def seen(indices, logits):
        for i, row in zip(indices.tolist(), logits, strict=True):
            history[i].append(int(row.argmax()) == int(run.data.train.labels[i]))

    for _ in train_on_real(run, run.build(random.generator("network")), epochs, random, seen=seen):
        pass
    expected = [sum(a and not b for a, b in pairwise(h)) if any(h) else epochs for h in history]
    assert all(len(h) == epochs for h in history)
    assert len(set(expected)) > 2
    found = Forgetting(epochs=epochs).difficulty(run.data, run)
    assert found.tolist() == expected


def test_training_on_real_images_is_plain_sgd(run):
    """Momentum and weight decay as in the protocols, every image once an epoch."""
    random = run.random.at("x")
    network = run.build(random.generator("network"))
    w, b = (p.detach().clone() for p in network.parameters())
    seen = []
    for _ in train_on_real(run, network, 2, random, batch_size=10, seen=lambda i, logits: seen.append(i)):
        pass
    n = len(run.data.train.labels)
    assert [torch.cat(seen)[k * n : (k + 1) * n].sort().values.tolist() for k in (0, 1)] == [list(range(n))] * 2
    velocity = [torch.zeros_like(w), torch.zeros_like(b)]
    for batch in (part for epoch in torch.cat(seen).split(n) for part in epoch.split(10)):
        x, y = pixels(run, batch), F.one_hot(run.real.labels[batch], 3).double()
        error = ((x @ w.T + b).softmax(dim=1) - y) / len(batch)
        for i, (p, g) in enumerate(((w, error.T @ x), (b, error.sum(dim=0)))):
            velocity[i] = 0.9 * velocity[i] + g + 5e-4 * p
            p -= 0.01 * velocity[i]
    assert torch.allclose(network.head.weight, w, atol=1e-12)
    assert torch.allclose(network.head.bias, b, atol=1e-12)


def test_over_real_keeps_the_order_and_needs_no_gradient(run):
    found = over_real(run, lambda images, labels: labels * 10, torch.tensor([20, 0, 13]))
    assert found.tolist() == (run.data.train.labels[[20, 0, 13]] * 10).tolist()


def test_c_scores_follow_the_images_that_the_source_loads(make_job, tmp_path):
    """Classes, limits and a validation part leave images out; each keeps its own score."""
    scores = np.random.default_rng(0).random(26).astype(np.float32)
    np.save(tmp_path / "scores.npy", scores)
    job = make_job(
        {"selection": "c-score", "selection.scores": str(tmp_path / "scores.npy"), "run.ipc": 2},
        **{"data.classes": "0,2", "data.per_class": 4, "data.validation": 0.2},
    )
    places = job.data.train.places
    assert len(places) == 8
    chosen = CScore(scores=tmp_path / "scores.npy").select(job.data, 2, job.context())
    for own, found in zip(job.real.by_class, chosen, strict=True):
        best = sorted(own.tolist(), key=lambda i: -scores[places[i]])[:2]
        assert found.tolist() == best
    assert "selection.scores" not in select_coreset(job).provenance.config


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda p: np.save(p, np.zeros(25)), r"holds \(25,\) numbers; data 'blobs' has 26 training images"),
        (lambda p: np.save(p, np.full(26, np.nan)), "holds NaN or infinite numbers"),
        (lambda p: np.save(p, np.array([{}] * 26)), "cannot be read: Object arrays cannot be loaded"),
        (lambda p: np.save(p, np.array(["a"] * 26)), "holds <U1; expected numbers"),
        (lambda p: p.write_text("no array"), "cannot be read"),
        (lambda p: None, "cannot be read: .*No such file"),
    ],
)
def test_scores_that_do_not_fit_are_refused(make_job, tmp_path, save, message):
    path = tmp_path / "s.npy"
    save(path)
    job = make_job({"selection": "c-score", "selection.scores": str(path)})
    with pytest.raises(DccError, match=message):
        select_coreset(job)


def test_scores_may_stand_in_an_archive(run, tmp_path):
    scores = np.arange(26.0)
    np.savez(tmp_path / "one.npz", anything=scores)
    np.savez(tmp_path / "two.npz", labels=scores * 0, scores=scores)
    for name in ("one", "two"):
        difficulty = CScore(scores=tmp_path / f"{name}.npz").difficulty(run.data, run)
        assert difficulty.tolist() == (-scores).tolist()


def test_the_real_c_scores_of_cifar10(real_data, registry):
    """The most consistent image of every class, by labels and scores as their files have them."""
    from dcc_core.config.settings import Rank, Settings
    from dcc_core.jobs.configuration import resolve
    from dcc_core.jobs.job import Job

    path = real_data / "cifar10_cscores.npy"
    settings = Settings()
    settings.add({"data": "cifar10", "run.data_root": real_data, "selection": "c-score"}, "test", Rank.OPTION)
    settings.add({"selection.scores": path, "arch.width": 4}, "test", Rank.OPTION)
    job = Job(resolve(registry, settings), registry)
    scores, labels = np.load(path), job.data.train.labels.numpy()
    s = select_coreset(job)
    for k in range(10):
        best = max(np.flatnonzero(labels == k), key=lambda i: scores[i])
        assert torch.equal((s.images[k] * 255).round().to(torch.uint8), job.data.train.images[best])


def select(*arguments):
    return CliRunner().invoke(cli, ["select", *arguments, "--quiet"])


SMALL = ("--data", "digits", "-o", "arch.width=4", "--eval-nets", "1")


def test_select_leaves_what_a_run_leaves(tmp_path):
    result = select(*SMALL, "--method", "herding", "--ipc", "2", "--out", str(tmp_path / "a"), "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["method"] == "herding"
    assert set(report["files"]) == {p.name for p in (tmp_path / "a").iterdir()}
    s = load_set(tmp_path / "a" / "set.safetensors")
    assert s.provenance.method == "herding"
    assert s.images.shape == (20, 1, 8, 8)
    assert {k.partition(".")[0] for k in s.provenance.config} == {"data", "selection", "aug", "arch", "score", "run"}
    assert s.provenance.scores[0]["mean"] == report["accuracy"]["condensed"]["mean"]
    select(*SMALL, "--method", "herding", "--ipc", "2", "--out", str(tmp_path / "b"))
    read = [(tmp_path / x / "set.safetensors").read_bytes() for x in "ab"]
    assert read[0] == read[1]
    again = CliRunner().invoke(cli, ["eval", str(tmp_path / "a" / "set.safetensors"), "--json", "--quiet"])
    assert json.loads(again.stdout)["accuracy"]["condensed"]["mean"] == report["accuracy"]["condensed"]["mean"]


def test_select_from_python_gives_the_commands_set(tmp_path):
    pixels = {"selection.features": "pixels"}
    s = dcc_core.select(method="k-center", data="digits", ipc=2, seed=3, options=pixels)
    words = ("--method", "k-center", "-o", "selection.features=pixels", "--ipc", "2", "--seed", "3", "--sets", "1")
    select(*SMALL, *words, "--out", str(tmp_path))
    assert torch.equal(s.images, load_set(tmp_path / "set.safetensors").images)


def test_a_selection_that_fails_leaves_the_folder_as_it_was(tmp_path):
    (tmp_path / "report.json").write_text("mine")
    scores = ("-o", f"selection.scores={tmp_path}/none.npy")
    result = select(*SMALL, "--method", "c-score", *scores, "--out", str(tmp_path), "--overwrite")
    assert result.exit_code == 2
    assert "Error: selection.scores: " in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    missing = select(*SMALL, "--method", "c-score", "--out", str(tmp_path / "x"))
    assert "Error: selection.scores: required; NumPy file of scores" in missing.stderr


def test_a_selection_begins_condensing(make_job):
    by_init = make_job({"run.init": "herding", "selection.features": "pixels", "run.ipc": 2})
    assert by_init.config.table()["run.init"] == "real"
    assert by_init.config.entries["selection"].origin == "test"
    start = by_init.freeze(by_init.start().synthetic, 0)
    assert torch.allclose(start.images.float(), select_coreset(by_init).images, atol=1e-6)
    assert not torch.equal(start.images, make_job({"run.ipc": 2}).freeze(make_job().start().synthetic, 0).images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run.init": "herdin"}, "run.init: 'herdin' is neither a file nor a selection. Did you mean 'herding'?"),
        ({"run.init": "herding", "selection": "k-center"}, "run.init: 'herding' (test) and selection 'k-center'"),
        ({"run.init": "herding", "selection.feature": "pixels"}, "Did you mean 'features'?"),
    ],
)
def test_an_init_that_is_no_selection_is_refused(configure, options, message):
    with pytest.raises(DccError, match=re.escape(message)):
        configure(options)


def test_all_images_are_scored_without_a_set(tmp_path):
    """By one network that sees each image once an epoch; the number of images does not matter."""
    result = select(*SMALL, "--method", "full", "-o", "score.full_epochs=3", "--out", str(tmp_path / "a"), "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(report["files"])
    assert not [name for name in report["files"] if "set" in name]
    assert report["accuracy"]["condensed"]["images_seen"] == 3 * 1347
    assert report["accuracy"]["condensed"]["sets"] == 1


def test_all_images_are_scored_as_a_batch_of_them_would_be(make_job):
    job = make_job({"arch": "linear", "score.full_epochs": 2})
    work = work_on_all_images(job, "", "dc", 2)
    batch = job.real.batch(torch.arange(len(job.data.train.labels)))
    assert work.scorer.score(work.data, 2).accuracies == work.scorer.score(batch, 2).accuracies
    assert work.scorer.protocol.epochs == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "--init", "full"], "Error: selection 'full' keeps every image, not 1 of each class; it can be scored"),
        (
            ["select", "--method", "full", "--protocol", "ars"],
            "Error: score.protocol: ars compares sets; all real images",
        ),
    ],
)
def test_all_images_are_no_set(tmp_path, command, message):
    result = CliRunner().invoke(cli, [*command, *SMALL[:2], "--out", str(tmp_path), "--quiet"])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not any(tmp_path.iterdir())
