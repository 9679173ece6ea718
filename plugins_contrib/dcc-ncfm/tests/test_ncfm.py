"""Characteristic functions: the objective, its networks, its recipe."""

import cmath
import math

import pytest
import torch

from dcc_core.testing import LossConformance, Moment, RecipeConformance, job_of, remaining_objective, toys

SMALL = {"networks": 2, "epochs": 1, "frequencies": 16}


class TestNcfm(LossConformance):
    component, options, settings = "ncfm", SMALL, {"aug": "dsa", "arch": "convnet", "arch.width": 4, "arch.depth": 2}


class TestRecipe(RecipeConformance):
    component = "ncfm"


def make_job(options=None):
    """A run of the loss on toy data in float64 unless asked otherwise, on two blocks."""
    small = {"data": "blobs", "loss": "ncfm", "arch": "convnet", "arch.width": 4, "arch.depth": 2}
    small |= {f"loss.{name}": value for name, value in SMALL.items()}
    return job_of({**small, "run.precision": "float64", **(options or {})}, toys)


def restated(moment, alpha=0.5, weight=300.0, calibration=1.0):
    """The objective number by number, with the networks and arguments of the step."""
    step, state = moment.step, moment.state
    features_of = step.with_network(state.blend)
    arguments = torch.randn(
        (16, features_of.embed(step.real(0).images).shape[1]), generator=step.generator("frequencies")
    )
    total = 0.0
    for label in range(step.num_classes):
        phi = []
        for batch in (step.real(label), step.synthetic.batch(label)):
            images = step.augment(batch, label).images.detach()
            rows = [(f / f.norm()).tolist() for f in features_of.embed(images).detach()]
            phi.append(
                [
                    sum(cmath.exp(1j * sum(a * b for a, b in zip(t, f, strict=True))) for f in rows) / len(rows)
                    for t in arguments.double().tolist()
                ]
            )
        distances = [
            math.sqrt(alpha * (abs(x) - abs(s)) ** 2 + (1 - alpha) * 2 * (abs(x) * abs(s) - (x * s.conjugate()).real))
            for x, s in zip(*phi, strict=True)
        ]
        logits = state.trained(images).detach()
        entropy = sum(float(torch.logsumexp(row, 0) - row[label]) for row in logits) / len(logits)
        total += weight * sum(distances) / len(distances) + calibration * entropy
    return total


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, {}),
        ({"aug": "dsa"}, {}),
        ({"loss.amplitude": 0.9, "loss.weight": 2.0}, {"alpha": 0.9, "weight": 2.0}),
        ({"loss.calibration": 0.0, "param": "half", "run.real_batch": 4}, {"calibration": 0.0}),
    ],
    ids=str,
)
def test_the_objective_is_that_of_characteristic_functions(options, numbers):
    moment = Moment.of(make_job({"run.ipc": 2, "run.init": "noise", **options}))
    parts = [value.item() for value in moment.terms()]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(restated(moment, **numbers), rel=1e-9)


def test_networks_lie_between_untrained_and_trained_ones():
    job = make_job()
    places = []
    for outer in range(20):
        moment = Moment.of(job, outer)
        list(moment.terms())
        for before, after in moment.state.weights:
            name = next(n for n, t in before.items() if not torch.equal(t, after[n]))
            way, moved = after[name] - before[name], moment.state.blend.state_dict()[name] - before[name]
            share = float((moved * way).sum() / way.square().sum())
            if torch.allclose(moved, share * way, atol=1e-9):
                places.append(share)
    assert len(places) == 20
    assert 0 <= min(places) < 0.3 and 0.7 < max(places) <= 1


def test_equal_features_have_a_finite_gradient():
    """Where all real images of a class are the synthetic ones, every distance is zero."""
    moment = Moment.of(make_job({"run.ipc": 12, "data": "blobs-of:12,12,12"}))
    assert all(torch.isfinite(g).all() for g in moment.gradient().values())


def test_a_run_lowers_the_objective():
    """On updates that the run has not seen."""
    job = make_job(
        {
            "run.outer_loops": 40,
            "data": "digits",
            "run.precision": "float32",
            "run.init": "noise",
            "run.image_optimiser": "adam",
        }
    )
    assert remaining_objective(job) < 0.8


def test_the_recipe_has_the_published_settings():
    config = make_job({"recipe": "ncfm", "data": "blobs-of:40,40,40", "run.ipc": 10}).config
    assert (config.schedule.inner_loops, config.schedule.network_steps) == (1, 0)
    assert (config.run.outer_loops, config.image_rate, config.run.real_batch) == (20000, 0.001, 1024)
    assert (config.names["aug"], config.run.image_optimiser) == ("dsa", "adam")
