"""What is known of the data that a strange file was made of: statistics in numbers or by name, names of classes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import platformdirs

from dcc_core.config import Builder, Rank, Settings, schema, without_places
from dcc_core.data import DataSource, Published, Statistics, load_data
from dcc_core.errors import DccError, OptionError, did_you_mean
from dcc_core.plugins import Registry

SECTIONS = ("format", "data")


def parse_statistics(text: str) -> Statistics | None:
    """Mean and std of `mean=0.5,0.5 std=0.2,0.2`; None where it is no such text. Raises DccError for wrong numbers."""
    parts = re.fullmatch(r"\s*mean=([^=]+?)[\s,;]+std=([^=]+?)\s*", text)
    if parts is None:
        return None
    try:
        mean, std = (tuple(float(word) for word in part.split(",")) for part in parts.groups())
    except ValueError as error:
        raise DccError(f"--stats '{text}': {error}; expected mean=0.5,0.5,0.5 std=0.2,0.2,0.2") from error
    good = len(mean) == len(std) and all(0 <= m <= 1 for m in mean) and all(0 < s <= 1 for s in std)
    if not good:
        raise DccError(
            f"--stats '{text}': expected one mean and one std per channel, of images scaled to 0..1, std above 0"
        )
    return mean, std


class Sources:
    """Builds what the settings name, and asks data sources for their facts."""

    def __init__(self, registry: Registry, settings: Settings, data_root: Path | None) -> None:
        self._registry = registry
        self._settings = settings
        self._root = data_root or Path(platformdirs.user_cache_dir("dcc"))
        strange = [k for k in settings.values if k.partition(".")[0] not in SECTIONS]
        if strange:
            hint = did_you_mean(strange[0].partition(".")[0], SECTIONS)
            raise OptionError([f"{k}: convert takes options of {' and '.join(SECTIONS)}.{hint}" for k in strange])
        if settings.under("data") and not self.has_data:
            raise OptionError([f"{k}: no data source is named, by --data" for k in settings.under("data")])

    @property
    def has_data(self) -> bool:
        """Whether a data source is named."""
        return "data" in self._settings.values

    def built(self, key: str, settings: Settings | None = None) -> tuple[Any, Builder]:
        """A component, and the builder that knows its name, its title and the options it took."""
        builder = Builder(self._registry, settings or self._settings)
        component = builder.component(key)
        builder.stop_on_problems()
        return component, builder

    def statistics(self, text: str) -> Statistics:
        """Those that `--stats` means."""
        if found := parse_statistics(text):
            return found
        settings = Settings()
        settings.add({"data": text}, "--stats", Rank.FLAG)
        try:
            published = self._facts(*self.built("data", settings))
        except DccError as error:
            raise DccError(f"--stats '{text}' is neither 'mean=... std=...' nor a data source: {error}") from error
        return published.mean, published.std

    def about(self) -> dict[str, Any]:
        """What a set's provenance says of `--data`, the names of its classes, and its statistics."""
        source, builder = self.built("data")
        facts = self._facts(source, builder)
        own = {key: s for key, s in builder.entries.items() if key.partition(".")[0] == "data"}
        config = without_places(own, self._registry)
        return {
            "data": config["data"],
            "config": config,
            "class_names": facts.class_names,
            "usual": (facts.mean, facts.std),
        }

    def _facts(self, source: DataSource, builder: Builder) -> Published:
        """What is published of a source, or else what its files say: all of its options may bear on that."""
        published = source.published()
        plain = all(getattr(source, name) == option.default for name, option in schema(DataSource).items())
        if published is not None and plain:
            return published
        title = builder.titles["data"]
        data = load_data(source, title, root=self._root, download=True, progress=False)
        return Published(class_names=data.class_names, mean=data.mean, std=data.std)
