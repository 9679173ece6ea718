"""Statistics, as numbers or by data source, and class names for files of other tools."""

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
    """Mean and std of `mean=0.5,0.5 std=0.2,0.2`; None for other text. Raises DccError for invalid numbers."""
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
            f"--stats '{text}': expected one mean and one std per channel, of images scaled to 0..1, with std above 0"
        )
    return mean, std


class Sources:
    """Builds the components named in the settings, and looks up statistics and class names of data sources."""

    def __init__(self, registry: Registry, settings: Settings, data_root: Path | None) -> None:
        self._registry = registry
        self._settings = settings
        self._root = data_root or Path(platformdirs.user_cache_dir("dcc"))
        unknown = [k for k in settings.values if k.partition(".")[0] not in SECTIONS]
        if unknown:
            hint = did_you_mean(unknown[0].partition(".")[0], SECTIONS)
            raise OptionError([f"{k}: convert only takes options of {' and '.join(SECTIONS)}.{hint}" for k in unknown])
        if settings.under("data") and not self.has_data:
            raise OptionError([f"{k}: no data source is given; name it with --data" for k in settings.under("data")])

    @property
    def has_data(self) -> bool:
        """Whether a data source is given."""
        return "data" in self._settings.values

    def build(self, key: str, settings: Settings | None = None) -> tuple[Any, Builder]:
        """A component, and its builder with its name, title and used options."""
        builder = Builder(self._registry, settings or self._settings)
        component = builder.component(key)
        builder.stop_on_problems()
        return component, builder

    def statistics(self, text: str) -> Statistics:
        """The statistics that `--stats` gives, as numbers or by data source."""
        if found := parse_statistics(text):
            return found
        settings = Settings()
        settings.add({"data": text}, "--stats", Rank.FLAG)
        try:
            published = self._load_facts(*self.build("data", settings))
        except DccError as error:
            raise DccError(f"--stats '{text}' is neither 'mean=... std=...' nor a data source: {error}") from error
        return published.mean, published.std

    def about(self) -> dict[str, Any]:
        """The provenance, class names and statistics of `--data`."""
        source, builder = self.build("data")
        facts = self._load_facts(source, builder)
        own = {key: s for key, s in builder.entries.items() if key.partition(".")[0] == "data"}
        config = without_places(own, self._registry)
        return {
            "data": config["data"],
            "config": config,
            "class_names": facts.class_names,
            "usual": (facts.mean, facts.std),
        }

    def _load_facts(self, source: DataSource, builder: Builder) -> Published:
        """The published facts if the options shared by all sources are defaults, else those of the loaded data."""
        published = source.published()
        unrestricted = all(getattr(source, name) == option.default for name, option in schema(DataSource).items())
        if published is not None and unrestricted:
            return published
        title = builder.titles["data"]
        data = load_data(source, title, root=self._root, download=True, progress=False)
        return Published(class_names=data.class_names, mean=data.mean, std=data.std)
