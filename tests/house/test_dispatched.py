"""Operations of an image update and of a network epoch: counts that may fall, and do not rise unseen."""

import dispatched
import pytest
import torch

MOST = {"DC ipc 1": 690, "DC ipc 10": 700, "DCC ipc 1": 320, "DSA ipc 1": 760, "DSAC ipc 1": 350, "DSAC ipc 10": 350}


@pytest.fixture(autouse=True)
def _torchs_own_kernels():
    """Whatever kernels a job on a GPU has asked for in this process."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    yield
    torch.set_deterministic_debug_mode(before)


def on_cpu(options):
    """What would be launched is counted on the CPU, wherever other tests run."""
    return {**options, "run.device": "cpu"}


@pytest.mark.parametrize("method", MOST)
def test_an_image_update_dispatches_no_more(method):
    assert dispatched.count_update(on_cpu(dispatched.UPDATES[method])).total() <= MOST[method]


def test_an_epoch_dispatches_no_more():
    assert dispatched.count_epoch(on_cpu({})).total() <= 50
    assert dispatched.count_epoch(on_cpu({"aug": "dsa"})).total() <= 60


@pytest.mark.parametrize("method", ["DC ipc 1", "DSAC ipc 1"])
def test_an_outer_loop_waits_once_for_the_device(method):
    """What is read are the numbers of its three updates; somebody who looks after every step waits three times."""
    assert dispatched.count_reads(on_cpu(dispatched.UPDATES[method])) == {"tolist": 1}
    assert dispatched.count_reads(on_cpu(dispatched.UPDATES[method]), looks=True) == {"tolist": 3}
