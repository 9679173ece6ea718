"""Operations of an image update and of a network epoch: counts that may fall, and do not rise unseen."""

import dispatched
import pytest

MOST = {"DC ipc 1": 690, "DC ipc 10": 700, "DCC ipc 1": 320, "DSA ipc 1": 760, "DSAC ipc 1": 350, "DSAC ipc 10": 350}


@pytest.mark.parametrize("method", MOST)
def test_an_image_update_dispatches_no_more(method):
    assert dispatched.count_update(dispatched.UPDATES[method]).total() <= MOST[method]


def test_an_epoch_dispatches_no_more():
    assert dispatched.count_epoch({}).total() <= 50
    assert dispatched.count_epoch({"aug": "dsa"}).total() <= 60


@pytest.mark.parametrize("method", ["DC ipc 1", "DSAC ipc 1"])
def test_an_outer_loop_waits_once_for_the_device(method):
    """What is read are the numbers of its three updates; somebody who looks after every step waits three times."""
    assert dispatched.count_reads(dispatched.UPDATES[method]) == {"tolist": 1}
    assert dispatched.count_reads(dispatched.UPDATES[method], looks=True) == {"tolist": 3}
