"""What a shell offers, asked as shells ask, by click's protocol."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "kornia", "timm", "torchvision", "sklearn", "matplotlib")


def ask(words, shell="bash"):
    """What a shell is told where TAB is pressed at the end of a line; nothing heavy is imported for it."""
    program, name = ("main_run", "dcc-run") if words.startswith("dcc-run") else ("main", "dcc")
    code = (
        f"import sys; from dcc_core.cli import {program} as main; sys.argv = ['{name}']\n"
        f"try: main()\nfinally: print(sorted(set(sys.modules) & set({HEAVY})), file=sys.stderr)"
    )
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    at = words.split(" ")[-1] if shell == "fish" else str(words.count(" "))
    line = {"COMP_WORDS": words, "COMP_CWORD": at}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, variable: f"{shell}_complete", **line},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "[]\n", done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dcc-run --loss class-", ["class-wise"]),
        ("dcc run --loss class-", ["class-wise"]),
        ("dcc run --data cifar", ["cifar10", "cifar100"]),
        ("dcc run --data fold", ["folder:"]),
        ("dcc-run --aug ds", ["dsa"]),
        ("dcc-run --eval-arch resnet", ["resnet18", "resnet34", "resnet18-ap"]),
        ("dcc-run --recipe ", ["paper", "official", "fast", "rded"]),
        ("dcc-run --protocol d", ["dc", "dsa", "distilled"]),
        ("dcc-run --init k-", ["k-center", "k-means"]),
        ("dcc-run --log ten", ["tensorboard"]),
        ("dcc-run -o run.tf", ["run.tf32="]),
        ("dcc-run -o score.part=", ["score.part=test", "score.part=validation"]),
        ("dcc-run -o run.determ", ["run.deterministic="]),
        ("dcc-run -o run.deterministic=y", ["run.deterministic=yes"]),
        ("dcc-run -o nothing=", []),
        ("dcc select --method her", ["herding"]),
        ("dcc table warm", ["warm-up", "warm-up-design", "warm-ups"]),
        ("dcc study dig", ["digits-3-8"]),
        ("dcc convert --from vi", ["vico"]),
        ("dcc show los", ["loss"]),
        ("dcc show loss class", ["class-wise"]),
        ("dcc rep", ["report"]),
    ],
)
def test_names_are_offered(line, offered):
    assert [item.partition(",")[2] for item in ask(line) if item] == offered


def test_zsh_and_fish_are_told_what_a_name_is():
    kind, name, words = ask("dcc-run --loss class-", "zsh")
    assert (kind, name) == ("plain", "class-wise")
    assert "gradient" in words
    assert ask("dcc-run --loss class-", "fish") == [f"plain,class-wise\t{words}"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("name", ["dcc", "dcc-run"])
def test_every_shell_gets_a_script(shell, name):
    program = {"dcc": "main", "dcc-run": "main_run"}[name]
    code = f"import sys; from dcc_core.cli import {program} as main; sys.argv = ['{name}']; main()"
    env = {**os.environ, f"_{name.upper().replace('-', '_')}_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert f"_{name.upper().replace('-', '_')}_COMPLETE={shell}_complete" in done.stdout


def test_a_broken_plugin_does_not_write_into_the_line(tmp_path):
    """Its warning would stand in the middle of what the user is typing."""
    (tmp_path / "broken_manifest.py").write_text("1 / 0\n")
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dcc]\nbroken = broken_manifest\n")
    code = "import sys; from dcc_core.cli import main_run; sys.argv = ['dcc-run']; main_run()"
    line = {"_DCC_RUN_COMPLETE": "bash_complete", "COMP_WORDS": "dcc-run --loss class-", "COMP_CWORD": "2"}
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **line, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("plain,class-wise\n", "")
