"""A loss for few images per class, another for more."""

import pytest

from dcc_core.testing import LossConformance, Moment, job_of, toys
from dcc_plugins import by_ipc


class TestByIpc(LossConformance):
    component, options = "by-ipc", {"few": "class-wise", "many": "collective-bare"}


def make_job(loss, ipc):
    pair = {"loss.few": "frepo", "loss.many": "dm", "loss.most": 2} if loss == "by-ipc" else {}
    return job_of({"data": "blobs", "run.ipc": ipc, "run.precision": "float64", "loss": loss, **pair}, toys)


@pytest.mark.parametrize(("ipc", "chosen"), [(1, "frepo"), (2, "frepo"), (3, "dm")])
def test_the_number_of_images_chooses(ipc, chosen):
    job, plain = make_job("by-ipc", ipc), make_job(chosen, ipc)
    assert Moment.of(job).objective() == Moment.of(plain).objective()
    assert job.config.schedule == plain.config.schedule
    assert job.config.image_rate == plain.config.image_rate


@pytest.mark.parametrize(("ipc", "words"), [(2, "few images per class: FeatureR"), (3, "many images per class: Dist")])
def test_the_log_says_which(ipc, words, caplog):
    by_ipc._tell.cache_clear()
    with caplog.at_level("INFO", logger="dcc"):
        for _ in range(2):
            make_job("by-ipc", ipc).start()
    assert [line for line in caplog.messages if line.startswith("loss for")] == [
        m for m in caplog.messages if words in m
    ]
    assert sum(words in message for message in caplog.messages) == 1
