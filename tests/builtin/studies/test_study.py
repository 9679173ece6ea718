"""`dcc study`: what it writes, what it refuses, and that a plugin's study is one like ours."""

import csv
import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Annotated

import pytest
from click.testing import CliRunner

import dcc_plugins.manifest
from dcc_core import Component, DccError, Registry, hookimpl
from dcc_core.cli.app import cli
from dcc_core.config.settings import Rank, Settings
from dcc_core.errors import OptionError
from dcc_core.plugins.registry import Origin
from dcc_plugins.figures import figure_style, render_figure
from dcc_plugins.studies import Bench, Findings, Study
from dcc_plugins.studies.run_study import choose_study, conduct_study
from dcc_plugins.terminal import Display

TINY = "-o study.ratios=1 -o study.shown=1 -o study.steps=2 -o study.seeds=1 -o study.count=40 --quiet"


def dcc(*arguments):
    return CliRunner().invoke(cli, ["study", *arguments])


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """The folder of a tiny study, and what the command said."""
    out = tmp_path_factory.mktemp("studies") / "contrast"
    result = dcc("contrast", *TINY.split(), "--out", str(out), "--json")
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout.splitlines()[-1])


def test_it_writes_figures_numbers_and_a_page(studied):
    out, summary = studied
    assert sorted(summary["files"]) == sorted(p.name for p in out.iterdir())
    assert {"out": str(out), **json.loads((out / "study.json").read_text())} == summary
    assert (summary["study"], summary["options"]["study.steps"]) == ("contrast", 2)
    assert (out / "contrast.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "contrast.svg").read_bytes()
    with (out / "contrast.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    page = (out / "page.md").read_text()
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert linked == ["contrast.png"]
    assert "| `study.steps` | 2 |" in page


def test_the_same_study_gives_the_same_bytes(studied, tmp_path):
    out, _ = studied
    assert dcc("contrast", *TINY.split(), "--out", str(tmp_path / "again")).exit_code == 0
    for name in ("page.md", "contrast.csv", "contrast.png", "contrast.svg"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name


def test_results_are_replaced_only_when_asked_for(studied):
    out, _ = studied
    before = (out / "page.md").read_bytes()
    refused = dcc("contrast", *TINY.split(), "-o", "study.steps=3", "--out", str(out))
    assert (refused.exit_code, (out / "page.md").read_bytes()) == (2, before)
    assert "add --overwrite" in refused.stderr
    assert dcc("contrast", *TINY.split(), "--out", str(out), "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("contrst", "no study named 'contrst'. Did you mean 'contrast'?"),
        ("contrast -o study.seds=1", "study.seds: unknown option. Did you mean 'seeds'?"),
        ("contrast -o study.seeds=0", "study.seeds: '0' is not an integer >= 1"),
        ("contrast -o study.ratios=-1", "ratios are [-1.0]; they are β/α"),
        ("contrast -o study.weight=3", "weight is 3.0; from 0.202 on the penalty leaves nothing"),
        ("contrast -o arhc.width=3", "arhc.width: unknown section 'arhc'. Did you mean 'arch'?"),
        ("contrast -o run.inner_lops=3", "run.inner_lops: unknown option. Did you mean 'inner_loops'?"),
        ("contrast -o data.beta=3", "data.beta: the study 'contrast' sets it itself"),
        ("warm-up -o loss.warmup=none", "loss.warmup: the study 'warm-up' sets it itself"),
        ("ntk-velocity -o run.outer_loops=2", "run.outer_loops: the study 'ntk-velocity' sets it itself"),
        ("shared-features -o data.count=10", "data.count: the study 'shared-features' sets it itself"),
    ],
)
def test_what_is_wrong_is_one_message(words, message, tmp_path):
    result = dcc(*words.split(), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out/*"))


@dataclass(frozen=True, kw_only=True)
class Rates(Study):
    """Says what rate its runs have."""

    seeds: Annotated[int, "runs"] = 2
    fails: Annotated[bool, "whether it does"] = False

    def conduct(self, bench: Bench) -> Findings:
        from matplotlib.figure import Figure

        rows = []
        with bench.track("runs", self.seeds) as done:
            for seed in bench.seeds(self.seeds):
                options = {"run.image_rate": 0.5, "arch.width": 2, "run.inner_loops": 1, "run.network_steps": 0}
                s = bench.condense(data="blobs", outer_loops=1, seed=seed, options=options)
                config = s.provenance.config
                rows.append({"seed": config["run.seed"], "rate": config["run.image_rate"], "data": config["data"]})
                done(f"seed {seed}")
        if self.fails:
            raise DccError("it fails")
        return Findings(title="Rates", page="Look.", numbers={}, tables={"rates": rows}, figures={"none": Figure()})


@hookimpl
def dcc_studies():
    return [Component(name="rates", target="test_study:Rates", summary="of runs")]


@pytest.fixture
def rates(tmp_path):
    """Conduct the study above under options."""
    import sys

    import toys

    registry = Registry(
        [dcc_plugins.manifest, toys, sys.modules[__name__]], [Origin("builtin"), Origin("toys"), Origin("mine")]
    )

    def conduct(**options):
        given = Settings()
        given.add({key.replace("__", "."): value for key, value in options.items()}, "-o", Rank.OPTION)
        return conduct_study(choose_study(registry, "rates", given), registry, tmp_path / "out", Display(quiet=True))

    return conduct


def test_a_plugins_study_runs_under_the_users_options(rates, tmp_path):
    """They outrank what the study sets, not what it compares; its own seeds begin at the user's."""
    summary = rates(run__data_root=str(tmp_path), run__image_rate=0.25, run__seed=7, data="digits")
    with (tmp_path / "out" / "rates.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"seed": str(s), "rate": "0.25", "data": "blobs"} for s in (7, 8)]
    assert summary["runs"] == {
        **{"run.image_rate": 0.25, "run.seed": 7, "data": "digits"},
        **{"arch.width": 2, "run.inner_loops": 1, "run.network_steps": 0},
    }
    assert summary["options"] == {"study.seeds": 2, "study.fails": False}
    page = (tmp_path / "out" / "page.md").read_text()
    assert "| `arch.width` | 2 |" in page
    assert str(tmp_path) not in page + (tmp_path / "out" / "study.json").read_text()


def test_a_study_that_fails_writes_nothing(rates, tmp_path):
    with pytest.raises(DccError, match="it fails"):
        rates(study__fails=True)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(OptionError, match=r"run\.image_rate: 'x' is not a finite number"):
        rates(run__image_rate="x")


def test_what_takes_long_is_kept(tmp_path):
    import torch

    bench = Bench(Registry(), {}, tmp_path / "out", tmp_path / "cache", Display(quiet=True))
    made = []

    def make():
        made.append(1)
        return {"a": torch.ones(2)}

    for key in ({"epochs": 1}, {"epochs": 1}, {"epochs": 2}):
        assert bench.kept("networks", key, make)["a"].tolist() == [1, 1]
    assert len(made) == 2
    (file, *_) = sorted((tmp_path / "cache").iterdir())
    file.write_bytes(b"cut")
    bench.kept("networks", {"epochs": 1}, make), bench.kept("networks", {"epochs": 2}, make)
    assert len(made) == 3


def test_figures_tell_neither_time_nor_program():
    from matplotlib.figure import Figure

    found = []
    for _ in range(2):
        with figure_style():
            figure = Figure()
            figure.subplots().plot([1, 2], label="a")
            found.append(render_figure(figure))
    assert found[0] == found[1]
    assert b"Matplotlib" not in found[0]["png"]
    assert b"<dc:date>" not in found[0]["svg"]


def test_findings_are_values():
    assert [f.name for f in dataclasses.fields(Findings)] == ["title", "page", "numbers", "tables", "figures", "files"]
