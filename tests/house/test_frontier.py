"""The frontier: the times it reads from cells and curves, and what runs are told to expect."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcc_core import condense

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import frontier


def row(method, minutes, accuracy, seed=0, curve=(), loops=100):
    place = {"scale": "narrow", "data": "cifar10", "ipc": "ipc10", "method": method, "minutes": minutes}
    made = {"accuracies": {"convnet": [accuracy - 0.01, accuracy + 0.01]}, "protocol": {"convnet": "dsa"}}
    options = {"loss": method, "run.ipc": 10, "run.outer_loops": loops, "score.part": "validation"}
    command = f"dcc table frontier --cells 'cifar10/ipc10/{method}/{minutes}/seed{seed}'"
    return place | made | {"seed": f"seed{seed}", "curve": list(curve), "options": options, "command": command}


ROWS = [
    row("dsac", "30m", 0.40, curve=[[0, [0.1]], [10, [0.2]], [50, [0.3]], [100, [0.39]]]),
    row("fast", "1m", 0.30),
    row("fast", "3m", 0.42),
    row("fast", "3m", 0.46, seed=1),
]


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in ROWS))
    return file


def test_a_curve_gives_its_run_more_points():
    """An outer loop of a hundred is a hundredth of thirty minutes; the last one is the set that is scored."""
    expected = [(3, pytest.approx(20)), (15, pytest.approx(30)), (30, pytest.approx(40))]
    assert frontier.lines_of(ROWS, "dsac") == {"seed0": expected}
    fast = frontier.lines_of(ROWS, "fast")
    assert fast == {"seed0": [(1, pytest.approx(30)), (3, pytest.approx(42))], "seed1": [(3, pytest.approx(46))]}


@pytest.mark.parametrize(
    ("accuracy", "minutes"), [(37, 2), (20, 1), (45, None), (32, 1 + 2 * 2 / 14), (43, 6 + 3 / 10 * 3)]
)
def test_time_to_an_accuracy_is_from_where_a_line_stays(accuracy, minutes):
    """Read between two points; what is lost again does not count."""
    line = [(1.0, 30.0), (3.0, 44.0)] if accuracy != 43 else [(1.0, 30.0), (3.0, 44.0), (6.0, 40.0), (9.0, 50.0)]
    assert frontier.reach(line, accuracy) == (None if minutes is None else pytest.approx(minutes))


def test_the_page_has_accuracies_and_ratios(rows, tmp_path):
    (tmp_path / "out.md").write_text("words\n\n<!-- cells: begin -->\nold\n<!-- cells: end -->\nmore words\n")
    for _ in range(2):
        result = CliRunner().invoke(frontier.main, ["draw", str(rows), "--out", str(tmp_path / "out")])
        assert result.exit_code == 0, result.output
    text = (tmp_path / "out.md").read_text()
    assert text.startswith("words\n")
    assert text.endswith("\nmore words\n")
    assert "old" not in text
    assert text.count("## cifar10") == 1
    assert "| fast | 30.0 | 42.0, 46.0 | – |" in text
    assert "| fast | ≤ 2.8 (≥ 11×) |" in text  # one seed after 2.67 minutes, the other, upper bound, after 3
    assert "| dsac |" not in text.split("Time to the accuracy")[1]
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


def test_runs_may_expect_what_was_measured(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(frontier, "EXPECTED", tmp_path / "expected.json")
    assert CliRunner().invoke(frontier.main, ["expect", str(rows)]).exit_code == 0
    one, three = json.loads((tmp_path / "expected.json").read_text())
    assert one["options"] == {"loss": "fast", "run.ipc": 10}
    assert (one["minutes"], one["accuracies"]) == (1, [0.3])
    assert (three["minutes"], three["accuracies"]) == (3, [0.42, 0.46])
    assert (three["network"], three["protocol"], three["part"]) == ("convnet", "dsa", "validation")


def test_sets_scored_on_other_networks_are_not_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(frontier, "EXPECTED", tmp_path / "expected.json")
    wide = row("fast", "3m", 0.5) | {
        "accuracies": {"convnet,width=128": [0.5]},
        "protocol": {"convnet,width=128": "dsa"},
    }
    other = row("fast", "3m", 0.6)
    other["options"]["loss.networks"] = 7
    changed = row("fast", "3m", 0.7)
    changed["command"] += " -o loss.epochs=8"
    (tmp_path / "r").write_text("".join(json.dumps(r) + "\n" for r in [row("fast", "3m", 0.4), wide, other, changed]))
    assert CliRunner().invoke(frontier.main, ["expect", str(tmp_path / "r")]).exit_code == 0
    found = json.loads((tmp_path / "expected.json").read_text())
    assert [(r["network"], r["accuracies"]) for r in found] == [
        ("convnet", [0.4]),
        ("convnet,width=128", [0.5]),
        ("convnet", [0.6]),
    ]


def test_a_page_without_marks_is_left_alone(rows, tmp_path):
    (tmp_path / "out.md").write_text("words")
    result = CliRunner().invoke(frontier.main, ["draw", str(rows), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "has no lines '<!-- cells: begin -->'" in result.output
    assert (tmp_path / "out.md").read_text() == "words"


def test_cells_become_rows(tmp_path):
    condense(
        data="digits",
        loss="collective",
        out=tmp_path / "runs" / "cifar10" / "ipc1" / "dcc" / "3m" / "seed0",
        options={"run.outer_loops": 1, "run.inner_loops": 1, "run.sets": 1, "score.nets": 1, "arch.width": 8}
        | {"data.validation": 0.1, "score.part": "validation", "score.baseline": False},
    )
    file = tmp_path / "rows.jsonl"
    command = ["collect", str(tmp_path / "runs"), "--rows", str(file), "--machine", "this one"]
    result = CliRunner().invoke(frontier.main, command)
    assert result.exit_code == 0, result.output
    (found,) = frontier.read_rows(file)
    assert frontier.minutes_of(found) == 3
    assert 0 < frontier.mean_of(found) < 100
    assert found["options"]["score.part"] == "validation"


def test_the_committed_tables_are_those_of_the_committed_rows(tmp_path):
    results = Path(frontier.__file__).parent / "results"
    page = (results / "frontier.md").read_text()
    (tmp_path / "out.md").write_text(page)
    result = CliRunner().invoke(
        frontier.main, ["draw", str(results / "frontier.jsonl"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.md").read_text() == page
