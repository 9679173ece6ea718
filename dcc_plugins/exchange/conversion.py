"""`dcc convert`: read other formats into set files, and write set files in other formats."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dcc_core.config import Rank, Settings
from dcc_core.errors import ContractError, DccError
from dcc_core.plugins import Registry
from dcc_core.sets import CondensedSet, check_set, load_set
from dcc_plugins.atomic_places import place_atomically
from dcc_plugins.exchange.formats import Exporting, Importing
from dcc_plugins.exchange.known_statistics import Sources

if TYPE_CHECKING:
    from dcc_plugins.exchange.formats import Format

OWN = "dcc"
"""Name of the set file format in `--from` and `--to`."""


@dataclass(frozen=True)
class Conversion:
    """The set that was read, and notes on what the written file does not hold."""

    set: CondensedSet
    notes: tuple[str, ...]


def convert(
    source: str | Path,
    target: str | Path,
    *,
    source_format: str = OWN,
    target_format: str = OWN,
    stats: str | None = None,
    data: str | None = None,
    class_names: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
    overwrite: bool = False,
    registry: Registry | None = None,
) -> Conversion:
    """Read a set in one format and write it in another; one of the two is `dcc`, a set file.

    stats: mean and std of normalised images if the format has none: the data source that has them, or
        `mean=0.5,0.5,0.5 std=0.2,0.2,0.2`. When writing, they replace the set's own.
    data: the data source of the set, which gives the class names. class_names: the names instead, in order.
    options: options of the format and the data source, by dotted key: {"format.factor": 2}.
    overwrite: replace what is at `target`; in a folder, only files of the same names.
    Raises DccError if something is missing, damaged or inconsistent. No code in a file is executed.
    """
    registry = registry or Registry.installed()
    source, target = Path(source), Path(os.path.abspath(target))
    other = _other_format(source_format, target_format)
    settings = Settings()
    settings.add(options or {}, "-o", Rank.OPTION)
    settings.add({"format": other} | ({} if data is None else {"data": data}), "argument", Rank.FLAG)
    sources = Sources(registry, settings, data_root)
    format_, builder = sources.build("format")
    name, title = builder.names["format"], builder.titles["format"]
    statistics = None if stats is None else sources.statistics(stats)
    if target_format == OWN:
        versions = builder.versions | {"torch": torch.__version__}
        known = Importing(format=name, registry=registry, statistics=statistics, versions=versions)
        if sources.has_data:
            known = replace(known, **sources.about())
        if class_names:
            known = replace(known, class_names=tuple(class_names))
        s = import_set(format_, title, source, known)
        with _place(target, overwrite) as place:
            s.save(place)
        return Conversion(s, s.provenance.notes)
    if sources.has_data or class_names:
        raise DccError("convert: --data and --class-names are only for reading; a set file has class names")
    s = load_set(source)
    context = Exporting(format=name, registry=registry, statistics=statistics)
    with _place(target, overwrite) as place:
        export_set(format_, title, s, place, context)
    return Conversion(s, tuple(context.notes))


@contextlib.contextmanager
def _place(target: Path, overwrite: bool) -> Iterator[Path]:
    """A place to write to in the target's stead, whose folder is made if it is not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with place_atomically(target, overwrite=overwrite) as place:
        yield place


def _other_format(source_format: str, target_format: str) -> str:
    """The one of two formats that is not `dcc`. Raises DccError if none or both are."""
    other = [name for name in (source_format, target_format) if name != OWN]
    if len(other) == 1:
        return other[0]
    raise DccError(
        f"convert: '{other[0]}' to '{other[1]}' takes two steps, via a set file"
        if other
        else "convert: name a format with --from to read it, or with --to to write it"
    )


def import_set(format_: Format, title: str, path: Path, context: Importing) -> CondensedSet:
    """The set that a format reads from a path; title: see `Provided.title`. Raises DccError that names the path."""
    if not path.exists():
        raise DccError(f"'{path}' does not exist")
    try:
        s = format_.read(path, context)
        if not isinstance(s, CondensedSet):
            raise ContractError(f"read returns a CondensedSet; it returned {type(s).__name__}")
        _check_consistency(s)
    except ContractError as error:
        raise error.of(title) from error
    except DccError as error:
        raise DccError(str(error) if str(path) in str(error) else f"'{path}': {error}") from error
    except Exception as error:
        raise DccError(f"{title} cannot read '{path}': {type(error).__name__}: {error}") from error
    return s


def export_set(format_: Format, title: str, s: CondensedSet, path: Path, context: Exporting) -> None:
    """Write a set in a format. Raises DccError if that fails."""
    try:
        format_.write(s, path, context)
        if not path.exists():
            raise ContractError("write creates a file or folder at the given path")
    except ContractError as error:
        raise error.of(title) from error
    except DccError:
        raise
    except Exception as error:
        raise DccError(f"{title} cannot write this set: {type(error).__name__}: {error}") from error


def _check_consistency(s: CondensedSet) -> None:
    try:
        check_set(s)
    except (ValueError, KeyError) as error:
        raise ContractError(f"the set that read returns is consistent; {error}") from error
