"""One process at a time in a run's folder."""

import os
import signal
import subprocess
import sys

import pytest
from acts import HOLD
from shown_runs import made

from dcc_core import DccError
from dcc_core.runs.lock import LOCK, hold_lock, is_alive


@pytest.fixture
def holder(tmp_path):
    """A process that is at work in the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused(tmp_path, holder):
    with pytest.raises(DccError, match=f"another process is running in '{tmp_path}'; wait for its end"):
        made(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [LOCK]
    assert is_alive(tmp_path)


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    assert not is_alive(tmp_path)
    made(tmp_path, {"run.sets": 1})
    assert not (tmp_path / LOCK).exists()


def test_a_child_that_outlives_its_run_holds_nothing(tmp_path):
    """Scoring networks are forked processes."""
    with hold_lock(tmp_path):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        assert not is_alive(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_folder_without_a_run_has_no_process(tmp_path):
    assert not is_alive(tmp_path)
    assert not is_alive(tmp_path / "none")
