"""A loss for few images per class, another for more."""

import pytest

from dcc_core.testing import LossConformance, Moment, job_of, toys


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


@pytest.mark.parametrize(("ipc", "word"), [(2, "few"), (3, "many")])
def test_the_phase_says_which(ipc, word):
    moment = Moment.of(make_job("by-ipc", ipc))
    assert moment.loss.phase(moment.step) == word
