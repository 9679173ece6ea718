"""Pipes, odd paths, plain encodings and closed outputs: one message, or the result all the same."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dcc_core.cli.app import cli

SMALL = ["--outer-loops", "1", "--eval-nets", "1", "--protocol", "dc", "-o", "arch.width=2", "-o", "data.per_class=4"]


def invoke(*words):
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 2, (result.exception, result.output)
    assert "Traceback" not in result.stderr
    return result.stderr


def start(*words, **how):
    return subprocess.run(
        [sys.executable, "-m", "dcc_core", *map(str, words)], stderr=subprocess.PIPE, text=True, timeout=120, **how
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("words", [["inspect"], ["run", "--config"], ["eval"], ["run", "--init"]])
def test_a_pipe_is_refused_at_once(tmp_path, words):
    os.mkfifo(tmp_path / "pipe")
    assert "it is a pipe or a device; expected a regular file" in invoke(*words, tmp_path / "pipe")


@pytest.mark.parametrize(
    "words", [["inspect", "a\0b"], ["run", "--config", "a\0b"], ["run", "--out", "a\0b"], ["run", "--data", "npz:a\0b"]]
)
def test_a_nul_in_a_path_is_said(words):
    message = invoke(*words)
    assert "NUL" in message or "null" in message


@pytest.mark.parametrize("option", ["run.ipc", "run.outer_loops", "run.micro_batch"])
@pytest.mark.parametrize("number", ["1" + "0" * 400, "9" * 30, "-" + "9" * 30])
def test_numbers_beyond_all_machines_are_refused(option, number):
    assert f"{option}: '{number[:18]}...' is not an integer" in invoke("run", "-o", f"{option}={number}")


@pytest.mark.slow
def test_an_ascii_terminal_shows_what_it_can(tmp_path):
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = start("run", *SMALL, "--out", tmp_path / "run", env=plain, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert "collective" in done.stdout and (tmp_path / "run" / "report.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close an output")
def test_a_closed_output_costs_no_result(tmp_path):
    words = " ".join(map(str, [sys.executable, "-m", "dcc_core", "run", *SMALL, "--out", tmp_path / "run"]))
    done = subprocess.run(f"{words} >&- 2>&-", shell=True, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "run" / "report.json").exists()
