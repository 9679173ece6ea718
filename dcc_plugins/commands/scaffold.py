"""`dcc new-plugin`: write a package with one component that installs, is listed and passes its tests as it is."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from dcc_core.cli import RESERVED
from dcc_core.errors import DccError
from dcc_core.plugins import Kind, Registry

USES = {
    "loss": "dcc-run --loss {}",
    "augmentation": "dcc-run --aug {}",
    "architecture": "dcc-run --arch {}",
    "data": "dcc-run --data {}",
    "parametrisation": "dcc-run --param {}",
    "selection": "dcc select --method {}",
    "observer": "dcc-run --log {}",
    "format": "dcc convert set.safetensors out --to {}",
    "study": "dcc study {}",
    "recipe": "dcc-run --recipe {}",
    "table": "dcc table {}",
    "command": "dcc {}",
}
"""How to use a component of each kind."""

DISTRIBUTION = "dataset-condensation"
PLUGIN_TESTS = ("format", "study", "table")
"""Kinds whose conformance tests are in `dcc_plugins.testing`; those of the others are in `dcc_core.testing`."""
AS_MODULE = 'py-modules = ["$module", "${module}_manifest"]'
AS_PACKAGE = 'packages = ["$module"]\npy-modules = ["${module}_manifest"]\npackage-data = { $module = ["*.toml"] }'
"""setuptools settings: a Python module for classes and commands, a package for text files."""


def write_plugin(given: str, kind: Kind, place: Path, registry: Registry) -> Path:
    """Write the package `dcc-<name>` into the folder `place`; returns the package's folder.

    given: the component's name, `mine`; `dcc-mine` and `dcc_mine` mean the same.
    Raises DccError for a name that is invalid or taken, and if the package's folder exists.
    """
    name = given.replace("_", "-").removeprefix("dcc-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise DccError(
            f"'{given}' cannot name a component: use lower-case letters, digits and hyphens, e.g. my-{kind.name}"
        )
    if kind.commands and name in RESERVED:
        raise DccError(f"command '{name}' already exists, in the core; choose another name")
    taken = [row for row in registry.components(kind.name) if row.component.name == name]
    if taken:
        raise DccError(f"{kind.name} '{name}' already exists, in {taken[0].origin}; choose another name")
    folder = place / f"dcc-{name}"
    if folder.exists():
        raise DccError(f"'{folder}' already exists; remove it, or choose another name")
    words = _placeholders(name, kind)
    module = words["module"]
    as_files = {f"{module}/__init__.py": "package.py", f"{module}/{name}.toml": f"{kind.name}.toml"}
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        **(as_files if kind.files else {f"{module}.py": f"{kind.name}.py"}),
        f"{module}_manifest.py": "manifest.py",
        f"tests/test_{module}.py": "test.py",
        ".github/workflows/tests.yml": "tests.yml",
    }
    try:
        for path, template in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(_fill_template(template, words), encoding="utf-8")
    except OSError as error:
        raise DccError(f"cannot write '{folder}': {error.strerror or error}") from error
    return folder


def _placeholders(name: str, kind: Kind) -> dict[str, str]:
    """The values of the templates' `$` placeholders."""
    module = f"dcc_{name.replace('-', '_')}"
    cls = "".join(part.capitalize() for part in name.split("-"))
    target = f"{name}.toml" if kind.files else "command" if kind.commands else cls
    return {
        "name": name,
        "kind": kind.name,
        "project": f"dcc-{name}",
        "module": module,
        "cls": cls,
        "target": f"{module}:{target}",
        "modules": Template(AS_PACKAGE if kind.files else AS_MODULE).substitute(module=module),
        "hook": kind.hook,
        "distribution": DISTRIBUTION,
        "use": USES[kind.name].format(name),
        "testing": "dcc_plugins.testing" if kind.name in PLUGIN_TESTS else "dcc_core.testing",
        "conformance": f"{kind.name.capitalize()}Conformance",
        "more": "\n    embedded = True  # it reads no files; remove this once it does" if kind.name == "data" else "",
    }


def _fill_template(template: str, words: dict[str, str]) -> str:
    text = resources.files("dcc_plugins.commands").joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(words)
