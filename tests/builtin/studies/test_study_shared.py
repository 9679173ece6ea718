"""The generated family and its crossing."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import dcc_plugins.manifest
from dcc_core import Registry
from dcc_core.plugins.registry import Origin
from dcc_core.testing import DataConformance
from dcc_plugins.data.shared_features import SharedFeatures as Family
from dcc_plugins.figures import figure_style
from dcc_plugins.studies import Bench
from dcc_plugins.studies.shared import SharedFeatures, crossing, crossings, gaps_of
from dcc_plugins.terminal import Display

REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])


class TestFamily(DataConformance):
    component, options, embedded = "shared-features", {"train": 6, "test": 2, "count": 3}, True

    def registry(self):
        return REGISTRY


def images(share, **options):
    data = Family(share=share, **options).load(root=Path(), download=False, progress=False)
    return data.train.images.flatten(1).double(), data.train.labels


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_dial_is_the_common_share_of_the_energy(share):
    """Without noise and motion, a class's images differ from each other in what is common alone."""
    x, y = images(share, noise=0, shift=0, common=3, count=4, train=100)
    x = x - x.mean(dim=1, keepdim=True)
    own, _ = images(0.0, noise=0, shift=0, common=3, count=4, train=100)
    own = own - own.mean(dim=1, keepdim=True)
    left = x - (1 - share) ** 0.5 * own
    assert left.square().mean() / own.square().mean() == pytest.approx(share, abs=0.02)
    again = left[y == 0].mean(dim=0), left[y == 1].mean(dim=0)
    if share:
        assert torch.nn.functional.cosine_similarity(*again, dim=0) > 0.95


def test_at_the_dials_end_classes_are_alike():
    x, y = images(1.0, noise=0, train=100)
    means = torch.stack([x[y == k].mean(dim=0) for k in range(10)])
    assert means.std(dim=0).mean() < 0.25 * x.std(dim=0).mean()


@pytest.mark.parametrize(
    ("gaps", "place"),
    [
        ([-1, 1, 2], 0.25),
        ([-1, -1, 1], 0.75),
        ([1, -1, 3], 0.625),
        ([0, 1, 1], 0.0),
        ([1, 1, 1], None),
        ([-1, 1, -1], None),
    ],
)
def test_the_crossing_is_the_last_one(gaps, place):
    assert crossing([0, 0.5, 1], gaps) == place


def test_resampling_says_how_sure_the_crossing_is():
    certain = crossings([0, 1], [[-1, -1], [1, 1]], 50)
    assert set(certain) == {0.5}
    apart = crossings([0, 1], [[-1, 0.5], [1, 1]], 50)
    assert None in apart and 0.5 in apart
    assert apart == crossings([0, 1], [[-1, 0.5], [1, 1]], 50)


def test_gaps_are_taken_seed_by_seed():
    assert gaps_of({"a": [[3, 5]], "b": [[1, 4]]}, "a", "b") == [[2, 1]]


class Known(Bench):
    """Accuracies that are known: class-wise falls faster than collective, and begins higher."""

    def score(self, condensed, **how):
        config = condensed.provenance.config
        begins, falls = {"class-wise": (0.8, 0.5), "collective": (0.7, 0.2)}.get(config.get("loss"), (0.6, 0.6))
        return SimpleNamespace(mean=begins - falls * config["data.share"] + 0.01 * config["run.seed"])


def test_the_study_finds_a_crossing_that_is_known(tmp_path):
    given = {"arch.width": 2, "run.inner_loops": 1, "run.network_steps": 0, "data.train": 4, "data.test": 4}
    bench = Known(REGISTRY, given, tmp_path, tmp_path, Display(quiet=True))
    with figure_style():
        found = SharedFeatures(dial=(0.0, 0.9), seeds=2, outer_loops=1, nets=1).conduct(bench)
    rows = found.tables["accuracies"]
    assert len(rows) == 2 * 2 * 4
    assert len({r["accuracy"] for r in rows if r["method"] == "collective"}) == 4
    assert found.numbers["collective − class-wise: crossing at share"] == pytest.approx(1 / 3)
    assert "collective − class-wise: crosses 0 at share 0.33; 100 % of resamplings" in found.page
    assert "| 0.9 |" in found.page
