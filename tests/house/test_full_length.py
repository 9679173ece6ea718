"""The judge of the paper's claims: what it says of rows, and that its committed tables are those of its rows."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import full_length

from dcc_core import condense


def row(method, seed, accuracy, data="cifar10", curve=(), **other):
    accuracies = {"convnet": [accuracy - 0.01, accuracy + 0.01]}
    place = {"scale": "narrow", "data": data, "ipc": "ipc1", "seed": f"seed{seed}", "method": method}
    return place | {"accuracies": accuracies, "curve": list(curve)} | other


def write(rows, folder):
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = CliRunner().invoke(full_length.main, ["write", "--rows", str(file), "--out", str(folder / "out")])
    assert result.exit_code == 0, result.output
    assert (folder / "out_narrow.svg").read_text().startswith("<?xml")
    return (folder / "out.md").read_text()


def test_a_claim_needs_an_interval_on_one_side_of_zero(tmp_path):
    """Student's interval of 4, 5, 6: 5 ± 4.303 / √3 = 5 ± 2.5."""
    rows = [row("dcc", s, 0.30 + 0.01 * s) for s in range(3)] + [row("dc", s, 0.26) for s in range(3)]
    text = write(rows, tmp_path)
    assert "| DCC above DC | cifar10, ipc1 | +5.0 (+2.5 to +7.5) | 3 | holds |" in text
    assert (
        "| cifar10, ipc1 | 31.0 ± 0.8 / 1.0, 28.5 to 33.5 (3) [32.9] | 26.0 ± 0.0 / 1.0, 26.0 to 26.0 (3) [28.2] |"
        in text
    )
    assert "DSAC above DSA" not in text


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [([3.0], "not decided"), ([-1.0, 2.0, 3.0], "not decided"), ([-3.0, -3.1, -2.9], "does not hold")],
)
def test_otherwise_it_does_not_hold_or_is_not_decided(differences, verdict):
    assert full_length.judge(differences)[-1] == verdict


def test_only_sets_of_the_same_seed_are_compared(tmp_path):
    text = write([row("dcc", 0, 0.3), row("dcc", 1, 0.9), row("dc", 0, 0.2), row("dc", 2, 0.1)], tmp_path)
    assert "| DCC above DC | cifar10, ipc1 | +10.0 | 1 | not decided |" in text


def test_gains_on_classes_that_are_alike_are_compared_with_those_on_others(tmp_path):
    gains = {"cifar10": (0.01, 0.02, 0.03), "insect": (0.11, 0.12, 0.13)}
    rows = [row("dsa", s, 0.2, data) for data in gains for s in range(3)]
    rows += [row("dsac", s, 0.2 + gain, data) for data, own in gains.items() for s, gain in enumerate(own)]
    line = "| DSAC above DSA by more where classes are alike | insect against cifar10, ipc1 | +10.0 (+10.0 to +10.0) |"
    assert line in write(rows, tmp_path)


def curve(*percent):
    return [[loop, [p / 100]] for loop, p in zip((0, 10, 100, 1000), percent, strict=True)]


def test_curves_say_from_where_on_one_lies_above(tmp_path):
    """Above at 10, level at 100, above at 1000 in every pair of sets."""
    rows = [row("dcc", s, 0.3, curve=curve(10, 30 + s, 20 + s, 40 + s)) for s in range(3)]
    rows += [row("dc", s, 0.3, curve=curve(10, 20 + s, 20 + s, 30 + s)) for s in range(3)]
    text = write(rows, tmp_path)
    assert "DCC above DC: from outer loop 1000 on." in text
    assert "| dcc | 10.0 | 31.0 | 21.0 | 41.0 |" in text


def test_one_pair_of_curves_decides_nothing(tmp_path):
    text = write([row("dcc", 0, 0.3, curve=curve(1, 2, 3, 4)), row("dc", 0, 0.2, curve=curve(1, 1, 1, 1))], tmp_path)
    assert "DCC above DC: not decided at the end." in text


def test_cells_become_rows_once(tmp_path):
    """A row that has not changed keeps the machine it was measured on."""
    condense(
        data="digits",
        loss="collective",
        out=tmp_path / "runs" / "cifar10" / "ipc1" / "seed0" / "dcc",
        options={"run.outer_loops": 2, "run.inner_loops": 3, "run.sets": 1, "score.nets": 2, "arch.width": 8}
        | {"score.curve": 1, "run.snapshots": [0, 1, 2], "data.validation": 0.1, "score.baseline": False},
    )
    file = tmp_path / "rows.jsonl"
    for machine in ("first", "second"):
        command = ["collect", str(tmp_path / "runs"), "--rows", str(file), "--machine", machine]
        assert CliRunner().invoke(full_length.main, command, catch_exceptions=False).exit_code == 0
    (found,) = full_length.read_rows(file)
    assert found["command"] == "dcc table full-length --scale narrow --cells 'cifar10/ipc1/seed0/dcc'"
    assert [loop for loop, _ in found["curve"]] == [0, 1, 2]
    assert len(found["accuracies"]["convnet"]) == 2
    assert found["options"]["run.inner_loops"] == 3
    assert found["machine"] == "first"
    assert str(tmp_path) not in json.dumps(found)
    assert "torch" in found["versions"]


def test_the_committed_tables_are_those_of_the_committed_rows(tmp_path):
    result = CliRunner().invoke(full_length.main, ["write", "--out", str(tmp_path / "full_length")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "full_length.md").read_text() == (full_length.RESULTS / "full_length.md").read_text()


@pytest.mark.parametrize(
    ("runs", "scale", "words"),
    [
        ("", "narrow", "is not data/ipc/seed/method below"),
        ("runs", "broad", "no scale 'broad' in table full-length: tiny"),
    ],
)
def test_what_is_no_cell_of_the_table_is_refused(tmp_path, runs, scale, words):
    folder = tmp_path / "runs" / "cifar10" / "ipc1" / "seed0" / "dcc"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}")
    command = ["collect", str(tmp_path / runs), "--rows", str(tmp_path / "r"), "--machine", "m", "--scale", scale]
    result = CliRunner().invoke(full_length.main, command)
    assert result.exit_code == 1
    assert words in result.output
