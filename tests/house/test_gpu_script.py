"""The script for a lent GPU does a little of everything on a CPU, so that it works on the day."""

import json

import gpu
import pytest
from click.testing import CliRunner


@pytest.mark.slow
def test_every_part_leaves_rows_without_errors(tmp_path):
    words = [str(tmp_path / "out"), "--tiny", "--device", "cpu", "--minutes", "3"]
    result = CliRunner().invoke(gpu.main, words)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    assert [row for row in rows if "error" in row] == []
    parts = {part: [row for row in rows if row["part"] == part] for part in {row["part"] for row in rows}}
    assert set(parts) == {"machine", "speed", "compiled", "busy", "field", "repeat", "parity", "full"}
    assert all(row["same"] for row in parts["repeat"])
    most = {"float64": 1e-12, "float32": 1e-2, "bfloat16": 0.5}
    assert all(row["error_of_gradient"] < most[row["precision"]] for row in parts["parity"])
    assert {row["method"]: "accuracy" in row for row in parts["full"]} == dict.fromkeys(gpu.METHODS, True)


def test_a_part_that_fails_leaves_its_error_and_others_go_on(tmp_path):
    session = gpu.Session(tmp_path, "cpu", 60, tiny=True)
    with session.attempt("speed", method="DC"):
        raise RuntimeError("no such kernel")
    session.write("busy", share=1.0)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert rows[0] == {"part": "speed", "method": "DC", "error": "RuntimeError: no such kernel"}
    assert rows[1] == {"part": "busy", "share": 1.0}
