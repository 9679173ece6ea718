"""`dcc compare`: numbers by hand, warnings where scores are different things, files for papers with the same bytes."""

import csv
import json
import statistics

import pytest
from click.testing import CliRunner
from scipy.stats import t as student

from dcc_core.cli.app import cli
from dcc_plugins.compare.subjects import Subject
from dcc_plugins.compare.tables import Grid

CONFIG = {"data": "digits", "run.ipc": 1, "run.seed": 0, "run.sets": 2, "run.outer_loops": 2, "run.inner_loops": 2}
CONFIG |= {"arch": "convnet", "arch.width": 16, "score.part": "test", "loss": "collective"}


def made(folder, accuracies, *, network="convnet", protocol="dc", curve=(), seconds=8.0, device="cpu", **config):
    """A finished run's folder with these accuracies, one list for each set; curve: accuracies by step."""
    folder.mkdir()
    options = CONFIG | {"run.sets": len(accuracies)} | {key.replace("__", "."): v for key, v in config.items()}
    score = {"protocol": protocol, "version": 1, "architecture": network, "images_seen": 5}
    report = {
        "method": options["loss"],
        "config": {key: {"value": value, "origin": "test"} for key, value in options.items()},
        "versions": {"torch": "2"},
        "seconds": {"load": 3.0, "condense": seconds},
        "scores": {"condensed": [score | {"accuracies": own} for own in accuracies]},
        "by_architecture": {network: {}} if accuracies else {},
        "device": device,
        "threads": 2,
    }
    (folder / "report.json").write_text(json.dumps(report))
    steps = [{"set": 0, "outer": i // 2, "inner": i % 2, "loss": 1.0, "phase": ""} for i in range(4)]
    moments = [
        {"set": 0, "subject": "moment", "step": s, "mean": statistics.fmean(a), "accuracies": a, **score, "version": 1}
        for s, a in curve
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*steps, *moments]))
    return folder


def compare(*words):
    return CliRunner().invoke(cli, ["compare", *map(str, words)])


def rows_of(*runs):
    result = compare(*runs, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def interval(values):
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return [statistics.fmean(values) - half, statistics.fmean(values) + half]


def test_means_spread_and_intervals_by_hand(tmp_path):
    found = rows_of(made(tmp_path / "a", [[0.5, 0.7], [0.6, 0.8], [0.7, 0.9]]), made(tmp_path / "b", [[0.2, 0.4, 0.9]]))
    a, b = found["rows"]
    assert a["mean"] == pytest.approx(0.7)
    assert [a["ci95_low"], a["ci95_high"]] == pytest.approx(interval([0.6, 0.7, 0.8]))
    assert (a["ci95_over"], a["sets"], a["networks"]) == ("sets", 3, 2)
    assert a["std_over_networks"] == pytest.approx(0.1)
    assert [b["ci95_low"], b["ci95_high"]] == pytest.approx(interval([0.2, 0.4, 0.9]))
    assert (b["ci95_over"], b["std_over_sets"]) == ("networks", None)
    assert a["seconds"] == pytest.approx(8 / 3)


def test_sets_that_share_seeds_are_compared_in_pairs(tmp_path):
    """The pairs differ by 0.1, 0.12, 0.11, which is far surer than either mean."""
    a = made(tmp_path / "a", [[0.5], [0.6], [0.7]])
    b = made(tmp_path / "b", [[0.6], [0.72], [0.81]], loss="class-wise")
    _, row = rows_of(a, b)["rows"]
    assert row["difference"] == pytest.approx(0.11)
    assert [row["difference_low"], row["difference_high"]] == pytest.approx(interval([0.1, 0.12, 0.11]))
    assert row["difference_over"] == "3 sets"
    one = made(tmp_path / "one", [[0.4, 0.5]])
    other = made(tmp_path / "other", [[0.5, 0.7]], loss="class-wise")
    assert rows_of(one, other)["rows"][1]["difference_over"] == "2 networks"
    seeded = made(tmp_path / "seeded", [[0.6], [0.72], [0.81]], run__seed=1)
    assert rows_of(a, seeded)["rows"][1]["difference"] is None
    assert "seeded: no difference in pairs, seeds differ" in compare(a, seeded).stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": "dsa"}, "protocol dsa 1, not dc 1"),
        ({"data": "mnist"}, "data mnist, not digits"),
        ({"score__part": "validation"}, "score.part validation, not test"),
        ({"arch__width": 128}, "arch.width 128, not 16"),
        ({"network": "resnet18"}, "not scored on resnet18"),
    ],
)
def test_different_measurements_are_not_compared_silently(tmp_path, changes, words):
    a, b = made(tmp_path / "a", [[0.5], [0.6]]), made(tmp_path / "b", [[0.5], [0.6]], **changes)
    found = rows_of(a, b)
    assert any(words in row["differs"] for row in found["rows"])
    assert all(row["difference"] is None for row in found["rows"])
    assert words in " ".join(compare(a, b).stdout.split())
    assert compare(a, b, "--out", tmp_path / "out").exit_code == 0
    assert words in (tmp_path / "out" / "scores.md").read_text().replace("\\", "")
    assert "(!)" in (tmp_path / "out" / "scores.tex").read_text()


def test_the_same_measurement_brings_no_warning(tmp_path):
    a, b = made(tmp_path / "a", [[0.5], [0.6]]), made(tmp_path / "b", [[0.5], [0.6]], run__ipc=10)
    assert rows_of(a, b)["warnings"] == []
    other = made(tmp_path / "gpu", [[0.5], [0.6]], device="cuda")
    (told,) = rows_of(a, other)["warnings"]
    assert told.startswith("times are of different machines: cpu, 2 threads, 2; cuda")


def test_only_options_that_differ_are_shown(tmp_path):
    a = made(tmp_path / "a", [[0.5]], run__data_root="/here")
    b = made(tmp_path / "b", [[0.5]], run__data_root="/there", loss="class-wise", loss__reduction="sum")
    assert rows_of(a, b)["options"] == {"loss": ["collective", "class-wise"], "loss.reduction": [None, "sum"]}
    assert "options that differ" not in compare(a, made(tmp_path / "c", [[0.9]])).stdout


def test_files_for_papers_have_the_same_bytes_again(tmp_path):
    runs = [
        made(tmp_path / "a", [[0.5, 0.6], [0.6, 0.7]], curve=[(0, [0.1, 0.2]), (2, [0.4, 0.5]), (4, [0.5, 0.7])]),
        made(tmp_path / "b $x_1$ & 100 %", [[0.5, 0.6], [0.7, 0.7]], run__ipc=10, loss="class-wise"),
    ]
    for name in ("one", "two"):
        result = compare(*runs, "--out", tmp_path / name)
        assert result.exit_code == 0, result.stderr
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    pictures = [f"{name}.{suffix}" for name in ("time", "ipc") for suffix in ("png", "svg", "pdf")]
    tables = ["scores.md", "scores.tex", "scores.csv", "options.md", "options.tex"]
    assert sorted(one) == sorted([*pictures, *tables])
    assert one["time.png"][:4] == b"\x89PNG" and one["time.pdf"][:5] == b"%PDF-" and b"<svg" in one["time.svg"]
    assert r"b \$x\_1\$ \& 100 \% & convnet" in one["scores.tex"].decode()
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert one["scores.tex"].decode().count(rule) == 1
    first, _ = csv.DictReader(one["scores.csv"].decode().splitlines())
    assert float(first["mean"]) == pytest.approx(0.6)
    assert compare(*runs, "--out", tmp_path / "one").exit_code == 2
    assert compare(*runs, "--out", tmp_path / "one", "--overwrite").exit_code == 0


def test_a_curve_is_drawn_over_the_time_of_its_steps(tmp_path):
    """Half of the four updates after half of the four seconds that the first of two sets took."""
    from dcc_core import Registry
    from dcc_plugins.compare.subjects import read_subjects

    run = made(tmp_path / "a", [[0.5], [0.6]], curve=[(0, [0.1]), (2, [0.4]), (4, [0.5])])
    (subject,) = read_subjects([run], Registry())
    assert isinstance(subject, Subject)
    assert subject.curve == ((0.0, (0.1,)), (2.0, (0.4,)), (4.0, (0.5,)))


def test_two_networks_have_pictures_of_their_own(tmp_path):
    a = made(tmp_path / "a", [[0.5, 0.6]])
    b = made(tmp_path / "b", [[0.5, 0.6]], network="resnet18")
    assert compare(a, b, "--out", tmp_path / "out").exit_code == 0
    assert {"time.pdf", "time-1.pdf", "ipc.pdf", "ipc-1.pdf"} < {p.name for p in (tmp_path / "out").iterdir()}


def test_what_has_no_score_is_one_message(tmp_path):
    result = compare(made(tmp_path / "a", []))
    assert result.exit_code == 2
    assert "none of these has a score" in result.stderr
    result = compare(tmp_path / "nowhere")
    assert (result.exit_code, "not a folder" in result.stderr) == (2, True)


def test_hostile_names_stay_text():
    grid = Grid(title="t", heads=("a", "b"), lines=(("x|y\x1b[31m", "<b>_{}\\^~"),), lead=1)
    assert grid.markdown().splitlines()[-1].count("|") - grid.markdown().splitlines()[-1].count(r"\|") == 3
    assert "\x1b" not in grid.markdown() + grid.latex()
    assert r"<b>\_\{\}\textbackslash{}\textasciicircum{}\textasciitilde{}" in grid.latex()
