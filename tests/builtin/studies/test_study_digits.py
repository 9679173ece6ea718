"""Figure 3 as a number: halves, and the study on the real digits."""

import pytest
import torch

import dcc_plugins.manifest
from dcc_core import Registry
from dcc_core.plugins.registry import Origin
from dcc_plugins.figures import figure_style
from dcc_plugins.studies import Bench
from dcc_plugins.studies.digits import Digits38, half_share
from dcc_plugins.terminal import Display

REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])


def test_halves_are_of_the_energy():
    difference = torch.zeros(2, 1, 3, 5)
    difference[0, 0, 0, 0], difference[1, 0, 2, 4] = 3.0, -1.0
    assert half_share(difference, "left") == pytest.approx(0.9)
    assert half_share(difference, "right") == pytest.approx(0.1)


def test_the_study_has_its_controls(real_data, tmp_path):
    given = {"run.data_root": str(real_data), "data.per_class": 20, "run.inner_loops": 1, "arch.width": 2}
    bench = Bench(REGISTRY, given, tmp_path, tmp_path, Display(quiet=True))
    with figure_style():
        found = Digits38(ipc=2, seeds=1, outer_loops=1).conduct(bench)
    rows = found.tables["shares"]
    assert {(r["arrangement"], r["half"]) for r in rows} == {("plain", "left"), ("mirrored", "right")}
    assert {r["method"] for r in rows} == {"real", "class-wise", "collective"}
    assert all(0 < r["share"] < 1 for r in rows)
    own = found.numbers
    assert own["plain: share of the class means' difference"] > 0.5
    of = {(r["arrangement"], r["method"], r["class"]): r["share"] for r in rows if r["difference_to"] == "class mean"}
    mean = (of["plain", "collective", "3"] + of["plain", "collective", "8"]) / 2
    assert own["plain, collective: share of the difference from the class's mean"] == pytest.approx(mean)
    assert set(found.figures) == {"images", "shares"}
