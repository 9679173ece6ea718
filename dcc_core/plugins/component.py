"""What a plugin publishes: rows of strings, so that listing them imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from dcc_core.errors import DccError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Component:
    """One named thing of one kind.

    name: what users write, e.g. `collective`. For a family, the fixed part and a placeholder, separated by
        the first `:` or `/`: `folder:PATH`, `timm/<model>`.
    target: `package.module:Class`, imported on first use. For recipes and tables: `package:file.toml`, package data.
    summary: one line for the listing.
    family: one row stands for many names; what the user writes for the placeholder becomes the value
        of the first option that the class itself declares.
    members: for a family, `package.module:function`: its function lists what may replace the placeholder.
        Imported only to list names by a pattern, and to help if a name is unknown.
    options: for a command, `package.module:Class`: a dataclass of options of its own, below the command's name, which
        `dcc show command NAME` lists.
    given: of an object that is given in Python, its class, in place of a target.
    """

    name: str
    target: str
    summary: str
    family: bool = False
    members: str = ""
    options: str = ""
    given: type | None = None

    @property
    def prefix(self) -> str:
        """The fixed part of a family's name with its separator: `folder:`, `timm/`."""
        ends = [i for i in (self.name.find(":"), self.name.find("/")) if i >= 0]
        return self.name[: min(ends) + 1] if ends else self.name


@dataclass(frozen=True)
class Kind:
    """A kind of component: its name, its key in a configuration, and the hook that collects it.

    files: the components are files of text, not classes. commands: they are commands of `dcc`, not parts of a run.
    """

    name: str
    key: str
    hook: str
    files: bool = False
    commands: bool = False


KINDS = (
    Kind("loss", "loss", "dcc_losses"),
    Kind("augmentation", "aug", "dcc_augmentations"),
    Kind("architecture", "arch", "dcc_architectures"),
    Kind("data", "data", "dcc_datasets"),
    Kind("parametrisation", "param", "dcc_parametrisations"),
    Kind("selection", "selection", "dcc_selections"),
    Kind("observer", "log", "dcc_observers"),
    Kind("format", "format", "dcc_formats"),
    Kind("study", "study", "dcc_studies"),
    Kind("recipe", "recipe", "dcc_recipes", files=True),
    Kind("table", "table", "dcc_tables", files=True),
    Kind("command", "command", "dcc_commands", commands=True),
)


def find_kind(name: str) -> Kind:
    """The kind with this name or configuration key. Raises DccError for an unknown one."""
    for kind in KINDS:
        if name in (kind.name, kind.key):
            return kind
    known = [k.name for k in KINDS]
    raise DccError(f"no kind of component named '{name}'.{did_you_mean(name, known)} One of: {', '.join(known)}")
