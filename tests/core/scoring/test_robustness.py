"""Composite protocols: their formulas by hand, what they train, and where their scores appear."""

import itertools
import json
import random
import shlex
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from dcc_core import Batch, CondensedSet, DccError, Score, hookimpl, load_set, score, score_across
from dcc_core.cli.app import cli
from dcc_core.jobs.coreset import random_set
from dcc_core.jobs.measurements import Measurer
from dcc_core.plugins.registry import Origin, Registry
from dcc_core.runs.forecast import Probe, _training_seconds
from dcc_core.runs.report import make_report
from dcc_core.runs.set_scoring import Scoring
from dcc_core.runs.stopwatch import Stopwatch
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_core.scoring.robustness import COMPOSITES, map_to_unit, measurements
from dcc_core.scoring.scorer import Scorer
from dcc_plugins.commands.run import run
from dcc_plugins.terminal import Display, result_table

E = 2.718281828459045


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Protocols of a few epochs, all work in this process."""
    monkeypatch.setitem(PROTOCOLS, "dc", replace(PROTOCOLS["dc"], epochs=4, decays=(2,)))
    monkeypatch.setitem(PROTOCOLS, "dsa", replace(PROTOCOLS["dsa"], epochs=3, decays=(1,)))
    monkeypatch.setattr("dcc_core.scoring.in_processes.worker_count", lambda count, device: 1)


@pytest.fixture
def trained(monkeypatch):
    """Every training of a scorer: itself, its images and its number of networks."""
    calls = []
    original = Scorer._score

    def scored(self, data, nets, watch, kept):
        calls.append((self, data, nets))
        return original(self, data, nets, watch, kept)

    monkeypatch.setattr(Scorer, "_score", scored)
    return calls


def with_soft_labels(s):
    """The set with labels that are three quarters their own."""
    labels = 0.75 * torch.eye(len(s.class_names))[s.labels] + 0.25 / len(s.class_names)
    return CondensedSet({**s.stored, "labels": labels}, s.provenance)


def made(make_job, options, *, soft=False, index=0):
    """A job on linear networks, and a set of it."""
    job = make_job({"arch": "linear", "score.nets": 2, "run.ipc": 2, "run.inner_loops": 1, **options})
    s = job.freeze(job.start(index).synthetic, index)
    return job, with_soft_labels(s) if soft else s


def measured(job, s):
    """All measurements of the configured protocol, taken."""
    measurer = Measurer(job, s)
    for name, m in measurements(job.config.score.protocol).items():
        measurer.measure(name, m)
    return measurer


def test_the_label_robust_score_by_hand():
    """IOR 0.3 and HLR 0.34: a = −0.02. A perfect set: IOR 0.5, HLR 0."""
    found = COMPOSITES["lrs"].combine({"full": 0.84, "hard": 0.5, "condensed": 0.6, "random": 0.3})
    assert found == pytest.approx((0.980198673 - 0.367879441) / 2.350402387, abs=1e-8)
    assert found == pytest.approx(0.2605, abs=1e-4)
    found = COMPOSITES["lrs"].combine({"full": 0.8, "hard": 0.8, "condensed": 0.9, "random": 0.4})
    assert found == pytest.approx((E**0.25 - 1 / E) / (E - 1 / E))


def test_the_augmentation_robust_score_by_hand():
    """0.2 better than random with augmentation, 0.1 without: a = 0.15."""
    found = COMPOSITES["ars"].combine({"condensed": 0.6, "random": 0.4, "condensed_plain": 0.35, "random_plain": 0.25})
    assert found == pytest.approx((E**0.15 - 1 / E) / (E - 1 / E))
    assert found == pytest.approx(0.3378, abs=1e-4)


@pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES)
def test_scores_stay_between_0_and_1_for_any_accuracies(composite):
    names, draws = list(composite.measurements), random.Random(0)
    corners = itertools.product((0.0, 1.0), repeat=len(names))
    inner = ([draws.random() for _ in names] for _ in range(2000))
    values = [composite.combine(dict(zip(names, a, strict=True))) for a in itertools.chain(corners, inner)]
    assert min(values) == 0 < sorted(values)[10]
    assert max(values) == pytest.approx(1)
    assert max(values) <= 1


def test_every_accuracy_moves_a_score_its_way():
    """Accuracy of the set raises both; what it is compared with lowers them."""
    for composite in COMPOSITES.values():
        middle = dict.fromkeys(composite.measurements, 0.5)
        for name, m in composite.measurements.items():
            moved = composite.combine({**middle, name: 0.6}) - composite.combine(middle)
            assert (moved > 0) == (m.subject == "condensed"), (composite.name, name)
            assert moved != 0
    assert (map_to_unit(-1), map_to_unit(1)) == (0, 1)


def test_hard_labels_are_trained_on_once(make_job, trained):
    """The set, all real images, random ones: plain training, the same networks' number, no augmentation."""
    job, s = made(make_job, {"score.protocol": "lrs", "aug": "dsa"})
    measurer = measured(job, s)
    own, full, baseline = trained
    assert [len(data) for _, data, _ in trained] == [6, 26, 6]
    assert [nets for _, _, nets in trained] == [2, 2, 2]
    assert {scorer.protocol.name for scorer, _, _ in trained} == {"dc"}
    assert full[1] is job.real
    assert torch.equal(baseline[1].images, job.decode(random_set(job, s)).images)
    assert torch.equal(baseline[1].labels, own[1].labels)
    found = measurer.result().robustness
    assert measurer.scores["hard"] is measurer.scores["condensed"]
    assert found.value == COMPOSITES["lrs"].combine({k: v.mean for k, v in measurer.scores.items()})
    assert (found.protocol, found.version) == ("lrs", 1)
    assert found.accuracies["full"] == measurer.scores["full"].mean


def test_random_images_get_labels_as_soft_as_the_sets(make_job, trained):
    """From the first network that was trained on all real images; hard labels are the classes."""
    job, s = made(make_job, {"score.protocol": "lrs"}, soft=True)
    measurer = measured(job, s)
    own, hard, full, baseline = (data for _, data, _ in trained)
    assert torch.equal(own.labels.cpu(), s.labels.double())
    assert torch.equal(hard.labels.cpu(), s.owners)
    assert torch.equal(own.images, hard.images)
    scorer = trained[2][0]
    teacher, _ = scorer._train_alone(full, scorer.random.at("net", 0))
    images = job.decode(random_set(job, s)).images
    assert torch.equal(baseline.images, images)
    with torch.no_grad():
        assert torch.allclose(baseline.labels, teacher(images).softmax(dim=1), atol=1e-12)
    assert 0 < baseline.labels.min() < baseline.labels.max() < 1
    assert measurer.scores["hard"] is not measurer.scores["condensed"]
    assert set(measurer.result().robustness.scores) == {"condensed", "hard", "full", "random"}


def test_a_set_of_several_images_a_row_has_their_classes_as_hard_labels(make_job, trained):
    job, s = made(make_job, {"score.protocol": "lrs", "param": "half"}, soft=True)
    measured(job, s)
    hard = trained[1][1]
    assert hard.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("soft", [False, True])
def test_an_accuracy_of_all_images_that_is_known(make_job, trained, soft):
    """It is taken as it is; soft labels still need a network, and one is enough."""
    job, s = made(make_job, {"score.protocol": "lrs", "score.full_accuracy": 0.84}, soft=soft)
    found = measured(job, s).result().robustness
    assert [(len(data), nets) for _, data, nets in trained] == (
        [(6, 2), (6, 2), (26, 1), (6, 2)] if soft else [(6, 2), (6, 2)]
    )
    assert found.accuracies["full"] == 0.84
    assert "full" not in found.scores
    assert found.as_dict()["parts"]["full"] == {"mean": 0.84, "given": True}
    assert found.value == COMPOSITES["lrs"].combine(found.accuracies)


def test_all_images_are_trained_on_once_in_a_job(make_job, trained):
    """Whatever the set, with the same accuracies; its epochs are an option."""
    job, s = made(make_job, {"score.protocol": "lrs", "score.full_epochs": 2})
    other = job.freeze(job.start(1).synthetic, 1)
    first, second = measured(job, s), measured(job, other)
    on_all = [scorer for scorer, data, _ in trained if data is job.real]
    assert len(trained) == 5
    assert [scorer.protocol.epochs for scorer in on_all] == [2]
    assert on_all[0].protocol.decays == (1,)
    assert first.scores["full"] is second.scores["full"]
    assert first.scores["full"].images_seen == 2 * 2 * 26
    again, later = made(make_job, {"score.protocol": "lrs", "score.full_epochs": 2}, index=1)
    assert measured(again, later).scores["full"].accuracies == first.scores["full"].accuracies


def test_ars_trains_with_and_without_augmentation(make_job, trained):
    job, s = made(make_job, {"score.protocol": "ars"})
    result = measured(job, s).result()
    assert [scorer.protocol.name for scorer, _, _ in trained] == ["dsa", "dc", "dsa", "dc"]
    assert [type(scorer.augmentation).__name__ for scorer, _, _ in trained] == ["DSA", "NoAugmentation"] * 2
    images = [data.images for _, data, _ in trained]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[2], images[3])
    assert not torch.equal(images[0], images[2])
    assert result.protocol == "dsa"
    assert result.robustness.value == COMPOSITES["ars"].combine(result.robustness.accuracies)
    plain, _ = made(make_job, {"score.protocol": "dsa"})
    assert result.accuracies == plain.scorer(s).score(plain.decode(s), 2).accuracies


def test_simple_protocols_measure_a_set_and_random_images():
    assert list(measurements("idc")) == ["condensed", "random"]
    assert list(measurements("idc", baseline=False)) == ["condensed"]
    assert {m.training for m in measurements("idc").values()} == {"idc"}
    assert list(measurements("lrs", baseline=False)) == ["condensed", "hard", "full", "random"]


class Listener:
    """An observer that keeps what it is told."""

    def __init__(self):
        self.reports = []

    @hookimpl
    def dcc_evaluated(self, report):
        self.reports.append(report)


def test_reports_metrics_and_observers_have_the_parts(make_job):
    """Two sets on two networks; what all images cost is counted once for each network."""
    job, s = made(make_job, {"score.protocol": "lrs", "score.arch": "linear,mlp"})
    sets = [with_soft_labels(s), with_soft_labels(job.freeze(job.start(1).synthetic, 1))]
    listener, rows, scores, clock = Listener(), [], {}, Stopwatch()
    observed = Registry([listener], [Origin("listener")])
    for one in sets:
        scoring = Scoring(job, observed, Display(quiet=True), rows.append, clock)
        for subject, many in scoring.score_set(one).items():
            scores.setdefault(subject, []).extend(many)
    seconds = clock.so_far()
    assert list(seconds) == ["score", "full data", "baseline"]
    names = ["condensed", "hard", "full", "random"]
    assert [r["subject"] for r in rows[:10]] == [n for n in names for _ in range(2)] + ["lrs"] * 2
    assert [r["subject"] for r in rows[10:]] == [n for n in names if n != "full" for _ in range(2)] + ["lrs"] * 2
    assert [r.subject for r in listener.reports] == [r["subject"] for r in rows]
    assert listener.reports[-1].score.robustness.value == rows[-1]["score"]
    report = json.loads(json.dumps(make_report(job, "x", scores, seconds)))
    for label, row in report["by_architecture"].items():
        lrs = row["lrs"]
        assert lrs["version"] == 1
        assert list(lrs["parts"]) == names
        assert lrs["values"] == [r["score"] for r in rows if r["subject"] == "lrs" and r["architecture"] == label]
        assert lrs["mean"] == pytest.approx(sum(lrs["values"]) / 2)
        assert lrs["ci95"][0] < lrs["mean"] < lrs["ci95"][1] or lrs["std_over_sets"] == 0
        assert [lrs["parts"][n]["sets"] for n in names] == [2, 2, 1, 2]
        assert {lrs["parts"][n]["protocol"] for n in names} == {"dc"}
        assert lrs["parts"]["condensed"] == row["condensed"]
        assert lrs["parts"]["random"] == row["random"]
        assert row["gain"] == pytest.approx(row["condensed"]["mean"] - row["random"]["mean"])
        assert lrs["images_seen"] == 2 * 4 * (2 * 3 * 6 + 26)
    recorded = report["scores"]["condensed"][0]["robustness"]
    assert recorded["score"] == report["by_architecture"]["linear"]["lrs"]["values"][0]
    assert recorded["parts"]["hard"]["accuracies"] == list(scores["condensed"][0].robustness.scores["hard"].accuracies)
    assert "seconds" not in json.dumps(recorded)
    table = result_table(report)
    assert table.title.endswith("protocol lrs 1, trained by dc")
    titles = list(table.columns[0].cells)
    assert titles == [
        *["x", "random real images", "x, hard labels", "all real images", "label-robust score (lrs), × 100"],
        *["x, 95 %", "random real images, 95 %", "x, hard labels, 95 %", "all real images, 95 %"],
        "label-robust score (lrs), × 100, 95 %",
    ]
    assert f"networks were shown {2 * 2 * 4 * (2 * 3 * 6 + 26):,} images" in table.caption


def test_a_set_without_spread_has_no_interval(make_job):
    """One network on one set; an accuracy that was given has a mean alone."""
    job, s = made(make_job, {"score.protocol": "lrs", "score.nets": 1, "score.full_accuracy": 0.5})
    scores = Scoring(job, job.registry, Display(quiet=True), lambda row: None, Stopwatch()).score_set(s)
    report = make_report(job, "x", scores, {})
    assert report["accuracy"]["lrs"]["parts"]["full"] == {"mean": 0.5, "given": True}
    assert report["accuracy"]["lrs"]["ci95"] is None
    table = result_table(report)
    columns = {c.header: list(c.cells) for c in table.columns}
    assert columns["mean"][columns["set"].index("all real images")] == "50.0"
    assert set(columns["95 % interval"]) == {"–"}
    assert "interval" not in table.caption


SMALL = shlex.split("--data digits --arch mlp --outer-loops 1 --inner-loops 1 --network-steps 1 --sets 1 --eval-nets 2")


def test_runs_and_evaluations_by_composite_protocols(tmp_path):
    """From the command line and from Python, with one result."""
    out = tmp_path / "out"
    result = CliRunner().invoke(run, [*SMALL, "--protocol", "lrs", "--out", str(out)])
    assert result.exit_code == 0, result.stderr
    assert "label-robust score (lrs)" in result.stdout
    report = json.loads((out / "report.json").read_text())
    assert set(report["seconds"]) == {"load", "probe", "condense", "score", "full data", "baseline"}
    lrs = report["accuracy"]["lrs"]
    s = load_set(out / "set.safetensors")
    assert s.provenance.scores[0]["robustness"]["score"] == lrs["mean"]
    assert lrs["parts"]["full"]["mean"] > lrs["parts"]["random"]["mean"]
    from_python = score(s)
    assert isinstance(from_python, Score)
    assert from_python.robustness.value == lrs["mean"]
    words = ["eval", str(out / "set.safetensors"), "--protocol", "ars", "--json", "--quiet"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.stderr
    ars = json.loads(result.stdout)["accuracy"]["ars"]
    assert list(ars["parts"]) == ["condensed", "condensed_plain", "random", "random_plain"]
    assert score_across(s, ["mlp"], protocol="ars")["mlp"].robustness.value == ars["mean"]
    assert score(s, protocol="dc").robustness is None


def test_a_forecast_prices_all_parts(make_job):
    """Training on all images once for all sets; the set's hard labels are not trained on again."""
    options = {"score.protocol": "lrs", "run.sets": 3, "arch": "linear", "run.inner_loops": 1}
    probe = Probe(make_job(options), load=0.0)
    assert set(probe._scoring) == {"score", "full data", "baseline"}
    probe._scoring = {"score": 2.0, "full data": 50.0, "baseline": 3.0}
    seconds = probe.forecast().seconds
    assert {k: seconds[k] for k in probe._scoring} == {"score": 6.0, "full data": 50.0, "baseline": 9.0}
    given = Probe(make_job({**options, "score.full_accuracy": 0.9}), load=0.0)
    assert set(given._scoring) == {"score", "baseline"}


def test_a_forecast_judges_a_long_epoch_by_some_batches(make_job, monkeypatch):
    monkeypatch.setattr("dcc_core.runs.forecast.EPOCH", 9)
    monkeypatch.setitem(PROTOCOLS, "dc", replace(PROTOCOLS["dc"], batch=4))
    shown = []
    original = Scorer.epoch

    def epoch(self, network, data, optimiser, random):
        assert isinstance(data, Batch)
        shown.append(len(data))
        return original(self, network, data, optimiser, random)

    monkeypatch.setattr(Scorer, "epoch", epoch)
    job, s = made(make_job, {"score.protocol": "lrs"})

    def timed(work, compiles=False):
        work()
        return 1.0

    full = Measurer(job, s).work(measurements("lrs")["full"])
    assert _training_seconds(full, 1, timed) == 1 + 4 * 26 / 8 + 1  # building, four epochs of 26 images, the test
    assert shown == [8]
    own = Measurer(job, s).work(measurements("lrs")["condensed"])
    assert _training_seconds(own, 1, timed) == 1 + 4 * 1 + 1
    assert shown == [8, 6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score.protocol": "lrs", "score.baseline": False}, "protocol lrs compares with random real images"),
        ({"score.protocol": "ars", "score.baseline": "false"}, "protocol ars compares with random real images"),
        ({"score.protocol": "lsr"}, "Did you mean 'lrs'"),
        ({"score.full_accuracy": 0}, r"score\.full_accuracy: 0 is not"),
        ({"score.full_accuracy": 84}, r"score\.full_accuracy: 84 is not"),
        (
            {"score.protocol": "lrs", "score.full_accuracy": 0.9, "score.arch": "mlp,convnet,width=4"},
            "full_accuracy is that of one network, and arch names 2: mlp, convnet",
        ),
        ({"score.full_epochs": 0}, r"score\.full_epochs: 0 is not"),
    ],
)
def test_refused_options(configure, options, message):
    with pytest.raises(DccError, match=message):
        configure(options)


def test_an_accuracy_of_all_images_goes_with_one_network(configure):
    for arch in ("convnet,width=4,depth=2", ()):
        options = {"score.protocol": "lrs", "score.full_accuracy": 0.9, "score.arch": arch}
        assert configure(options).score.full_accuracy == 0.9


def test_simple_protocols_may_go_without_random_images(configure):
    for protocol in ("dc", "dsa", "idc"):
        assert not configure({"score.protocol": protocol, "score.baseline": False}).score.baseline
