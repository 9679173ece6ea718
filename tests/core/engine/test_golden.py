"""A refactor leaves the float64 loss sequences unchanged.

The numbers were written by this package; tests/test_reference.py says that they are right.
"""

import pytest

GOLDEN = {
    ("class-wise", "none"): [
        0.5095577247738995,
        0.5014458770695667,
        0.3582978300125528,
        0.3560490985279977,
        0.4992507987966891,
        0.49094912791918965,
        0.5011717922057447,
        0.4922273899085473,
    ],
    ("collective", "none"): [
        0.5095577247738995,
        0.5014458770695667,
        0.1605591189984874,
        0.15172757002686088,
        0.23802130761069362,
        0.24157691801013348,
        0.18183394843022116,
        0.1917881187887308,
    ],
    ("collective", "dsa"): [
        0.3984692417065787,
        0.48690777185787415,
        0.1855805007837874,
        0.1852517161243551,
        0.29196736867010886,
        0.18738989675464934,
        0.16306318882065118,
        0.15654557793888413,
    ],
}


@pytest.mark.parametrize(("loss", "aug"), GOLDEN)
def test_loss_sequence(make_job, loss, aug):
    options = {"run.inner_loops": 2, "run.network_steps": 2, "run.ipc": 2, "run.outer_loops": 4, "run.image_rate": 0.1}
    job = make_job({**options, "loss": loss, "aug": aug})
    losses = []
    job.condense(watch=lambda report: losses.append(report.loss))
    assert losses == pytest.approx(GOLDEN[loss, aug], rel=1e-10)
