"""The kit's processes where they start afresh, as beside a GPU: the same results, by work that is pickled."""

import os
import threading

import mutants_manifest
import pytest
import toys

import dcc_plugins.manifest
from dcc_core import DccError, Registry, testing
from dcc_core.plugins.registry import Origin
from dcc_core.testing.base import TINY
from dcc_core.testing.processes import CAN_START, in_processes

pytestmark = pytest.mark.skipif(not CAN_START, reason="several processes start on Linux alone, with torch.distributed")
REGISTRY = Registry(
    [dcc_plugins.manifest, mutants_manifest, toys], [Origin("builtin", "dcc", "0.1"), Origin("mutants"), Origin("toys")]
)
SMALL = {"data": "blobs", "arch": "linear"}
"""Needs no scikit-learn, which takes every process seconds."""


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    monkeypatch.setattr("dcc_core.scoring.in_processes.can_fork", lambda: False)


def test_a_loss_on_several_processes_is_held_to_one(monkeypatch):
    """On CPUs, whatever the kit's other tests run on, and by a class that no module has."""
    monkeypatch.setenv("DCC_TEST_DEVICE", "cuda")
    monkeypatch.setitem(TINY, "run.device", "cuda")
    own = {"component": "Good", "registry": lambda self: REGISTRY, "processes": (2,), "settings": SMALL}
    type("TestIt", (testing.LossConformance,), own)().test_several_processes_agree()


def test_a_failure_comes_with_its_traceback():
    def work(group):
        raise ValueError(f"process {group.rank} has nothing of {os.environ['CUDA_VISIBLE_DEVICES']!r}")

    with pytest.raises(RuntimeError, match=r"(?s)process 0 of 1:.*in work.*process 0 has nothing of ''"):
        in_processes(1, work)


def test_work_that_cannot_be_pickled_is_an_error():
    lock = threading.Lock()
    with pytest.raises(DccError, match=r"work for 2 processes cannot be given to them: .*'_thread.lock'"):
        in_processes(2, lambda group: lock.locked())
