"""Tables and sweeps: grids of runs, described by a file. Reads the file and names the cells; runs nothing."""

from __future__ import annotations

import fnmatch
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from dcc_core.config import Rank, Settings
from dcc_core.errors import DccError, did_you_mean
from dcc_core.plugins import Registry
from dcc_plugins.tables.workers import Resources

Table = Mapping[str, Any]
NETWORKS = "network"
"""The value of `columns` for tables whose columns are the networks that each cell is scored on."""
USUAL = "small"
STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """How large the runs are. says: what differs from the original settings, in words; options: of every cell;
    where: of the cells that match a pattern."""

    says: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    where: dict[str, dict[str, Any]] = field(default_factory=dict)


@checked(frozen=True, kw_only=True, config=STRICT)
class TableFile:
    """The content of a table's TOML file.

    axes: by name, the values of each with the options they stand for; a cell is one value of every axis, and its name
    theirs, joined by `/`. columns: the axis that is laid out in columns, or `network`. without: patterns of cells that
    are left out. paper: published numbers, [mean] or [mean, std] in percent, as tables nested like the cells' names.
    resources: of every cell. A cell whose options name a selection and no loss is a coreset.
    In the file, an axis may also be a list of values for the option that it is named after; title, columns and scales
    may be missing.
    """

    title: str
    columns: str
    axes: dict[str, dict[str, dict[str, Any]]]
    scales: dict[str, Scale]
    resources: Resources = Resources()
    options: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    paper: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a table. values: of the axes, by name. options: layers, low to high. selects: it is a coreset."""

    values: Mapping[str, str]
    layers: tuple[Table, ...]

    @property
    def name(self) -> str:
        return "/".join(self.values.values())

    @property
    def selects(self) -> bool:
        named = set().union(*self.layers)
        return "selection" in named and "loss" not in named

    def settings(self, origin: str) -> Settings:
        """The cell's options as layers of settings, above a recipe and below what the user says."""
        settings = Settings()
        for layer in self.layers:
            settings.add(layer, origin, Rank.FILE)
        return settings


@dataclass(frozen=True)
class TableSpec:
    """A table by name; or a sweep, source: its file."""

    name: str
    file: TableFile
    source: str = ""

    @property
    def title(self) -> str:
        """For messages."""
        return f"sweep '{self.source}'" if self.source else f"table '{self.name}'"

    @property
    def usual(self) -> str:
        """The scale of those who do not ask for one."""
        return USUAL if USUAL in self.file.scales else next(iter(self.file.scales))

    def origin(self, scale: str) -> str:
        """Where a cell's options come from."""
        where = f"sweep {self.source}" if self.source else f"table {self.name}"
        return f"{where}, scale {scale}" if scale else where

    def scale(self, name: str) -> Scale:
        """Raises DccError for an unknown scale."""
        if name not in self.file.scales:
            known = ", ".join(filter(None, self.file.scales)) or "none, leave out --scale"
            raise DccError(f"{self.title} has no scale '{name}'.{did_you_mean(name, self.file.scales)} One of: {known}")
        return self.file.scales[name]

    def cells(self, scale: str, patterns: Sequence[str] = ()) -> list[Cell]:
        """The cells whose names match one of the patterns, all of them without any.

        Raises DccError for a pattern that matches none.
        """
        every = {cell.name: cell for cell in self._every(self.scale(scale))}
        for pattern in patterns:
            if not fnmatch.filter(every, pattern):
                axes = "; ".join(f"{axis}: {', '.join(values)}" for axis, values in self.file.axes.items())
                raise DccError(
                    f"{self.title} has no cell '{pattern}'.{did_you_mean(pattern, every)} "
                    f"Cells are {'/'.join(self.file.axes)}, with * for anything. {axes}"
                )
        wanted = list(patterns) or ["*"]
        return [cell for name, cell in every.items() if any(fnmatch.fnmatchcase(name, p) for p in wanted)]

    def published(self, cell: str, network: str) -> tuple[float, ...]:
        """The paper's mean (and std) of a cell, in percent; empty if there is none."""
        found: Any = self.file.paper
        for word in [*cell.split("/"), *([network] if self.file.columns == NETWORKS else [])]:
            found = found.get(word, {}) if isinstance(found, dict) else {}
        return tuple(found) if isinstance(found, list) else ()

    def _every(self, scale: Scale) -> Iterator[Cell]:
        for values in itertools.product(*self.file.axes.values()):
            cell = dict(zip(self.file.axes, values, strict=True))
            name = "/".join(values)
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.file.without):
                continue
            own = [self.file.axes[axis][value] for axis, value in cell.items()]
            scaled = [scale.options, *(o for p, o in scale.where.items() if fnmatch.fnmatchcase(name, p))]
            yield Cell(values=cell, layers=(self.file.options, *own, *scaled))


def find_table(registry: Registry, name: str) -> TableSpec:
    """A table's description. Raises DccError if there is none of this name, or its file is wrong."""
    return TableSpec(name, _read(registry.find("table", name).read(), name, f"table '{name}'"))


def read_sweep(path: Path) -> TableSpec:
    """The sweep that a file of the user's describes. Raises DccError if it is missing or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DccError(f"sweep '{path}' cannot be read: {error}") from error
    return TableSpec(path.stem, _read(text, path.stem, f"sweep '{path}'"), str(path))


def _read(text: str, name: str, title: str) -> TableFile:
    try:
        content = tomllib.loads(text)
        if isinstance(axes := content.get("axes"), dict):
            content["axes"] = axes = _written_out(axes, title)
            if len(axes) > 1:
                content.setdefault("columns", list(axes)[-1])
        content.setdefault("columns", NETWORKS)
        content.setdefault("title", name)
        content.setdefault("scales", {"": {}})
        file = TypeAdapter(TableFile).validate_python(content)
    except tomllib.TOMLDecodeError as error:
        raise DccError(f"{title} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DccError(f"{title} is wrong: {wrong}") from error
    if file.columns not in (*file.axes, NETWORKS):
        raise DccError(f"{title}: columns '{file.columns}' is no axis; one of: {', '.join(file.axes)}, {NETWORKS}")
    for axis, values in {"axes": file.axes, **file.axes}.items():
        if not values:
            raise DccError(f"{title}: {axis}: there is nothing in it")
        for value in values if axis in file.axes else ():
            if value.startswith(".") or not re.fullmatch(r"[^/\\\0]+", value):
                raise DccError(f"{title}: {axis}: '{value}' cannot name a folder; leave out '/', '\\' and a first '.'")
    return file


def _written_out(axes: Table, title: str) -> dict[str, Any]:
    """Axes with values given as lists turned into tables. `run.ipc = [1, 10]` is a table with a list to TOML.

    Raises DccError for values that are none, or would have one name.
    """
    found: dict[str, Any] = {}
    for axis, values in axes.items():
        inner = values if isinstance(values, dict) and any(isinstance(v, list) for v in values.values()) else None
        listed = {axis: values} if inner is None else {f"{axis}.{key}": value for key, value in inner.items()}
        for key, many in listed.items():
            found[key] = _named(key, many, title) if isinstance(many, list) else many
    return found


def _named(key: str, values: list[Any], title: str) -> dict[str, Table]:
    """The listed values of an option, by their part of a cell's name: `collective`, `ipc=10`."""
    found: dict[str, Table] = {}
    for value in values:
        if not isinstance(value, str | int | float):
            raise DccError(f"{title}: {key}: {value} is no word and no number")
        spoken = re.sub(r"[/\\]", "-", value) if isinstance(value, str) else str(value).lower()
        name = spoken if isinstance(value, str) else f"{key.rpartition('.')[2]}={spoken}"
        if name in found:
            raise DccError(f"{title}: {key}: '{name}' stands there twice")
        found[name] = {key: value}
    return found
