"""A refactor leaves the float64 loss sequences unchanged.

The numbers were written by this package; tests/test_reference.py says that they are right.
"""

import pytest

from dcc_core.engine import optimise

GOLDEN = {
    ("class-wise", "none"): [
        0.668579965261535,
        0.6740231076055915,
        0.7825375892200803,
        0.7392455235782466,
        0.6979632150821868,
        0.6743820987172076,
        0.4424623730888322,
        0.3949029161134481,
    ],
    ("collective", "none"): [
        0.668579965261535,
        0.6740231076055915,
        0.3129612326404787,
        0.2864965889480029,
        0.2444157782466886,
        0.25409810470917416,
        0.15938997473932814,
        0.15472448946551487,
    ],
    ("collective", "dsa"): [
        0.5432332642210931,
        0.552030570013514,
        0.2524881985925044,
        0.2330075201027193,
        0.1664067462083284,
        0.18132622280265265,
        0.14933177151983446,
        0.12801094202028607,
    ],
}


@pytest.mark.parametrize(("loss", "aug"), GOLDEN)
def test_loss_sequence(make_job, loss, aug):
    options = {"run.inner_loops": 2, "run.network_steps": 2, "run.ipc": 2, "run.outer_loops": 4}
    job = make_job({**options, "loss": loss, "aug": aug})
    run = job.context()
    losses = []
    optimise(run, job.config.loss, job.start(run), watch=lambda report: losses.append(report.loss))
    assert losses == pytest.approx(GOLDEN[loss, aug], rel=1e-10)
