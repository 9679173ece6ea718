"""Option values from flags, files and recipes, laid over each other.

Precedence, low to high: a component's default, the data source's suggestion, the recipe, `--config`, `-o`, a flag.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from dcc_core.config.options import flatten, plain
from dcc_core.errors import DccError, OptionError, check_regular
from dcc_core.plugins import Registry


class Rank(IntEnum):
    """Precedence of a layer."""

    DEFAULT = 0
    SUGGESTION = 1
    RECIPE = 2
    FILE = 3
    OPTION = 4
    FLAG = 5


@dataclass(frozen=True)
class Setting:
    """One value, where it came from, and the precedence of that place."""

    value: Any
    origin: str
    rank: Rank = Rank.DEFAULT


@dataclass
class Settings:
    """Dotted keys and their values, layer over layer: the higher rank wins, then the later layer."""

    values: dict[str, Setting] = field(default_factory=dict)

    def add(self, table: Mapping[str, Any], origin: str, rank: Rank) -> None:
        """Add a table of values over the present ones."""
        for key, value in flatten(table).items():
            if key not in self.values or self.values[key].rank <= rank:
                self.values[key] = Setting(value, origin, rank)

    def add_options(self, pairs: Iterable[str]) -> None:
        """Add `key=value` texts of the command line's `-o`."""
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or not key.strip():
                raise OptionError([f"-o '{pair}': expected KEY=VALUE, e.g. -o loss.distance=cosine"])
            self.add({key.strip(): value.strip()}, "-o", Rank.OPTION)

    def add_file(self, path: Path) -> None:
        """Add a TOML file. Raises DccError when it is missing or not TOML."""
        try:
            table = tomllib.loads(check_regular(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            what = "is not TOML" if isinstance(error, tomllib.TOMLDecodeError) else "cannot be read"
            raise DccError(f"--config '{path}' {what}: {error}") from error
        self.add(table, f"config {path}", Rank.FILE)

    def add_recipe(self, registry: Registry) -> None:
        """Add the recipe that the key `recipe` names, if any."""
        if "recipe" in self.values:
            name = str(self.values["recipe"].value)
            try:
                table = tomllib.loads(registry.find("recipe", name).read())
            except tomllib.TOMLDecodeError as error:
                raise DccError(f"recipe '{name}' is not TOML: {error}") from error
            self.add(table, f"recipe {name}", Rank.RECIPE)

    def under(self, key: str) -> dict[str, Setting]:
        """The settings strictly below a key."""
        return {k: v for k, v in self.values.items() if k.startswith(f"{key}.")}


def settings_of_run(resume: Path | None, out: Path | None, *, overwrite: bool) -> Settings:
    """The options of the unfinished run in a folder; none if there is no folder.

    Raises DccError if it holds no such run, or the other flags say otherwise.
    """
    settings = Settings()
    if resume is None:
        return settings
    if overwrite or out not in (None, resume):
        raise DccError(f"--resume '{resume}' resumes the run there; leave out --out and --overwrite")
    if (resume / "report.json").exists():
        raise DccError(
            f"--resume '{resume}': the run there is finished; to refine its set, begin another from it: "
            f"--init '{resume / 'set.safetensors'}'"
        )
    if not (resume / "config.toml").is_file():
        raise DccError(f"--resume '{resume}': there is no unfinished run (no config.toml)")
    settings.add_file(resume / "config.toml")
    return settings


def as_toml(entries: Mapping[str, Setting]) -> str:
    """A resolved configuration as a TOML file that `--config` reads, the origin of each value as a comment."""
    lines = ["# Resolved configuration; the comment says where each value came from."]
    tables = {key.rpartition(".")[0] for key in entries}
    for key, setting in entries.items():
        value = plain(setting.value)
        written = f"{key}.name" if "." not in key or key in tables else key
        text = "none" if value is None else value
        lines.append(f"{written} = {json.dumps(text, ensure_ascii=False)}  # {setting.origin}")
    return "\n".join(lines) + "\n"
