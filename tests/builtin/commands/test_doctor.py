"""`dcc doctor`: what is here, in a text that can be shown to anybody, whatever is missing."""

import json
from importlib import metadata

import pytest
import torch
from click.testing import CliRunner

from dcc_core import Registry
from dcc_core.cli.app import cli
from dcc_core.plugins.registry import Origin
from dcc_plugins.commands import diagnosis
from dcc_plugins.commands.diagnosis import diagnose, without_names


def doctor(*words):
    result = CliRunner().invoke(cli, ["doctor", *words])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_it_says_what_is_here_and_what_would_be_used(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "picture").write_bytes(bytes(2_000))
    found = json.loads(doctor("--json", "--data-root", str(tmp_path)))
    assert found["versions"]["torch"] == metadata.version("torch")
    assert found["devices"]["would be used"] in ("cpu", "cuda", "mps")
    assert found["processors"]["threads of torch"] == str(torch.get_num_threads())
    assert found["folders"]["data root"].endswith(", 2.0 kB")
    assert "components" in found["plugins"]["builtin"]
    assert found["terminal"]["output"] == "no terminal"
    text = doctor("--data-root", str(tmp_path))
    for part, values in found.items():
        assert f"{part}\n" in text
        assert all(name in text for name in values)


def test_extras_are_those_of_the_distribution(monkeypatch):
    lines = [
        "numpy>=1",
        'torch>=2; extra == "good"',
        "nothing-here>=3; extra == 'bad'",
        'dataset-condensation[x]; extra == "all"',
    ]
    monkeypatch.setattr(diagnosis.metadata, "requires", lambda name: lines)
    found = diagnose(Registry())["extras"]
    assert found == {"good": f"torch {metadata.version('torch')}", "bad": "nothing-here not installed"}


def test_a_plugin_that_is_left_out_is_named_with_the_reason():
    class Newer:
        DCC_API = 99

    with pytest.warns(match="not loaded"):
        registry = Registry([Newer()], [Origin("newer", "dcc-newer", "3")])
    assert "API 99" in diagnose(registry)["plugins"]["newer, not loaded"]


def test_nobody_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    told = {"a": {"x": "/home/ada/data, 3 GB", "y": "/scratch/ada/runs", "z": "adamant 1.0 at /opt/adamant"}}
    assert without_names(told) == {
        "a": {"x": "~/data, 3 GB", "y": "/scratch/~/runs", "z": "adamant 1.0 at /opt/adamant"}
    }


def test_what_fails_is_said_and_the_rest_is_there(monkeypatch, tmp_path):
    def fail(*_):
        raise OSError("no such\nlibrary")

    monkeypatch.setattr(diagnosis, "_devices", fail)
    monkeypatch.setattr(diagnosis.metadata, "requires", fail)
    monkeypatch.setattr(diagnosis, "CGROUP", tmp_path / "none")
    text = doctor("--data-root", str(tmp_path / "none" / "there"))
    assert text.count("unknown") == 2
    assert "OSError: no such library" in text
    assert "there, not there" in text
    assert "threads of torch" in text
