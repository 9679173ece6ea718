"""Section 3.2 by this package's losses: the closed forms, the data, the classifier, the penalty."""

from pathlib import Path

import pytest
import torch
from scipy.stats import norm

import dcc_plugins.manifest
from dcc_core import Registry
from dcc_core.compute.criterion import hinge
from dcc_core.jobs.coreset import select_coreset
from dcc_core.plugins.registry import Origin
from dcc_core.testing import DataConformance, LossConformance, Moment
from dcc_plugins.data.gaussians import Gaussians
from dcc_plugins.figures import figure_style
from dcc_plugins.networks.fixed import Along
from dcc_plugins.studies import Bench
from dcc_plugins.studies.contrast import Contrast, class_wise_ratio, inside_mean, ratio, solutions
from dcc_plugins.terminal import Display

REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])


class Here:
    def registry(self):
        return REGISTRY


class TestPenalised(Here, LossConformance):
    component, options = "penalised", {"of": "collective-bare", "of.distance": "cosine"}


class TestGaussians(Here, DataConformance):
    component, options, embedded = "gaussians", {"count": 40}, True


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The study at a small scale."""
    folder = tmp_path_factory.mktemp("contrast")
    bench = Bench(REGISTRY, {}, folder, folder, Display(quiet=True))
    with figure_style():
        return Contrast(ratios=(1, 10), shown=1, steps=350, count=4000, seeds=1).conduct(bench)


def rows(found, variant):
    return {row["beta_over_alpha"]: row for row in found.tables["contrast"] if row["variant"] == variant}


@pytest.mark.slow
def test_class_wise_matching_keeps_m_over_m_plus_beta(found):
    for relative, row in rows(found, "class-wise").items():
        assert abs(row["R"] - inside_mean(1) / (inside_mean(1) + relative)) < 0.02


def test_collective_matching_with_the_penalty_keeps_the_contrast_alone(found):
    assert min(row["R"] for row in rows(found, "collective").values()) > 0.98


def test_without_the_penalty_the_common_part_stays(found):
    free = rows(found, "collective, no penalty")[10]
    assert free["R"] < 0.1
    assert min(free["plus_phi2"], free["minus_phi2"]) > 5


def test_the_images_are_those_of_the_closed_forms(found):
    for variant in ("class-wise", "collective"):
        for relative, row in rows(found, variant).items():
            exact = solutions(1, relative, 0.1)[variant]
            apart = row["plus_phi1"] - row["minus_phi1"], row["plus_phi2"]
            assert apart == pytest.approx([float(exact[1, 0] - exact[0, 0]), float(exact[1, 1])], abs=0.03)


def test_the_page_has_the_measured_numbers(found):
    smallest = min(row["R"] for row in rows(found, "collective").values())
    assert f"the smallest R is {smallest:.4f}" in found.page


def test_every_sample_has_a_seed_of_its_own_wherever_they_begin(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "dcc_core.runs.python_api.select_coreset",
        lambda job, *a: seen.append(job.config.run.seed) or select_coreset(job, *a),
    )
    bench = Bench(REGISTRY, {"run.seed": 5}, tmp_path, tmp_path, Display(quiet=True))
    with figure_style():
        Contrast(ratios=(1,), shown=1, steps=1, count=40, seeds=2).conduct(bench)
    assert set(seen) == {5, 6}


def test_m_is_the_mean_inside_the_margin():
    """By numbers, for several α; α = 1, β = 1 is the paper's 0.168."""
    x = torch.linspace(-12, 12, 200001, dtype=torch.float64)
    for alpha in (0.3, 1.0, 1.7):
        density = torch.tensor(norm.pdf(x - alpha)) * (x < 1)
        assert inside_mean(alpha) == pytest.approx(float((x * density).sum() / density.sum()), abs=1e-4)
        assert class_wise_ratio(alpha, 1.0) <= alpha / (alpha + 1)
    assert class_wise_ratio(1, 1) == pytest.approx(0.168, abs=5e-4)
    assert class_wise_ratio(1, 0) == 1


def test_the_ratio_is_that_of_eq_5():
    assert ratio(torch.tensor([[1.0, -3.0], [-2.0, 0.0]])) == pytest.approx(0.5)


def test_the_sample_is_of_the_gaussians():
    data = Gaussians(alpha=0.8, beta=3.0, count=4000).load(root=Path(), download=False, progress=False)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    x = (data.train.images.flatten(1).float() / 255 - mean) / std
    for label, sign in ((0, -1), (1, 1)):
        own = x[data.train.labels == label]
        assert own.mean(dim=0).tolist() == pytest.approx([sign * 0.8, 3.0], abs=0.01)
        assert own.std(dim=0).tolist() == pytest.approx([1, 1], abs=0.03)


def test_the_classifier_is_phi_1():
    network = Along().build(channels=2, classes=2, size=(1, 1), generator=torch.Generator())
    x, y = torch.tensor([[0.3, 5.0], [-2.0, 1.0]]).view(2, 2, 1, 1), torch.tensor([1, 0])
    losses = hinge(network(x), y)
    assert losses.tolist() == pytest.approx([0.7, 0.0])
    (gradient,) = torch.autograd.grad(losses.sum(), list(network.parameters()))
    assert gradient.tolist() == [pytest.approx([-0.3, -5.0])]


def test_the_penalty_is_lambda_times_the_norms(make_job):
    plain, penalised = (
        Moment.of(make_job({"loss": name, "run.init": "noise", **more}))
        for name, more in (("class-wise", {}), ("penalised", {"loss.of": "class-wise", "loss.weight": 0.3}))
    )
    norms = penalised.synthetic.batch(0, 1, 2).images.flatten(1).norm(dim=1).sum()
    assert penalised.objective() - plain.objective() == pytest.approx(0.3 * float(norms.detach()))
