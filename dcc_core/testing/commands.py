"""The rules of commands."""

from __future__ import annotations

import json
import subprocess
import sys

from click.testing import CliRunner

from dcc_core.cli import RESERVED
from dcc_core.plugins import Found
from dcc_core.testing.base import Conformance

HEAVY = ("torch", "kornia", "timm", "torchvision")
PROBE = "import importlib, json, sys; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"


class CommandConformance(Conformance):
    """Tests of a command of `dcc`."""

    kind = "command"

    def test_it_is_a_command_with_help(self) -> None:
        """`dcc NAME --help` is where users look first."""
        found = self.found()
        command = found.load()
        assert command.help, f"{self.title}: a command has a help text, the docstring of its function"
        shown = CliRunner().invoke(command, ["--help"], prog_name=f"dcc {self.component}")
        assert shown.exit_code == 0, f"{self.title}: --help works; it said {shown.output}"

    def test_its_module_imports_nothing_heavy(self) -> None:
        """`--help` answers at once: torch is imported if the work begins."""
        module = self.found().provided.component.target.partition(":")[0]
        command = [sys.executable, "-c", PROBE, module]
        loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        heavy = [name for name in HEAVY if name in loaded]
        assert not heavy, f"{self.title}: its module imports nothing heavy; it imports {', '.join(heavy)}"

    def test_it_leaves_the_core_its_names(self) -> None:
        """A command with the name of one of the core's is reached by its qualified name alone."""
        assert self.component not in RESERVED, f"{self.title}: `dcc {self.component}` is a command of the core"

    def found(self) -> Found:
        """The command as the registry has it."""
        return self.registry().find("command", self.component)
