"""What a run may expect: the accuracy of measured runs with its options, in no more than its time."""

import json

import pytest

from dcc_core.runs.forecast import plan_run
from dcc_plugins.terminal import expectation
from dcc_plugins.terminal.expectation import measured_runs, tell_expected_accuracy

ABOUT = {"network": "linear", "protocol": "dc", "part": "validation"}
ROWS = [
    {"options": {"data": "blobs", "run.ipc": 1}, "minutes": 1.0, "accuracies": [0.2], **ABOUT},
    {"options": {"data": "blobs", "run.ipc": 1}, "minutes": 10.0, "accuracies": [0.31, 0.33], **ABOUT},
    {"options": {"data": "blobs", "run.ipc": 2}, "minutes": 10.0, "accuracies": [0.5], **ABOUT},
]


@pytest.mark.parametrize(
    ("minutes", "said"), [(0.5, ""), (0.9, "20.0 % in 1 min"), (9.0, "31.0, 33.0 % in 10 min"), (99.0, "31.0, 33.0 %")]
)
def test_it_is_that_of_the_longest_run_that_took_no_more_time(monkeypatch, caplog, minutes, said):
    monkeypatch.setattr(expectation, "measured_runs", lambda: ROWS)
    with caplog.at_level("INFO", "dcc"):
        options = {"data": "blobs", "run.ipc": 1, "loss": "any"}
        tell_expected_accuracy(options, {"seconds": {"probe": 15 * minutes, "condense": 45 * minutes}})
    assert said in caplog.text and bool(said) == bool(caplog.text)


def test_a_run_says_it_before_it_starts(monkeypatch, caplog, make_job):
    monkeypatch.setattr(expectation, "measured_runs", lambda: [{**ROWS[0], "minutes": 0.0}])
    with caplog.at_level("INFO", "dcc"):
        plan_run(make_job({"run.outer_loops": 3, "arch": "linear", "score.nets": 1}), 0.0)
    assert "such a run reached 20.0 %" in caplog.text


def test_what_comes_with_the_package_has_the_recipes_options(configure):
    """Otherwise nobody would be told."""
    table = configure({"recipe": "fast", "data": "digits"}).table()
    for row in measured_runs():
        own = {k: v for k, v in row["options"].items() if k not in ("data", "run.ipc")}
        assert own == {k: table[k] for k in own}
        assert 0 < min(row["accuracies"]) <= max(row["accuracies"]) < 1 and json.dumps(row)
