"""Tables 4 and 5 on any data: the cells are a table's, and an interrupted study goes on."""

import pytest

import dcc_plugins.manifest
import dcc_plugins.tables.cell
from dcc_core import DccError, Registry
from dcc_core.config.settings import Rank, Settings
from dcc_core.plugins.registry import Origin
from dcc_plugins.studies.run_study import choose_study, conduct_study
from dcc_plugins.terminal import Display

REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])
TINY = {
    **{"study.scale": "tiny", "study.ipcs": "1", "arch.width": 2, "arch.depth": 1, "score.protocol": "dc"},
    **{"data.per_class": 4, "run.network_steps": 0},
}


@pytest.fixture
def study(tmp_path):
    def conduct(*, overwrite=False, **options):
        given = Settings()
        given.add({**TINY, **{k.replace("__", "."): v for k, v in options.items()}}, "-o", Rank.OPTION)
        what = choose_study(REGISTRY, "warm-up", given)
        return conduct_study(what, REGISTRY, tmp_path / "out", Display(quiet=True), overwrite=overwrite)

    return conduct


def test_it_compares_three_designs_and_goes_on_where_it_was_interrupted(study, tmp_path, monkeypatch):
    ran = []
    execute = dcc_plugins.tables.cell.execute

    def killed_at_the_third(config, *args, **more):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(config.loss.warmup)
        return execute(config, *args, **more)

    monkeypatch.setattr(dcc_plugins.tables.cell, "execute", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        study()
    assert ran == ["none", "simple"]
    monkeypatch.setattr(
        dcc_plugins.tables.cell, "execute", lambda c, *a, **m: ran.append(c.loss.warmup) or execute(c, *a, **m)
    )
    summary = study()
    assert ran == ["none", "simple", "bi-level"]
    assert [n for n in summary["numbers"] if n.startswith("dcc/ipc1/")] == [
        f"dcc/ipc1/{design}: accuracy, %" for design in ("none", "simple", "bi-level")
    ]
    assert (tmp_path / "out" / "warm_up.csv").read_text().count("\n") == 4
    with pytest.raises(DccError, match="add --overwrite"):
        study()


def test_what_is_wrong_leaves_earlier_cells(study, tmp_path):
    study()
    before = {p: p.read_bytes() for p in (tmp_path / "out" / "cells").rglob("*") if p.is_file()}
    with pytest.raises(DccError, match="ipc7"):
        study(overwrite=True, study__ipcs="7")
    assert {p: p.read_bytes() for p in (tmp_path / "out" / "cells").rglob("*") if p.is_file()} == before


def test_replaced_cells_are_run_anew(study, monkeypatch):
    study()
    ran, execute = [], dcc_plugins.tables.cell.execute
    monkeypatch.setattr(
        dcc_plugins.tables.cell, "execute", lambda c, *a, **m: ran.append(c.loss.warmup) or execute(c, *a, **m)
    )
    study(overwrite=True, arch__width=3)
    assert ran == ["none", "simple", "bi-level"]


def test_a_cell_that_fails_is_named(study):
    with pytest.raises(DccError, match=r"dcc/ipc1/none: data.classes.*'no such class'"):
        study(data__classes="no such class")
