"""The table of rooms in docs/architecture.md: `python tests/house/rooms.py` writes it, a test compares it."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: begin -->\n", "<!-- rooms: end -->\n"


def layers():
    """The rooms of the core from the top layer to the bottom one, as import-linter holds them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [
        line
        for contract in contracts
        if contract["name"] == "In the core, arrows go down"
        for line in contract["layers"]
    ]


def sentence(path):
    """What a package's door, or a module, says of itself, on one line."""
    return " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())


def modules(folder):
    return ", ".join(f"`{p.stem}`" for p in sorted(folder.glob("*.py")) if p.stem not in ("__init__", "__main__"))


def imports(folder):
    """The rooms that a room imports from, through their doors."""
    found = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dcc_core."):
                found.add(node.module.split(".")[1])
    return ", ".join(sorted(found - {folder.name, "errors", "renamed"})) or "none"


def table():
    lines = ["| room of `dcc_core` | what lives there | modules | imports from |", "|---|---|---|---|"]
    for room in (name for layer in layers() for name in layer.split(" | ")):
        folder = ROOT / "dcc_core" / room
        if folder.is_dir():
            lines.append(f"| `{room}` | {sentence(folder / '__init__.py')} | {modules(folder)} | {imports(folder)} |")
        else:
            lines.append(f"| `{room}` | {sentence(folder.with_suffix('.py'))} | | none |")
    lines += ["", "| folder of `dcc_plugins` | what lives there | modules |", "|---|---|---|"]
    for folder in sorted(p.parent for p in (ROOT / "dcc_plugins").glob("*/__init__.py")):
        lines.append(f"| `{folder.name}` | {sentence(folder / '__init__.py')} | {modules(folder)} |")
    return "\n".join(lines) + "\n"


def page():
    """The page with the table as it is now."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    PAGE.write_text(page())
