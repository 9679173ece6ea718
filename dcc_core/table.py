"""Tables: grids of runs, described by a file. Reads the file and names the cells; runs nothing."""

from __future__ import annotations

import fnmatch
import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from dcc_core.errors import DccError, did_you_mean
from dcc_core.registry import Registry
from dcc_core.settings import Rank, Settings

Table = Mapping[str, Any]
NETWORKS = "network"
"""The value of `columns` for tables whose columns are the networks that each cell is scored on."""
STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """How large the runs are. says: what differs from the original settings, in words; options: of every cell;
    where: of the cells that match a pattern."""

    says: str
    options: dict[str, Any] = field(default_factory=dict)
    where: dict[str, dict[str, Any]] = field(default_factory=dict)


@checked(frozen=True, kw_only=True, config=STRICT)
class TableFile:
    """The content of a table's TOML file.

    axes: by name, the values of each with the options they stand for; a cell is one value of every axis, and its name
    theirs, joined by `/`. columns: the axis that is laid out in columns, or `network`. without: patterns of cells that
    are left out. paper: published numbers, [mean] or [mean, std] in percent, as tables nested like the cells' names.
    A cell whose options name a selection and no loss is a coreset.
    """

    title: str
    columns: str
    axes: dict[str, dict[str, dict[str, Any]]]
    scales: dict[str, Scale]
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
    """A table by name."""

    name: str
    file: TableFile

    def scale(self, name: str) -> Scale:
        """Raises DccError for an unknown scale."""
        if name not in self.file.scales:
            hint = did_you_mean(name, self.file.scales)
            raise DccError(f"table '{self.name}' has no scale '{name}'.{hint} One of: {', '.join(self.file.scales)}")
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
                    f"table '{self.name}' has no cell '{pattern}'.{did_you_mean(pattern, every)} "
                    f"Cells are {'/'.join(self.file.axes)}, with * for anything. {axes}"
                )
        wanted = list(patterns) or ["*"]
        return [cell for name, cell in every.items() if any(fnmatch.fnmatchcase(name, p) for p in wanted)]

    def published(self, cell: str, network: str) -> tuple[float, ...]:
        """The paper's mean (and std) of a cell, in percent; empty where there is none."""
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


def table_named(registry: Registry, name: str) -> TableSpec:
    """A table's description. Raises DccError where there is none of this name, or its file is wrong."""
    text = registry.find("table", name).read()
    try:
        file = TypeAdapter(TableFile).validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DccError(f"table '{name}' is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DccError(f"table '{name}' is wrong: {wrong}") from error
    if file.columns not in (*file.axes, NETWORKS):
        raise DccError(
            f"table '{name}': columns '{file.columns}' is no axis; one of: {', '.join(file.axes)}, {NETWORKS}"
        )
    return TableSpec(name, file)
