"""Commands of plugins: listed without being imported, called by name, and never in the way of the core's."""

import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from dcc_core import Component, Registry, hookimpl
from dcc_core.cli import cli
from dcc_core.plugins import Origin


@click.command()
@click.argument("word")
def echo(word):
    """Say a word."""
    click.echo(f"it says {word}")


def plugin(*rows):
    """A manifest with these commands, by name and target."""
    module = ModuleType("commands_manifest")
    found = [Component(name=name, target=target, summary=f"Summary of {name}") for name, target in rows]
    module.dcc_commands = hookimpl(lambda: found)
    module.dcc_commands.__name__ = "dcc_commands"
    return module


@pytest.fixture
def install(monkeypatch):
    def these(**plugins):
        plugins = {"builtin": plugin(("run", "dcc_plugins.commands.run:run"))} | plugins
        registry = Registry(plugins.values(), [Origin(name, f"dcc-{name}", "0.1") for name in plugins])
        monkeypatch.setattr(Registry, "installed", lambda *more: registry)

    return these


def invoke(*words):
    return CliRunner().invoke(cli, words)


HERE = f"{__name__}:echo"


def test_a_command_is_listed_and_called(install):
    install(acme=plugin(("echo", HERE)))
    shown = invoke("--help").stdout
    assert "Summary of echo" in shown
    assert invoke("echo", "hello").stdout == "it says hello\n"
    assert "Say a word." in invoke("echo", "--help").stdout


def test_the_help_imports_no_command(install):
    install(acme=plugin(("lazy", "no_such_module:command")))
    result = invoke("--help")
    assert (result.exit_code, "Summary of lazy" in result.stdout, "no_such_module" in sys.modules) == (0, True, False)
    called = invoke("lazy")
    assert called.exit_code == 2
    assert "command 'lazy' of plugin acme (dcc-acme 0.1) does not load from 'no_such_module:command'" in called.stderr


def test_what_is_no_command_is_refused(install):
    install(acme=plugin(("broken", "json:dumps")))
    result = invoke("broken")
    assert result.exit_code == 2
    assert "is not a click.Command" in result.stderr


def test_a_name_of_the_core_stays_the_cores(install):
    install(acme=plugin(("run", HERE)))
    assert "it says" not in invoke("run", "--help").stdout
    assert invoke("acme:run", "hello").stdout == "it says hello\n"
    assert "acme:run" in invoke("--help").stdout


@pytest.mark.filterwarnings("default")
def test_two_plugins_with_one_name_are_both_reached(install):
    install(acme=plugin(("echo", HERE)), other=plugin(("echo", HERE)))
    result = invoke("echo", "hello")
    assert result.exit_code == 2
    assert "command 'echo' is claimed by 2 plugins: write 'acme:echo' or 'other:echo'" in result.stderr
    assert invoke("other:echo", "hello").stdout == "it says hello\n"


@pytest.mark.filterwarnings("default")
def test_a_broken_plugin_is_one_line_above_the_help(install):
    module = plugin(("echo", HERE))
    module.dcc_commands = hookimpl(lambda: 1 / 0)
    install(acme=module)
    result = invoke("--help")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert result.stderr.startswith("Warning: plugin acme (dcc-acme 0.1) not loaded: dcc_commands: ZeroDivisionError")
    assert "  run " in result.stdout


def test_an_unknown_command_says_what_there_is(install):
    install(acme=plugin(("echo", HERE)))
    result = invoke("ecko")
    assert result.exit_code == 2
    assert "no command named 'ecko'. Did you mean 'echo'?" in result.stderr
    assert "available: run, echo" in result.stderr
