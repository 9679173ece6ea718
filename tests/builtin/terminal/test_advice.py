"""What a run on large images says of the other way, and the images stored at a lower resolution."""

import pytest
import torch
from torch.nn import functional as F

import dcc_plugins.manifest
from dcc_core.runs.forecast import plan_run
from dcc_plugins.parametrisations import Upsampled
from dcc_plugins.terminal.advice import advise


def test_a_run_on_large_images_names_both_forecasts(make_job, monkeypatch, caplog):
    monkeypatch.setattr(dcc_plugins.manifest, "LARGE", 8)
    job = make_job({"run.outer_loops": 100_000, "arch": "linear", "loss": "means", "score.nets": 1})
    with caplog.at_level("INFO", "dcc"):
        plan_run(job, 0.0)
    assert "matching is forecast at" in caplog.text and "dcc select --recipe rded" in caplog.text


def test_small_images_are_given_no_advice(make_job, caplog):
    with caplog.at_level("INFO", "dcc"):
        plan_run(make_job({"run.outer_loops": 100_000, "arch": "linear", "loss": "means", "score.nets": 1}), 0.0)
    assert "matching is forecast" not in caplog.text


def test_a_cheap_run_is_not_talked_out_of(make_job, caplog):
    with caplog.at_level("INFO", "dcc"):
        advise(make_job({"arch": "linear"}).context(), {"seconds": {"condense": 0.0}})
    assert not caplog.text


@pytest.mark.parametrize("factor", [2, 3])
def test_a_stored_image_is_enlarged_to_the_size_of_the_data(make_job, factor):
    run = make_job().context()
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    stored = Upsampled(factor=factor).init(images, torch.arange(4) % 3, run)
    side = -(-8 // factor)
    assert stored["images"].shape == (4, 3, side, side)
    decoded, _ = Upsampled(factor=factor).decode(stored)
    assert torch.equal(decoded, F.interpolate(stored["images"], size=(8, 8), mode="bilinear", align_corners=False))
