"""`dcc new-plugin`: a package of one component that is installed, listed and tested as it is written."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

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
}
"""How a component of each kind is used."""


AS_MODULE = 'py-modules = ["$module", "${module}_manifest"]'
AS_PACKAGE = 'packages = ["$module"]\npy-modules = ["${module}_manifest"]\npackage-data = { $module = ["*.toml"] }'
"""What setuptools is told of a component that is a class, and of one that is a file."""


def write_plugin(name: str, kind: Kind, place: Path, registry: Registry) -> Path:
    """Write the package `dcc-<name>` below a folder; returns its own folder.

    Raises DccError for a name that is none, or is taken, and where something is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise DccError(
            f"'{name}' cannot be a component's name; use small letters, digits and hyphens, e.g. my-{kind.name}"
        )
    taken = [row for row in registry.components(kind.name) if row.component.name == name]
    if taken:
        raise DccError(f"{kind.name} '{name}' is there already, of {taken[0].origin}; take another name")
    folder = place / f"dcc-{name}"
    if folder.exists():
        raise DccError(f"'{folder}' exists already; remove it, or take another name")
    module = f"dcc_{name.replace('-', '_')}"
    cls = "".join(part.capitalize() for part in name.split("-"))
    words = {
        "name": name,
        "kind": kind.name,
        "project": f"dcc-{name}",
        "module": module,
        "cls": cls,
        "target": f"{module}:{name}.toml" if kind.files else f"{module}:{cls}",
        "modules": AS_PACKAGE if kind.files else AS_MODULE,
        "hook": kind.hook,
        "dcc": "dcc[plots]" if kind.name == "study" else "dcc",
        "use": USES[kind.name].format(name),
        "conformance": f"{kind.name.capitalize()}Conformance",
        "more": "\n    embedded = True  # it reads no files; leave this out once it does"
        if kind.name == "data"
        else "",
    }
    words["modules"] = Template(words["modules"]).substitute(words)
    own = {f"{module}/__init__.py": "package.py", f"{module}/{name}.toml": f"{kind.name}.toml"}
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        **(own if kind.files else {f"{module}.py": f"{kind.name}.py"}),
        f"{module}_manifest.py": "manifest.py",
        f"tests/test_{module}.py": "test.py",
        ".github/workflows/tests.yml": "tests.yml",
    }
    try:
        for path, template in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(_filled(template, words), encoding="utf-8")
    except OSError as error:
        raise DccError(f"cannot write '{folder}': {error.strerror or error}") from error
    return folder


def _filled(template: str, words: dict[str, str]) -> str:
    text = resources.files("dcc_plugins.commands").joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
    return Template(text).substitute(words)
