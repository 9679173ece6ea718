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
    return place | made | {"seed": f"seed{seed}", "curve": list(curve), "options": options}


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
    assert frontier.line_of(ROWS, "dsac") == [(3, pytest.approx(20)), (15, pytest.approx(30)), (30, pytest.approx(40))]
    assert frontier.line_of(ROWS, "fast") == [(1, pytest.approx(30)), (3, pytest.approx(44))]


def test_time_to_an_accuracy_is_read_between_two_points():
    line = [(1.0, 30.0), (3.0, 44.0)]
    assert frontier.reach(line, 37) == pytest.approx(2)
    assert frontier.reach(line, 20) == 1
    assert frontier.reach(line, 45) is None


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
    assert "| fast | 2.4 (12×) |" in text
    assert (tmp_path / "out.svg").read_text().startswith("<?xml")


def test_runs_may_expect_what_was_measured(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(frontier, "EXPECTED", tmp_path / "expected.json")
    assert CliRunner().invoke(frontier.main, ["expect", str(rows)]).exit_code == 0
    one, three = json.loads((tmp_path / "expected.json").read_text())
    assert one["options"] == {"loss": "fast", "run.ipc": 10}
    assert (one["minutes"], one["accuracies"]) == (1, [0.3])
    assert (three["minutes"], three["accuracies"]) == (3, [0.42, 0.46])
    assert (three["network"], three["protocol"], three["part"]) == ("convnet", "dsa", "validation")


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
