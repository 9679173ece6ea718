"""`dcc convert`: set files from the formats of the field, and into them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dcc_core.config import Rank, Settings
from dcc_core.errors import ContractError, DccError
from dcc_core.plugins import Registry
from dcc_core.sets import CondensedSet, check_set, load_set, place_atomically
from dcc_plugins.exchange.formats import Exporting, Importing
from dcc_plugins.exchange.known_statistics import Sources

if TYPE_CHECKING:
    from dcc_plugins.exchange.formats import Format

OWN = "dcc"
"""What `--from` and `--to` call a set file."""


@dataclass(frozen=True)
class Conversion:
    """What was read, and what the file that was written does not hold of it."""

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
    """Read a set in one format and write it in another; one of the two is a set file of ours, `dcc`.

    stats: mean and std of normalised images, where a format does not say them: a data source whose statistics they are,
        or `mean=0.5,0.5,0.5 std=0.2,0.2,0.2`. For writing, other ones than the set's own.
    data: the data source that the set was made of, which names its classes. class_names: or their names, in order.
    options: of the format, and of the data source, by dotted key: {"format.factor": 2}.
    overwrite: replace what stands at `target`; in a folder, files of the same names alone.
    Raises DccError for what is missing, damaged, or does not fit together. Nothing that stands in a file is executed.
    """
    registry = registry or Registry.installed()
    source, target = Path(source), Path(os.path.abspath(target))
    foreign = _foreign(source_format, target_format)
    settings = Settings()
    settings.add(options or {}, "-o", Rank.OPTION)
    settings.add({"format": foreign} | ({} if data is None else {"data": data}), "argument", Rank.FLAG)
    sources = Sources(registry, settings, data_root)
    format_, builder = sources.built("format")
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
        with place_atomically(target, overwrite=overwrite) as place:
            s.save(place)
        return Conversion(s, s.provenance.notes)
    if sources.has_data or class_names:
        raise DccError("convert: --data and --class-names are for reading; a set file names its classes itself")
    s = load_set(source)
    context = Exporting(format=name, registry=registry, statistics=statistics)
    with place_atomically(target, overwrite=overwrite) as place:
        export_set(format_, title, s, place, context)
    return Conversion(s, tuple(context.notes))


def _foreign(source_format: str, target_format: str) -> str:
    """The one of two formats that is not ours. Raises DccError where that is none, or both."""
    foreign = [name for name in (source_format, target_format) if name != OWN]
    if len(foreign) == 1:
        return foreign[0]
    raise DccError(
        f"convert: '{foreign[0]}' to '{foreign[1]}' takes two steps, with a set file between"
        if foreign
        else "convert: name a format, by --from to read it or by --to to write it"
    )


def import_set(format_: Format, title: str, path: Path, context: Importing) -> CondensedSet:
    """What a format reads; title: as `Provided.title` gives it. Raises DccError that names the path."""
    if not path.exists():
        raise DccError(f"there is no '{path}'")
    try:
        s = format_.read(path, context)
        if not isinstance(s, CondensedSet):
            raise ContractError(f"read returns a CondensedSet; it returned {type(s).__name__}")
        _check(s)
    except ContractError as error:
        raise error.of(title) from error
    except DccError as error:
        raise DccError(str(error) if str(path) in str(error) else f"'{path}': {error}") from error
    except Exception as error:
        raise DccError(f"{title} cannot read '{path}': {type(error).__name__}: {error}") from error
    return s


def export_set(format_: Format, title: str, s: CondensedSet, path: Path, context: Exporting) -> None:
    """Have a format write a set. Raises DccError where that fails."""
    try:
        format_.write(s, path, context)
        if not path.exists():
            raise ContractError("write leaves a file or a folder at the path that it is given")
    except ContractError as error:
        raise error.of(title) from error
    except DccError:
        raise
    except Exception as error:
        raise DccError(f"{title} cannot write this set: {type(error).__name__}: {error}") from error


def _check(s: CondensedSet) -> None:
    try:
        check_set(s)
    except (ValueError, KeyError) as error:
        raise ContractError(f"the set that read returns holds together; {error}") from error
