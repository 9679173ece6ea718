"""The command line: light, frozen, and plain about what is wrong."""

import json
import shlex
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from dcc_core.cli.app import cli
from dcc_plugins.commands.run import run

EVAL_FLAGS = shlex.split("""
file --arch --data --protocol --nets --seed --device --memory --data-root --config -o --judge --json --quiet
""")
SELECT_FLAGS = shlex.split("""
--method --data --arch --recipe --ipc --seed --sets --protocol --eval-arch --eval-nets --device --memory --data-root
--config -o --resume --resume-anyway --preview --out --overwrite --json --quiet
""")
CONVERT_FLAGS = shlex.split("""
source target --from --to --stats --data --class-names --data-root -o --overwrite --json
""")
REPORT_FLAGS = shlex.split("runs --out --preview --overwrite --json")
TABLE_FLAGS = shlex.split("""
--cells --scale --seed --sets --eval-nets --device --memory --data-root --config -o --on --cell-cpus --cell-gpus --out
--overwrite --json --quiet
""")
STUDY_FLAGS = shlex.split("""
name --seed --device --memory --data-root --config -o --out --overwrite --json --quiet
""")
HEAVY = ("torch", "kornia", "timm", "torchvision", "sklearn", "matplotlib")
CONTINUAL_FLAGS = shlex.split("""
--stages --split --memory --head --ipc --seed --seeds --epochs --arch --recipe --outer-loops --device --data-root
--config -o --out --overwrite --json --quiet
""")
FLAGS = shlex.split("""
--data --loss --aug --arch --param --recipe --ipc --seed --sets --outer-loops --budget --inner-loops --network-steps
--init --protocol --eval-arch --eval-nets --log --device --memory --compile --data-root --config -o --dry-run --resume
--resume-anyway --preview --out --overwrite --json --quiet
""")


def invoke(command, *arguments):
    return CliRunner().invoke(command, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--help"],
        ["--help"],
        ["--version"],
        ["plugins"],
        ["run", "--loss", "colective"],
        ["run", "--arch", "convnett"],
        ["plugins", "--kind", "loss", "--match", "c*"],
        ["run", "-o", "run.ipc=0"],
        ["select", "--method", "hering"],
        ["table", "overview", "--cells", "x"],
        ["table", "overview", "--on", "elsewhere"],
        ["sweep", "missing.toml"],
        ["sweep", "--help"],
        ["convert", "a", "b", "--from", "vicco"],
        ["convert", "--help"],
        ["inspect", "--help"],
        ["study", "--help"],
        ["study", "contrst"],
        ["continual", "--help"],
        ["continual", "--stages", "digits,mnistt"],
        ["continual", "--stages", "digits,mnist", "--memory", "colective"],
        ["report", "--help"],
        ["watch", "--help"],
        ["run", "--config", "missing.toml"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments):
    code = (
        "import sys; from dcc_core.cli import cli\n"
        "try: cli.main(sys.argv[1:], prog_name='dcc')\n"
        f"finally: print('HEAVY', sorted(set(sys.modules) & set({HEAVY})), file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert "HEAVY []" in done.stderr
    assert time.perf_counter() - start < 5  # about 0.3 s; the bound only catches an import of torch


def test_the_surface_is_frozen():
    flags = [o for p in run.params for o in p.opts]
    assert flags == FLAGS
    commands = """
    cache compare continual convert doctor eval inspect new-plugin plugins push report run select show study sweep table
    tune watch
    """
    context = click.Context(cli)
    assert sorted(cli.list_commands(context)) == commands.split()
    assert [o for p in cli.get_command(context, "convert").params for o in p.opts] == CONVERT_FLAGS
    assert [o for p in cli.get_command(context, "inspect").params for o in p.opts] == [
        "file",
        "--grid",
        "--preview",
        "--check",
        "--json",
    ]
    assert [o for p in cli.get_command(context, "report").params for o in p.opts] == REPORT_FLAGS
    assert [o for p in cli.get_command(context, "watch").params for o in p.opts] == ["run", "--port"]
    assert [o for p in cli.get_command(context, "eval").params for o in p.opts] == EVAL_FLAGS
    assert [o for p in cli.get_command(context, "select").params for o in p.opts] == SELECT_FLAGS
    assert [o for p in cli.get_command(context, "study").params for o in p.opts] == STUDY_FLAGS
    assert [o for p in cli.get_command(context, "continual").params for o in p.opts] == CONTINUAL_FLAGS
    assert [o for p in cli.get_command(context, "table").params for o in p.opts] == ["name", *TABLE_FLAGS]
    assert [o for p in cli.get_command(context, "sweep").params for o in p.opts] == ["file", *TABLE_FLAGS]
    tune = [o for p in cli.get_command(context, "tune").params for o in p.opts]
    assert tune == [
        f for f in FLAGS if f not in ("--dry-run", "--resume", "--resume-anyway", "--preview", "--overwrite")
    ]
    assert [o for p in cli.get_command(context, "plugins").params for o in p.opts] == [
        "--kind",
        "--match",
        "--check",
        "--json",
    ]


def test_dcc_run_is_the_command_run_of_dcc():
    assert cli.get_command(click.Context(cli), "run") is run
    scripts = {"dcc-run": ["--help"], "dcc": ["run", "--help"]}
    texts = []
    for script, arguments in scripts.items():
        done = subprocess.run(
            [sys.executable, "-m", "dcc_core", *arguments]
            if script == "dcc"
            else [sys.executable, "-c", "from dcc_core.cli import main_run; main_run()", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0
        texts.append(done.stdout.split("\n", 1))
    assert texts[0][0].startswith("Usage: dcc-run ")
    assert texts[1][0].startswith("Usage: dcc run ")
    assert texts[0][1] == texts[1][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--loss", "colective"],
            "Error: no loss named 'colective'. Did you mean 'collective'?\n  available: class-wise",
        ),
        (["--ipc", "0"], "Error: run.ipc: '0' is not an integer >= 1."),
        (
            ["--ipc", "200"],
            "Error: run.ipc: 200 images per class, but class '8' of data 'digits' has 131; give at most 131",
        ),
        (["-o", "run.image_rate=-0.1"], "Error: run.image_rate: '-0.1' is not a finite number > 0, or none."),
        (["-o", "loss.distanse=cosine"], "Error: loss.distanse: unknown option. Did you mean 'distance'?"),
        (["-o", "log.every=10"], "log.every: unknown section 'log'. Options of an observer stand behind its name"),
        (["-o", "loss.distance"], "Error: -o 'loss.distance': expected KEY=VALUE"),
        (["--config", "missing.toml"], "Error: --config 'missing.toml' cannot be read"),
        (["--device", "gpu"], "Error: run.device: 'gpu' cannot be used"),
        (["--init", "missing.safetensors"], "Error: set file 'missing.safetensors' cannot be read"),
        (["-o", "arch.depth=5"], "Error: convnet needs images of at least 32×32 pixels; these are 8×8"),
        (["-o", "loss.warmup=simple", "-o", "loss.warmup_inner=10"], "Error: loss.warmup_inner=10 with warmup=simple"),
        (["--recipe", "papr"], "Error: no recipe named 'papr'. Did you mean 'paper'?"),
        (["--ipc", "0", "--seed", "x", "-o", "rum.x=1"], "Error: 3 options are wrong\n  rum.x: unknown section 'rum'."),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(run, "--out", "out", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert message in result.stderr
    assert result.stderr.count("Error: ") == 1
    assert "results so far" not in result.stderr
    assert not any((tmp_path / "out").glob("*"))


def test_an_out_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    result = invoke(run, "--out", str(tmp_path / "file" / "out"))
    assert result.exit_code == 2
    assert f"Error: --out '{tmp_path}/file/out' cannot be written: Not a directory" in result.stderr


def test_an_out_that_holds_something_is_kept(tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    result = invoke(run, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "is not empty (it holds precious.txt); name another, or add --overwrite" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("DCC_DEBUG", "1")
    assert "no loss named" in str(invoke(run, "--loss", "x").exception)


def test_plugins_lists_every_component():
    listed = json.loads(invoke(cli, "plugins", "--json").stdout)
    rows = {(r["kind"], r["name"]): r for r in listed["components"]}
    collective = rows["loss", "collective"]
    assert (collective["provider"], collective["distribution"]) == ("builtin", "dataset-condensation")
    assert collective["version"]
    assert "summed over all classes" in collective["summary"]
    assert {kind for kind, _ in rows} == {
        "loss",
        "augmentation",
        "architecture",
        "data",
        "parametrisation",
        "selection",
        "observer",
        "format",
        "study",
        "recipe",
        "table",
        "command",
    }
    assert listed["broken"] == []
    losses = invoke(cli, "plugins", "--kind", "loss").stdout
    assert "class-wise" in losses
    assert "dsa" not in losses


def listed(*words):
    return [r["name"] for r in json.loads(invoke(cli, "plugins", *words, "--json").stdout)["components"]]


def test_a_pattern_lists_what_families_stand_for():
    assert listed("--kind", "loss", "--match", "coll*") == ["collective", "collective-bare"]
    assert "timm/<model>" in listed("--kind", "architecture")
    vits = listed("--kind", "architecture", "--match", "timm/*vit*")
    assert "timm/vit_tiny_patch16_224" in vits
    assert len(vits) > 50
    assert all("vit" in name for name in vits)
    assert "imagenet32:insect" in listed("--kind", "data", "--match", "imagenet32:*")
    result = invoke(cli, "plugins", "--match", "resnt")
    assert result.exit_code == 2
    assert "no component's name matches 'resnt'; * stands for anything: '*resnt*'" in result.stderr


def test_show_describes_a_familys_member():
    text = invoke(cli, "show", "architecture", "timm/resnet10t").stdout
    assert "5.4 million parameters" in text
    assert "any argument of the model that is a number" in text
    result = invoke(cli, "show", "architecture", "timm/resnt10t")
    assert result.exit_code == 2
    assert "has no model 'resnt10t'" in result.stderr


def test_show_gives_types_defaults_and_help():
    rows = json.loads(invoke(cli, "show", "loss", "collective", "--json").stdout)
    assert {r["option"]: (r["value"], r["default"]) for r in rows} == {
        "loss.distance": ("one of layerwise, cosine, mse", "layerwise"),
        "loss.reduction": ("one of mean, sum", "mean"),
        "loss.warmup": ("one of bi-level, simple, none", "bi-level"),
        "loss.warmup_outer": ("an integer >= 0, or none", "none"),
        "loss.warmup_inner": ("an integer >= 0, or none", "none"),
    }
    assert all(r["help"] for r in rows)
    warmup = json.loads(invoke(cli, "show", "loss", "warmup", "--json").stdout)
    assert warmup[0]["default"] == "required"
    assert warmup[0]["value"] == "the name of a component of kind loss"
    assert "run.ipc" in invoke(cli, "show", "run").stdout
    assert "contrastive signals" in invoke(cli, "show", "loss", "collective").stdout
    assert "reduction" in invoke(cli, "show", "recipe", "paper").stdout
    assert "takes no options" in invoke(cli, "show", "augmentation", "none").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["los", "collective"], "no kind of component named 'los'. Did you mean 'loss'?"),
        (["loss", "colective"], "no loss named 'colective'. Did you mean 'collective'?"),
        (["loss"], "which loss? One of: class-wise, collective"),
        ([], "show what? The options of run, score, continual, or a kind of component and a name: loss, augmentation"),
    ],
)
def test_show_names_what_it_does_not_know(arguments, message):
    result = invoke(cli, "show", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
