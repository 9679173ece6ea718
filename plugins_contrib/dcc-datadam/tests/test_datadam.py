"""Attention matching: the objective, its layers, its recipe."""

import pytest
import torch

from dcc_core import DccError
from dcc_core.testing import LossConformance, Moment, RecipeConformance, job_of, remaining_objective, toys


class TestDatadam(LossConformance):
    component, settings = "datadam", {"aug": "dsa", "arch": "convnet", "arch.width": 4, "arch.depth": 2}


class TestRecipe(RecipeConformance):
    component = "datadam"


def make_job(options=None):
    """A run of the loss on toy data in float64 unless asked otherwise, on two blocks."""
    small = {"data": "blobs", "loss": "datadam", "arch": "convnet", "arch.width": 4, "arch.depth": 2}
    return job_of({**small, "run.precision": "float64", **(options or {})}, toys)


def restated(step, weight=0.01, power=4):
    """The objective pixel by pixel, in loops: the first block's activations, and what the head is given."""
    features = step.network.features if hasattr(step.network, "features") else step.network
    block = next(m for m in features.modules() if isinstance(m, torch.nn.Sequential))
    total = 0.0
    for label in range(step.num_classes):
        means = []
        for batch in (step.real(label), step.synthetic.batch(label)):
            images = step.augment(batch, label).images.detach()
            maps, ends = [], []
            for image in images:
                activation = block[2](block[1](block[0](image.unsqueeze(0))))[0].detach()
                one = [
                    sum(float(activation[c, y, x]) ** power for c in range(activation.shape[0]))
                    for y in range(activation.shape[1])
                    for x in range(activation.shape[2])
                ]
                length = sum(v * v for v in one) ** 0.5
                maps.append([v / length for v in one])
                ends.append(step.network.embed(image.unsqueeze(0))[0].tolist())
            means.append([[sum(column) / len(rows) for column in zip(*rows, strict=True)] for rows in (maps, ends)])
        (real_map, real_end), (map_, end) = means
        total += sum((a - b) ** 2 for a, b in zip(real_map, map_, strict=True))
        total += weight * sum((a - b) ** 2 for a, b in zip(real_end, end, strict=True))
    return total


@pytest.mark.parametrize(
    "options",
    [{}, {"aug": "dsa"}, {"loss.weight": 2.0, "loss.power": 2.0}, {"param": "half", "run.real_batch": 4}],
    ids=str,
)
def test_the_objective_is_that_of_attention_maps_and_features(options):
    moment = Moment.of(make_job({"run.ipc": 2, "run.init": "noise", **options}))
    parts = [value.item() for value in moment.terms()]
    weight, power = options.get("loss.weight", 0.01), options.get("loss.power", 4.0)
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(restated(moment.step, weight, power), rel=1e-9)


def test_the_network_keeps_no_hooks():
    moment = Moment.of(make_job())
    list(moment.terms())
    assert not any(m._forward_hooks for m in moment.step.network.modules())


def test_a_network_without_rectifiers_is_refused():
    with pytest.raises(DccError, match=r"datadam: the network has no rectifier \(nn.ReLU\) that gives maps"):
        list(Moment.of(make_job({"arch.activation": "sigmoid"})).terms())


def test_the_recipe_has_the_published_settings():
    config = make_job({"recipe": "datadam", "data": "blobs-of:12,12,12", "run.ipc": 10}).config
    assert (config.schedule.inner_loops, config.schedule.network_steps) == (1, 0)
    assert (config.run.outer_loops, config.image_rate, config.run.real_batch) == (8000, 1.0, 128)
    assert config.names["aug"] == "dsa"


def test_a_run_lowers_the_objective():
    """On networks that the run has not seen."""
    job = make_job({"run.outer_loops": 30, "data": "digits", "run.precision": "float32", "run.init": "noise"})
    assert remaining_objective(job) < 0.8
