"""Devices by name, and what depends on there being a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dcc_core import DccError
from dcc_core.compute import can_fork, find_device, send, widest

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def there(monkeypatch):
    """Let torch find GPUs by kind; their tensors are the CPU's."""

    def set_up(**kinds):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: kinds.get("cuda", False))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kinds.get("mps", False))
        empty = torch.empty
        monkeypatch.setattr(torch, "empty", lambda *size, device=None, **more: empty(*size, **more))

    return set_up


@pytest.mark.parametrize(
    ("kinds", "precision", "expected"),
    [
        ({"cuda": True, "mps": True}, "float32", "cuda"),
        ({"cuda": True}, "float64", "cuda"),
        ({"mps": True}, "float32", "mps"),
        ({"mps": True}, "float64", "cpu"),
        ({}, "float32", "cpu"),
    ],
)
def test_auto_is_the_best_that_has_the_precision(there, kinds, precision, expected):
    there(**kinds)
    assert find_device("auto", precision=precision).type == expected


def test_mps_has_no_float64(there):
    there(mps=True)
    assert find_device("mps").type == "mps"
    assert (widest(torch.device("mps")), widest(CPU)) == (torch.float32, torch.float64)
    with pytest.raises(DccError, match=r"run\.precision: float64 is not offered on mps; give --device cpu, or"):
        find_device("mps", precision="float64")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "meta", "mps:x"])
def test_other_devices_are_refused_with_the_choice(name):
    with pytest.raises(DccError, match=rf"run\.device: '{name}' .*auto, cpu, cuda, cuda:N, mps"):
        find_device(name)


def test_a_tensor_is_sent_in_the_type_asked_for():
    assert send(torch.ones(2, dtype=torch.float64), CPU, torch.float32).dtype == torch.float32
    whole = torch.arange(3)
    assert send(whole, CPU) is whole


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")
def test_nothing_is_forked_where_there_is_a_gpu(there):
    there()
    assert can_fork()
    there(cuda=True)
    assert not can_fork()


def test_tests_run_on_the_device_that_pytest_is_given():
    test = "tests/core/engine/test_golden.py"
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--device", "no-such-device", test]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True)
    assert "run.device: 'no-such-device' cannot be used" in done.stdout
