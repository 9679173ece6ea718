"""README and docs say what is so: generated blocks, commands and code. Run this file to write the blocks."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dcc_core import Registry, Step
from dcc_core.cli.app import cli
from dcc_core.cli.flags import add_flags
from dcc_core.config.settings import Rank, Settings
from dcc_core.jobs.configuration import resolve
from dcc_core.plugins import hookspecs
from dcc_core.plugins.component import KINDS
from dcc_core.plugins.registry import Origin
from dcc_core.testing import job_of, toys
from dcc_core.testing.base import TINY
from dcc_plugins.commands.eval_set import EVAL_FLAGS
from dcc_plugins.commands.run import RUN_FLAGS, run
from dcc_plugins.commands.select import SELECT_FLAGS
from dcc_plugins.continual.specs import memory_specs, stage_specs
from dcc_plugins.exchange.known_statistics import Sources
from dcc_plugins.studies.command import STUDY_FLAGS
from dcc_plugins.studies.run_study import choose_study
from dcc_plugins.tables.table import find_table, read_sweep

ROOT = Path(__file__).parents[2]
README, DOCS = ROOT / "README.md", ROOT / "docs"


def plugin_table():
    import dcc_plugins.manifest

    registry = Registry([dcc_plugins.manifest], [Origin("builtin")])
    rows = [f"| {r.kind.name} | `{r.component.name}` | {r.component.summary} |" for r in registry.components()]
    return "\n".join(["| kind | name | |", "|---|---|---|", *rows])


def help_text():
    text = CliRunner().invoke(run, ["--help"], prog_name="dcc-run", terminal_width=100).stdout
    return f"```\n{text}```"


def cross_architecture():
    """The measured scores of one set on several networks, and the command that made them."""
    measured = json.loads((ROOT / "benchmarks" / "results" / "cross_architecture.json").read_text())
    rows = {"condensed": measured["method"], "random": "random real images"}
    names = list(measured["by_architecture"])

    def cell(row):
        return f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f}"

    lines = [
        f"`{measured['command']}`, test accuracy in percent ({measured['machine']}, {measured['date']}):",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
        *(
            f"| {title} | " + " | ".join(cell(measured["by_architecture"][n][subject]) for n in names) + " |"
            for subject, title in rows.items()
        ),
    ]
    return "\n".join(lines)


BLOCKS = {
    DOCS / "parts.md": {"dcc plugins": plugin_table, "cross-architecture": cross_architecture},
    DOCS / "running.md": {"dcc-run --help": help_text},
}
"""Blocks that are generated, by page and by name."""


def with_blocks(page):
    """The page with its blocks as they are now."""
    text = page.read_text()
    for name, make in BLOCKS[page].items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}{make()}\n{end}{rest.split(end)[1]}"
    return text


@pytest.mark.parametrize("page", BLOCKS, ids=lambda page: page.name)
def test_generated_blocks_are_current(page):
    assert page.read_text() == with_blocks(page), "run: python tests/docs/test_docs.py"


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 200


PAGES = (README, *sorted(DOCS.glob("*.md")))
"""What users read."""


def code_blocks(language, *pages):
    """Blocks of code in these pages, in all by default."""
    return [
        block for page in pages or PAGES for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)
    ]


def test_the_tables_of_the_simulator_are_current(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import scaling

    text = (ROOT / "docs" / "scaling.md").read_text()
    assert f"<!-- begin: scaling -->\n{scaling.report(scaling.Costs(), (1, 8, 64, 512))}\n<!-- end" in text


def test_ci_runs_the_readmes_test_command():
    (command,) = [block.strip() for block in code_blocks("console", README) if "pytest" in block]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


TOGETHER = r"^torchrun .*-m dcc_core run"
LINES = [
    re.sub(TOGETHER, "dcc-run", part)
    for block in code_blocks("console")
    for line in block.splitlines()
    for part in line.split(" && ")
]
COMMANDS = list(dict.fromkeys(line for line in LINES if line.startswith("dcc")))
LOOKING = ("dcc inspect", "dcc report", "dcc watch", "dcc compare", "dcc doctor", "dcc push")
RESOLVED = (
    *("dcc-run", "dcc select", "dcc table", "dcc sweep", "dcc study", "dcc continual"),
    *("dcc convert", "dcc eval", "dcc tune"),
)
TRIED = (*RESOLVED, *LOOKING, "dcc plugins", "dcc show")
OTHERS = {"pip install .", "pytest -n auto", "pip install -e '.[test]'", "pytest"}
"""Commands whose every line in the README and in `docs/` is run below, or resolved where it needs data or hours."""


def command_named(name):
    """A command of `dcc`, the core's or a plugin's."""
    return cli.get_command(click.Context(cli), name)


def test_every_command_of_the_pages_is_tried():
    assert [c for c in COMMANDS if not c.startswith(TRIED)] == []
    assert set(LINES) - set(COMMANDS) == OTHERS


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc-run")])
def test_the_readmes_runs_resolve(command):
    """Every name and option of the shown commands is right; their data need not be there."""
    flags = run.make_context("dcc-run", shlex.split(command)[1:]).params
    settings = add_flags(Settings(), RUN_FLAGS, flags, flags["config_file"], flags["pairs"])
    config = resolve(Registry.installed(), settings)
    assert len(config.entries) > 20


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc select")])
def test_the_readmes_selections_resolve(command):
    flags = command_named("select").make_context("select", shlex.split(command)[2:]).params
    settings = add_flags(Settings(), SELECT_FLAGS, flags, flags["config_file"], flags["pairs"])
    config = resolve(Registry.installed(), settings)
    assert flags["method"] in (None, config.names["selection"])


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc table")])
def test_the_readmes_tables_have_the_cells(command):
    flags = command_named("table").make_context("table", shlex.split(command)[2:]).params
    spec = find_table(Registry.installed(), flags["name"])
    assert len(spec.cells(flags["scale"] or spec.usual, flags["cells"])) > 1
    assert flags["place"].partition(":")[0] in ("local", "ray")


def test_the_readmes_sweep_resolves(tmp_path):
    (text,) = [block for block in code_blocks("toml") if block.startswith("[options]\n")]
    (tmp_path / "rates.toml").write_text(text)
    spec = read_sweep(tmp_path / "rates.toml")
    cells = spec.cells(spec.usual)
    assert len(cells) == 6
    assert len(spec.cells(spec.usual, ["*/image_rate=1.0"])) == 2
    for cell in cells:
        config = resolve(Registry.installed(), cell.settings("the README"))
        assert (config.names["data"], config.score.nets) == ("digits", 3)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc study")])
def test_the_readmes_studies_have_the_options(command):
    flags = command_named("study").make_context("study", shlex.split(command)[2:]).params
    given = add_flags(Settings(), STUDY_FLAGS, flags, flags["config_file"], flags["pairs"])
    assert choose_study(Registry.installed(), flags["name"], given).name == flags["name"]


def test_the_page_names_every_study():
    names = [row.component.name for row in Registry.installed().components("study") if row.origin.provider == "builtin"]
    assert len(names) > 5
    assert [name for name in names if f"| `{name}` | " not in (DOCS / "studies.md").read_text()] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc continual")])
def test_the_readmes_sequences_have_stages_and_memories(command):
    flags = command_named("continual").make_context("continual", shlex.split(command)[2:]).params
    registry = Registry.installed()
    for stage in stage_specs(flags["stages"], registry):
        for memory in memory_specs(flags["memory"], registry):
            assert len(resolve(registry, memory.apply_to(stage.apply_to(Settings()))).entries) > 20


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc sweep")])
def test_the_readmes_sweeps_are_of_its_file(command):
    flags = command_named("sweep").make_context("sweep", shlex.split(command)[2:]).params
    assert str(flags["file"]) == "rates.toml"
    assert flags["place"].partition(":")[0] in ("local", "ray")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(("dcc eval", "dcc tune"))])
def test_the_pages_scorings_and_tunings_resolve(command):
    name, *words = shlex.split(command)[1:]
    known = EVAL_FLAGS if name == "eval" else RUN_FLAGS
    flags = command_named(name).make_context(name, words).params
    config = resolve(Registry.installed(), add_flags(Settings(), known, flags, flags["config_file"], flags["pairs"]))
    assert config.networks


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A place with two small runs, of the names that pages use."""
    place = tmp_path_factory.mktemp("place")
    small = "--outer-loops 1 --inner-loops 1 --eval-nets 1 --protocol dc -o arch.width=4 -o score.baseline=no --quiet"
    for name in ("mine", "other"):
        result = CliRunner().invoke(run, [*small.split(), "--out", str(place / "runs" / name)])
        assert result.exit_code == 0, result.stderr
    return place


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(LOOKING)])
def test_what_looks_at_runs_does(command, runs, monkeypatch):
    monkeypatch.chdir(runs)
    result = CliRunner().invoke(cli, shlex.split(command)[1:])
    if "watch" in command:
        assert "no process is running in 'runs/mine', its run is finished" in result.stderr
    else:
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(("dcc plugins", "dcc show"))])
def test_what_the_readme_lists_is_there(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ant/1.png", "ant/2.png", "bee/1.png", "bee/2.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / name)
    result = CliRunner().invoke(cli, shlex.split(command)[1:])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") > (0 if "--check" in command else 5)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("dcc convert")])
def test_the_readmes_conversions_resolve(command):
    """Formats, their options and statistics; no data set is needed for those that the field publishes."""
    given = command_named("convert").make_context("convert", shlex.split(command)[2:]).params
    (name,) = {given["source_format"], given["target_format"]} - {"dcc"}
    settings = Settings()
    settings.add_options(given["pairs"])
    named = {"format": name} | ({"data": given["data"]} if given["data"] else {})
    settings.add(named, "flags", Rank.FLAG)
    sources = Sources(Registry.installed(), settings, Path("/nowhere"))
    assert sources.build("format")[0].kind == "format"
    assert given["stats"] is None or len(sources.statistics(given["stats"])) == 2
    assert given["data"] is None or sources.about()["class_names"]


def test_the_readmes_dataset_is_one(tmp_path, monkeypatch, capsys):
    (made,) = [b for b in code_blocks("python", DOCS / "index.md") if "condense(" in b]
    (used,) = [b for b in code_blocks("python") if "DataLoader(" in b]
    condense = next(line for line in made.splitlines() if line.startswith("condensed = condense("))
    small = condense.replace("ipc=1", "ipc=1, outer_loops=1, inner_loops=1, network_steps=0")
    assert small != condense
    monkeypatch.chdir(tmp_path)
    code = f"from dcc_core import condense\n{small}\ncondensed.save('digits.safetensors')\n{used}"
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("torch.Size([5, 1, 8, 8])") == 2


def test_the_readmes_eval_scores_a_set(tmp_path):
    """The shown command, on a set and networks that are quick."""
    (command,) = [c for c in COMMANDS if c.startswith("dcc eval") and "timm/resnet18" in c]
    assert "runs/mine/set.safetensors" in command
    small = "--outer-loops 1 --inner-loops 1 --eval-nets 1 --protocol dc -o arch.width=4"
    assert CliRunner().invoke(run, [*small.split(), "--out", str(tmp_path)]).exit_code == 0
    quick = command.replace("runs/mine/", f"{tmp_path}/").replace("timm/resnet18", "timm/test_resnet")
    result = CliRunner().invoke(cli, [*shlex.split(quick.replace("--nets 5", "--nets 1"))[1:], "--json"])
    assert result.exit_code == 0, result.stderr
    assert list(json.loads(result.stdout)["by_architecture"]) == ["convnet", "timm/test_resnet"]


def test_the_readmes_plugin_works(tmp_path, monkeypatch):
    """The three files of the page, as they stand, condense."""
    page = DOCS / "plugins.md"
    (project,) = [b for b in code_blocks("toml", page) if "[project]" in b]
    manifest, loss = [b for b in code_blocks("python", page) if "dcc_feature_mean" in b or "class FeatureMean" in b][:2]
    (entry,) = tomllib.loads(project)["project"]["entry-points"]["dcc"].values()
    for name, text in ((entry, manifest), ("dcc_feature_mean", loss)):
        (tmp_path / f"{name}.py").write_text(text)
    info = tmp_path / "dcc_feature_mean-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dcc-feature-mean\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[dcc]\nfeature-mean = {entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "out"
    words = shlex.split("--loss feature-mean --aug dsa -o loss.weight=0.5 --outer-loops 2 --protocol dc --eval-nets 1")
    result = CliRunner().invoke(run, [*words, "-o", "arch.width=4", "--out", str(out), "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert "feature-mean+dsa" in result.stdout
    assert (out / "set.safetensors").exists()
    assert "feature-mean" in CliRunner().invoke(cli, ["plugins"]).stdout


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = [b for b in code_blocks("python", DOCS / "index.md") if "condense(" in b]
    small = code.replace(
        'options={"loss.distance": "layerwise"}', 'outer_loops=1, inner_loops=1, options={"arch.width": 4}'
    )
    small = small.replace("nets=3", "nets=1, protocol='dc'")
    assert small.count("1, protocol") == 1
    monkeypatch.chdir(tmp_path)
    exec(compile(small, "README.md", "exec"), {})
    assert "torch.Size([10, 1, 8, 8])" in capsys.readouterr().out


def test_every_hook_is_documented():
    hooks = [name for name in vars(hookspecs) if name.startswith("dcc_")]
    assert {k.hook for k in KINDS} < set(hooks)
    text = (DOCS / "plugins.md").read_text()
    assert [name for name in hooks if f"`{name}`" not in text] == []
    assert [name for name in hooks if not vars(hookspecs)[name].__doc__] == []


@pytest.mark.parametrize("page", (README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))), ids=lambda p: p.name)
def test_files_that_a_page_names_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    named = re.findall(r"\]\(((?!http|#)[^)#]+)|`((?:tests|docs|benchmarks|dcc_core|dcc_plugins)/[^`*]+)`", text)
    missing = [a or b for a, b in named if not (page.parent / a if a else ROOT / b).exists()]
    assert missing == []


def test_the_readmes_loss_is_one():
    """The example of the README is a loss that a run takes."""
    (code,) = [b for b in code_blocks("python", README) if "MatchingLoss" in b]
    space = {}
    exec(compile(code, "README.md", "exec"), space)
    job = job_of({"data": "blobs", "loss": "collective", "run.outer_loops": 1, "run.inner_loops": 1, **TINY}, toys)
    start = job.start()
    step = Step(start.run, start.synthetic, outer=0, inner=0, network=lambda: job.build(torch.Generator()))
    assert all(part.value.requires_grad for part in space["FeatureMean"]().terms(step, None))


if __name__ == "__main__":
    for page in BLOCKS:
        page.write_text(with_blocks(page))
