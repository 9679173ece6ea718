"""Tables: what is shipped, and running, resuming and failing cells."""

import csv
import io
import json
import sys

import pytest
from click.testing import CliRunner

import dcc_core
import dcc_plugins.tables.cell
from dcc_core import DccError, Registry
from dcc_core.cli.app import cli
from dcc_core.config.settings import Settings
from dcc_core.jobs.configuration import resolve
from dcc_plugins.tables.run_table import Tabling
from dcc_plugins.tables.table import TableFile, TableSpec, find_table
from dcc_plugins.terminal import Display

PAPERS = ("fine-grained", "benchmarks", "cross-architecture", "warm-up", "warm-up-design")
SHIPPED = ("overview", *PAPERS)
NETWORKS = ("convnet", "lenet", "alexnet", "vgg11", "resnet18")
ELSEWHERE = ("kip", "c-score")
"""Methods that need a package or a file of their own."""


@pytest.fixture(scope="module")
def builtin():
    return Registry.installed()


def configs(registry, name, scale):
    for cell in find_table(registry, name).cells(scale):
        if cell.values.get("method") not in ELSEWHERE:
            yield cell, resolve(registry, cell.settings("table"))


@pytest.mark.parametrize("scale", ["tiny", "small", "paper"])
@pytest.mark.parametrize("name", SHIPPED)
def test_every_cell_is_a_run(builtin, name, scale):
    """With options that exist, and the data, loss or selection that its name says."""
    found = list(configs(builtin, name, scale))
    assert found
    for cell, config in found:
        if ipc := cell.values.get("ipc"):
            assert config.run.ipc == int(ipc.removeprefix("ipc"))
        if cell.selects:
            assert config.names["selection"] == cell.values["method"]
        else:
            augments = cell.values["method"] in ("dsa", "dsac")
            assert (config.names["aug"], config.score.protocol) == (("dsa", "dsa") if augments else ("none", "dc"))
            assert config.names["loss"] == ("collective" if "c" in cell.values["method"][2:] else "class-wise")
        assert not config.score.baseline


@pytest.mark.parametrize("name", SHIPPED)
def test_the_papers_scale_is_the_papers_settings(builtin, name):
    settings = {
        "run.outer_loops": 1000,
        "run.image_rate": 0.1,
        "run.image_momentum": 0.5,
        "run.network_rate": 0.01,
        "run.real_batch": 256,
        "run.sets": 5,
        "score.nets": 20,
        "arch": "convnet",
        "arch.width": 128,
        "arch.depth": None,
        "run.init": "real",
    }
    for cell, config in configs(builtin, name, "paper"):
        assert {k: config.table()[k] for k in settings} == settings, cell.name
        if config.names["loss"] == "collective" and not cell.selects:
            assert config.table()["loss.warmup_outer"] is None and config.run.outer_loops == 1000
        if cell.values.get("method") in ("el2n", "grand"):
            assert config.selection.nets == 10


@pytest.mark.parametrize(
    ("table", "cell", "network", "published"),
    [
        ("fine-grained", "terrier/ipc50/dcc", "convnet", (10.7,)),
        ("fine-grained", "insect/ipc10/dsac", "convnet", (50.0,)),
        ("benchmarks", "cifar10/ipc1/dcc", "convnet", (32.9, 0.8)),
        ("benchmarks", "svhn/ipc50/kip", "convnet", (69.6, 0.5)),
        ("benchmarks", "cifar100/ipc1/full", "convnet", (52.5, 0.3)),
        ("benchmarks", "cifar100/ipc50/grand", "convnet", (27.6, 0.2)),
        ("cross-architecture", "dsac", "vgg11", (56.0,)),
        ("warm-up", "cifar100/dsac/ipc50/bi-level", "convnet", (39.3,)),
        ("warm-up-design", "cifar100/dcc/ipc10/simple", "convnet", (29.74,)),
        ("overview", "insect/ipc1/dcc", "convnet", ()),
    ],
)
def test_the_papers_numbers(builtin, table, cell, network, published):
    assert find_table(builtin, table).published(cell, network) == published


@pytest.mark.parametrize("name", PAPERS)
def test_every_cell_of_the_papers_tables_has_its_number(builtin, name):
    spec = find_table(builtin, name)
    networks = NETWORKS if name == "cross-architecture" else ("convnet",)
    lacking = [c.name for c in spec.cells("paper") for n in networks if not spec.published(c.name, n)]
    assert lacking == []


def test_the_sizes_of_the_papers_tables(builtin):
    sizes = [len(find_table(builtin, name).cells("paper")) for name in PAPERS]
    assert sizes == [6 * 2 * 5, 9 * 9 - 4 + 3, 5, 2 * 2 * 3 * 2, 1 * 2 * 2 * 3]


TINY = {"run.outer_loops": 1, "run.inner_loops": 1, "run.sets": 2, "score.nets": 1, "run.network_steps": 0}
FILE = {
    "title": "Toys",
    "columns": "method",
    "options": {"data": "blobs", "arch": "linear", "score.baseline": "false"},
    "axes": {
        "ipc": {"ipc1": {"run.ipc": 1}, "ipc2": {"run.ipc": 2}},
        "method": {"first": {"selection": "first"}, "dm": {"loss": "means"}, "none": {"loss": "nothing"}},
    },
    "without": ["ipc2/none"],
    "paper": {"ipc1": {"dm": [97.5, 0.25], "first": [80]}},
    "scales": {"small": {"says": "toys.", "options": TINY, "where": {"ipc2/*": {"run.seed": 7}}}},
}


def spec_of(**changes):
    return TableSpec("toy", TableFile(**{**FILE, **changes}))


@pytest.fixture
def table(registry, tmp_path):
    """Run cells of the toy table: `table("ipc1/*", "run.seed=3")`."""

    def run(*patterns, given=(), overwrite=False, spec=None):
        spec = spec or spec_of()
        settings = Settings()
        settings.add_options(given)
        cells = spec.cells("small", patterns)
        tabling = Tabling(spec, "small", cells, settings, registry, tmp_path, overwrite=overwrite)
        return tabling.run(Display(quiet=True))

    return run


@pytest.fixture
def executed(monkeypatch):
    """The folders of the runs that are carried out."""
    folders, execute = [], dcc_plugins.tables.cell.execute

    def watched(config, registry, folder, display, **how):
        folders.append("/".join(folder.path.parts[-2:]))
        return execute(config, registry, folder, display, **how)

    monkeypatch.setattr(dcc_plugins.tables.cell, "execute", watched)
    return folders


def test_a_table_shows_ours_beside_the_papers(table, tmp_path):
    results = table("*/first", "*/dm")
    rows = {row["cell"]: row for row in results.rows()}
    assert list(rows) == ["ipc1/first", "ipc1/dm", "ipc2/first", "ipc2/dm"]
    for cell, row in rows.items():
        report = json.loads((tmp_path / cell / "report.json").read_text())
        own = report["by_architecture"]["linear"]["condensed"]
        assert {k: row[k] for k in ("mean", "std", "ci95", "sets", "networks", "protocol")} == {
            k: own[k] for k in ("mean", "std", "ci95", "sets", "networks", "protocol")
        }
        assert row["seconds"] == pytest.approx(sum(report["seconds"].values()), abs=0.06)
        assert report["config"]["run.seed"]["value"] == (7 if cell.startswith("ipc2") else 0)
    assert (rows["ipc1/dm"]["paper_mean"], rows["ipc1/dm"]["paper_std"]) == (97.5, 0.25)
    assert (rows["ipc1/first"]["paper_mean"], rows["ipc1/first"]["paper_std"]) == (80, None)
    assert rows["ipc2/dm"]["paper_mean"] is None
    (line,) = [x for x in (tmp_path / "table.md").read_text().splitlines() if x.startswith("| ipc1 |")]
    mean = 100 * rows["ipc1/dm"]["mean"]
    assert f"{mean:.1f} ± {100 * rows['ipc1/dm']['std']:.1f}<br>[97.5 ± 0.25]" in line
    assert "toys." in (tmp_path / "table.md").read_text()
    written = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert [r["cell"] for r in written] == list(rows)
    assert float(written[1]["mean"]) == rows["ipc1/dm"]["mean"]
    assert json.loads((tmp_path / "table.json").read_text())["rows"] == list(rows.values())


def test_networks_may_be_the_columns(table, tmp_path):
    options = FILE["options"] | {"score.arch": "linear,mlp"}
    spec = spec_of(columns="network", options=options, paper={"ipc1": {"dm": {"mlp": [50.0]}}})
    rows = list(table("ipc1/dm", spec=spec).rows())
    assert [(r["network"], r["paper_mean"]) for r in rows] == [("linear", None), ("mlp", 50.0)]
    assert "| ipc | method | linear | mlp |" in (tmp_path / "table.md").read_text()


def test_a_table_goes_on_where_it_was(table, executed, tmp_path):
    whole = table("*/first", "ipc1/dm").json()
    assert sorted(executed) == ["ipc1/dm", "ipc1/first", "ipc2/first"]
    executed.clear()
    assert table("*/first", "ipc1/dm").json() == whole
    assert executed == []
    (tmp_path / "ipc1" / "dm" / "report.json").unlink()
    again = json.loads(table("*/first", "ipc1/dm").json())
    assert executed == ["ipc1/dm"]
    assert [r["mean"] for r in again["rows"]] == [r["mean"] for r in json.loads(whole)["rows"]]


def test_a_cell_that_fails_leaves_the_others(table, executed, tmp_path, monkeypatch):
    def broken(self, *_):
        raise RuntimeError("no such luck")

    monkeypatch.setattr("toys.First.select", broken)
    results = table("ipc1/*")
    assert results.failed["ipc1/none"].startswith("no loss named 'nothing'")
    assert "no such luck" in results.failed["ipc1/first"]
    assert executed == ["ipc1/first", "ipc1/dm"]
    rows = {row["cell"]: row for row in results.rows()}
    assert rows["ipc1/dm"]["mean"] is not None
    assert rows["ipc1/first"]["failed"] == results.failed["ipc1/first"]
    text = (tmp_path / "table.md").read_text()
    named = "selection 'first' of plugin toys (dcc-toys 1.0)"
    assert f"- ipc1/first failed: {named} failed: RuntimeError: no such luck\n" in text
    monkeypatch.undo()
    assert list(table("ipc1/*").failed) == ["ipc1/none"]


def test_an_interruption_ends_the_table_and_keeps_what_is_done(table, tmp_path, monkeypatch):
    monkeypatch.setattr("toys.DistributionMatching.terms", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table("ipc1/first", "ipc1/dm")
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [r["cell"] for r in rows] == ["ipc1/first"]


def interrupted(self, step, state):
    raise KeyboardInterrupt


def test_done_with_other_options_is_refused(table, executed):
    table("ipc1/dm")
    with pytest.raises(DccError, match=r"cell ipc1/dm in '.*' was run with other options \(run.seed 0, now 3\)"):
        table("ipc1/dm", given=["run.seed=3"])
    table("ipc1/dm", given=["run.data_root=/elsewhere", "run.micro_batch=7"])
    assert len(executed) == 1
    table("ipc1/dm", given=["run.seed=3"], overwrite=True)
    assert len(executed) == 2


def test_a_cell_with_a_budget_is_done_whatever_number_of_outer_loops_it_bought(table, executed, tmp_path):
    scale = {"says": "toys.", "options": {k: v for k, v in TINY.items() if k != "run.outer_loops"}}
    spec = spec_of(scales={"small": scale})
    table("ipc1/dm", given=["run.budget=4s"], spec=spec)
    report = json.loads((tmp_path / "ipc1" / "dm" / "report.json").read_text())
    report["config"]["run.budget"] = {"value": None, "origin": "spent on outer_loops"}
    report["config"]["run.outer_loops"] = {"value": 77, "origin": "budget 4s"}
    (tmp_path / "ipc1" / "dm" / "report.json").write_text(json.dumps(report))
    table("ipc1/dm", given=["run.budget=4s"], spec=spec)
    assert len(executed) == 1
    with pytest.raises(DccError, match=r"other options \(run.outer_loops 77, now"):
        table("ipc1/dm", given=["run.budget=5s"], spec=spec)


def test_options_that_are_newer_than_a_cell_are_at_their_defaults(table, executed, tmp_path):
    table("ipc1/dm")
    path = tmp_path / "ipc1" / "dm" / "report.json"
    report = json.loads(path.read_text())
    del report["config"]["run.network_data"]
    path.write_text(json.dumps(report))
    table("ipc1/dm")
    assert len(executed) == 1
    with pytest.raises(DccError, match=r"other options \(run.network_data None, now real\)"):
        table("ipc1/dm", given=["run.network_data=real"])


def test_a_report_that_is_not_one_is_refused(table, tmp_path):
    (tmp_path / "ipc1" / "dm").mkdir(parents=True)
    (tmp_path / "ipc1" / "dm" / "report.json").write_text('{"config": 3}')
    with pytest.raises(DccError, match=r"report.json' cannot be read: .*; --overwrite runs its cell again"):
        table("ipc1/dm")


@pytest.mark.parametrize(
    ("patterns", "given", "message"),
    [
        (["ipc3/dm"], [], r"table 'toy' has no cell 'ipc3/dm'. Did you mean 'ipc2/dm'\? Cells are ipc/method"),
        (
            ["ipc1/dm"],
            ["run.budget=1m"],
            "run.budget: 1m decides the outer loops, but table toy, scale .* gives them too",
        ),
        (["ipc1/*"], ["run.seeed=1"], r"run.seeed: unknown option. Did you mean 'seed'\?"),
        (["ipc1/none"], [], "no loss named 'nothing'"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_work(table, tmp_path, patterns, given, message):
    with pytest.raises(DccError, match=message):
        table(*patterns, given=given)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title =", "table 'mine' is not TOML"),
        ("title = 'x'\ncolumns = 'y'", "table 'mine' is wrong: axes: Field required"),
        ("title = 'x'\ncolumns = 'y'\ntypo = 1\n[axes]\n[scales]", "typo: Unexpected keyword argument"),
        ("title = 'x'\ncolumns = 'y'\n[axes.z]\n[scales]", "columns 'y' is no axis; one of: z, network"),
    ],
)
def test_a_table_file_that_is_wrong_is_refused(tmp_path, monkeypatch, text, message):
    (tmp_path / "some_tables").mkdir()
    (tmp_path / "some_tables" / "__init__.py").touch()
    (tmp_path / "some_tables" / "mine.toml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_tables", raising=False)

    class Plugin:
        @staticmethod
        @dcc_core.hookimpl
        def dcc_tables():
            return [dcc_core.Component(name="mine", target="some_tables:mine.toml", summary="mine")]

    with pytest.raises(DccError, match=message):
        find_table(Registry([Plugin()]), "mine")


def dcc_table(*arguments):
    return CliRunner().invoke(cli, ["table", *arguments, "--quiet"])


def test_a_table_on_real_data(real_data, tmp_path):
    """One cell has no file of scores: it is named, exit code 1, and the other is there."""
    words = ["--scale", "tiny", "--data-root", str(real_data), "--out", str(tmp_path), "--json"]
    cells = ["--cells", "cifar10/ipc1/random", "--cells", "cifar10/ipc1/c-score"]
    result = dcc_table("benchmarks", *cells, *words)
    assert result.exit_code == 1
    assert "Error: 1 of 2 cells failed\n  cifar10/ipc1/c-score: selection.scores: required" in result.stderr
    rows = json.loads(result.stdout.splitlines()[-1])["rows"]
    assert [r["cell"] for r in rows] == ["cifar10/ipc1/random", "cifar10/ipc1/c-score"]
    assert (rows[0]["paper_mean"], rows[0]["paper_std"]) == (14.4, 2.0)
    assert 0 < rows[0]["mean"] < 0.4
    scores = ["-o", f"selection.scores={real_data}/cifar10_cscores.npy"]
    alone = dcc_table("benchmarks", *cells[2:], *words, *scores)
    assert alone.exit_code == 0, alone.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["overvew"], "Error: no table named 'overvew'. Did you mean 'overview'?"),
        (["overview", "--scale", "papr"], "Error: table 'overview' has no scale 'papr'. Did you mean 'paper'?"),
        (["overview", "--cells", "mnist/*"], "Error: table 'overview' has no cell 'mnist/*'."),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = dcc_table(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("Error: ") == 1
    assert not any(tmp_path.iterdir())
