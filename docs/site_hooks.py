"""What pages take from elsewhere, so that every text has one place: the changelog, and names of the API."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECTION = re.compile(r"^<!-- (CHANGELOG): (.+) -->$", re.M)
API = "<!-- API -->"


def on_page_markdown(markdown: str, **_: object) -> str:
    """mkdocs calls this with the text of every page."""
    text = SECTION.sub(lambda found: section(ROOT / f"{found[1]}.md", found[2]), markdown)
    return text.replace(API, api()) if API in text else text


def section(path: Path, title: str) -> str:
    """The text under a heading of a file, up to the next of its level or above; under the file's title, up to any.

    Raises ValueError where there is no such heading.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    headings = [(i, line) for i, line in enumerate(_blanked(lines)) if re.match(r"#{1,3} ", line)]
    begin = next((i for i, line in headings if line.lstrip("# ") == title), None)
    if begin is None:
        raise ValueError(f"{path.name} has no heading '{title}'; it has {', '.join(line for _, line in headings)}")
    level = lines[begin].index(" ")
    end = next((i for i, line in headings if i > begin and line.index(" ") <= max(level, 2)), len(lines))
    return re.sub(r"\]\(docs/", "](", "\n".join(lines[begin + 1 : end]).strip())


def api() -> str:
    """A heading for every module of the public interface, below it what it offers."""
    tree = ast.parse((ROOT / "dcc_core" / "__init__.pyi").read_text(encoding="utf-8"))
    parts = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            room = f"dcc_core.{node.module}"
            parts.append(f"## {room}")
            parts += [f"::: {_home(room, alias.name)}.{alias.name}" for alias in node.names]
    return "\n\n".join(parts)


def _home(room: str, name: str) -> str:
    """The module in which a room's name is defined, as the room's door says."""
    door = ROOT / room.replace(".", "/") / "__init__.pyi"
    if not door.exists():
        return room
    nodes = ast.parse(door.read_text(encoding="utf-8")).body
    lent = {alias.name: n.module for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}
    return f"{room}.{lent[name]}"


def _blanked(lines: list[str]) -> list[str]:
    """Lines without those of code, whose comments look like headings."""
    inside, result = False, []
    for line in lines:
        fence = line.startswith("```")
        inside ^= fence
        result.append("" if inside or fence else line)
    return result
