"""Alignment and uniformity: the losses by hand, set files of any kind, networks that are kept."""

import math

import pytest
import torch

import dcc_plugins.manifest
from dcc_core import DccError, Registry, select
from dcc_core.plugins.registry import Origin
from dcc_plugins.figures import figure_style
from dcc_plugins.studies import Bench, alignment as module
from dcc_plugins.studies.alignment import Alignment, alignment, uniformity
from dcc_plugins.terminal import Display

REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])
SMALL = {"count": 1, "ipc": 2, "outer_loops": 1, "networks": 2, "per_class": 4, "epochs": 1, "archs": ("mlp",)}


@pytest.fixture
def bench(tmp_path):
    return Bench(REGISTRY, {}, tmp_path, tmp_path / "cache", Display(quiet=True))


def test_the_losses_are_those_of_points_on_the_sphere():
    """Squared distances by hand: of equal directions 0, of right angles 2, of opposite ones 4."""
    features = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    assert alignment(features, torch.tensor([0, 0, 1])) == pytest.approx(2)
    assert alignment(features, torch.tensor([0, 1, 0])) == pytest.approx(4)
    assert uniformity(features) == pytest.approx(math.log((2 * math.exp(-4) + math.exp(-8)) / 3))
    assert uniformity(torch.ones(4, 3)) == pytest.approx(0)


def test_networks_are_trained_once(bench, monkeypatch, tmp_path):
    trained = []
    train = module.train_on_real
    monkeypatch.setattr(module, "train_on_real", lambda *a, **m: trained.append(1) or train(*a, **m))
    given = {**SMALL, "data": "digits"}
    sets = [select(method="random", data="digits", ipc=2, registry=REGISTRY)]
    monkeypatch.setattr(
        Alignment, "_make_sets", lambda self, bench: {"random": sets, "class-wise": sets, "collective": sets}
    )
    with figure_style():
        first, again = (Alignment(**given).conduct(bench) for _ in range(2))
        assert (len(trained), again.tables) == (2, first.tables)
        Alignment(**{**given, "epochs": 2}).conduct(bench)
        assert len(trained) == 4
        hinge = Bench(REGISTRY, {"run.criterion": "hinge"}, tmp_path, tmp_path / "cache", Display(quiet=True))
        Alignment(**given).conduct(hinge)
    assert len(trained) == 6, "networks of another criterion are others"
    assert first.numbers["collective − class-wise: alignment"] == 0
    assert "below 0 under 0 of 2 networks" in first.page


def test_any_set_files_are_measured(bench, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        select(method="random", data="digits", ipc=2, seed=seed, registry=REGISTRY).save(tmp_path / name)
    with figure_style():
        found = Alignment(**{**SMALL, "data": "digits", "sets": (tmp_path / "a", tmp_path / "b")}).conduct(bench)
    rows = found.tables["alignment"]
    assert [(r["images"], r["set"], r["network"]) for r in rows] == [("random", s, n) for n in (0, 1) for s in (0, 1)]
    assert all(0 < r["alignment"] < 4 and r["uniformity"] < 0 for r in rows)
    assert len({r["alignment"] for r in rows}) == 4


def test_sets_that_do_not_fit_are_refused(bench, tmp_path):
    select(method="random", data="digits", ipc=1, registry=REGISTRY).save(tmp_path / "single")
    with pytest.raises(DccError, match="has one image per class; alignment is of two"):
        Alignment(data="digits", sets=(tmp_path / "single",)).conduct(bench)
    few = {"data.classes": (0, 1)}
    select(method="random", data="digits", ipc=2, options=few, registry=REGISTRY).save(tmp_path / "few")
    with pytest.raises(DccError, match="a set of digits has other classes than data 'digits'"):
        Alignment(**{**SMALL, "data": "digits", "sets": (tmp_path / "few",)}).conduct(bench)
