"""Studies: an argument made with runs, as figures, the numbers behind them, and a page that says what to look at.

A study calls the public functions of `dcc_core` through its `Bench`; it holds no loss and no loop of its own, so that
what it shows is what runs do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dcc_core.config import Rank, Settings, format_duration
from dcc_core.plugins import Registry
from dcc_core.sets import write_atomically
from dcc_plugins.terminal import Display

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from dcc_core.engine import OnStep, RunContext
    from dcc_core.plugins import Score
    from dcc_core.sets import CondensedSet

Row = Mapping[str, Any]
CELLS = "cells"
"""The folder of a table's cells, below that of the study."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found.

    title: of the page. page: Markdown that says what to look at, with the measured numbers in it; figures are linked
    by their file names, `![alt](NAME.png)`. numbers: what the study comes to, by name, for `--json`. tables: rows of
    equal keys, each table a CSV file. figures: each a PNG and an SVG file. files: anything else, by file name.
    """

    title: str
    page: str
    numbers: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]
    figures: Mapping[str, Figure]
    files: Mapping[str, bytes] = field(default_factory=dict)


class Study(ABC):
    """An argument made with runs of this package. The dataclass's fields are its options: `-o study.seeds=5`.

    At its default options a study is done in ten minutes on two cores.
    """

    kind: ClassVar[str] = "study"
    fixed: ClassVar[tuple[str, ...]] = ()
    """Options of runs, by dotted key, that the study decides itself and its page speaks of: the user's are refused."""

    @abstractmethod
    def conduct(self, bench: Bench) -> Findings:
        """Run what the study compares, and say what came out. Raises DccError where its options do not fit.

        Whatever comes out is reported: the page states numbers, and says in words only what they bear out.
        """


class Bench:
    """What a study works with: the functions of `dcc_core`, under the user's options and with progress.

    registry: of components. given: options of runs that the user gave; they outrank a study's `options`, and its
    choices (`data=`, `loss=`, `ipc=`, ...), which are what it compares, outrank them. out: the folder of the results.
    cache: if what takes long is kept from one study to the next. overwrite: whether cells are run again.
    """

    def __init__(
        self,
        registry: Registry,
        given: Mapping[str, Any],
        out: Path,
        cache: Path,
        display: Display,
        *,
        overwrite: bool = False,
    ) -> None:
        self.registry = registry
        self.out = out
        self._condensed: list[dict[str, Any]] = []
        self._given = given
        self._cache = cache
        self._display = display
        self._overwrite = overwrite

    @property
    def common(self) -> dict[str, Any]:
        """The options that all sets had in common which have been condensed, and the user's."""
        first, *others = self._condensed or [{}]
        return {k: v for k, v in first.items() if all(k in o and o[k] == v for o in others)} | dict(self._given)

    def seeds(self, count: int) -> range:
        """`count` seeds, from the user's on."""
        first = int(self._given.get("run.seed", 0))
        return range(first, first + count)

    def condense(
        self, *, options: Row | None = None, set_index: int = 0, watch: OnStep | None = None, **choices: Any
    ) -> CondensedSet:
        """`dcc_core.condense` under the user's options."""
        from dcc_core.runs import condense

        how = {"set_index": set_index, "watch": watch, "registry": self.registry}
        self._condensed.append(self._under(options))
        return condense(options=self._under(options), **how, **choices)

    def select(self, *, options: Row | None = None, set_index: int = 0, **choices: Any) -> CondensedSet:
        """`dcc_core.select` under the user's options."""
        from dcc_core.runs import select

        return select(options=self._under(options), set_index=set_index, registry=self.registry, **choices)

    def score(self, condensed: CondensedSet, *, options: Row | None = None, **choices: Any) -> Score:
        """`dcc_core.score` under the user's options."""
        from dcc_core.runs import score

        return score(condensed, options=self._under(options), registry=self.registry, **choices)

    def context(self, *, options: Row | None = None, **choices: Any) -> RunContext:
        """A run of these options before its first step: its data, its real images, networks and random numbers."""
        from dcc_core.jobs import Job
        from dcc_core.runs import resolve_options

        config, registry = resolve_options(self.registry, Settings(), choices, self._under(options))
        return Job(config, registry, progress=self._display.shows).context()

    def table(
        self, name: str, scale: str, *, cells: Sequence[str] = (), options: Row | None = None
    ) -> list[dict[str, Any]]:
        """Rows of `dcc table` for some cells at a scale, with these options; those missing below `out` are run."""
        from dcc_plugins.tables import Tabling, find_table

        spec, settings = find_table(self.registry, name), Settings()
        settings.add(self._under(options), "study", Rank.OPTION)
        chosen, again = spec.cells(scale, cells), {"overwrite": self._overwrite}
        tabling = Tabling(spec, scale, chosen, settings, self.registry, self.out / CELLS, **again)
        return list(tabling.run(self._display).rows())

    @contextlib.contextmanager
    def track(self, what: str, total: int) -> Iterator[Callable[[str], None]]:
        """Progress of `total` pieces of work: call what this gives after each, with a note."""
        start, done = time.perf_counter(), 0
        with self._display.track(what, total) as report:

            def piece(note: str = "") -> None:
                nonlocal done
                done += 1
                left = (time.perf_counter() - start) / done * (total - done)
                bar = self._display.console.is_terminal  # which shows the time that is left by itself
                report(done, note if bar else f"{note}, {format_duration(left)} left".lstrip(", "))

            yield piece

    def kept(self, name: str, key: Row, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors that take long to compute, cached under everything that they depend on: `key`, plain values."""
        from safetensors import SafetensorError
        from safetensors.torch import load, save

        digest = hashlib.blake2b(json.dumps([name, key], sort_keys=True).encode(), digest_size=8).hexdigest()
        path = self._cache / f"{name}-{digest}.safetensors"
        with contextlib.suppress(OSError, SafetensorError):
            return load(path.read_bytes())
        made = {key: t.detach().cpu().contiguous() for key, t in make().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(made))
        return made

    def _under(self, options: Row | None) -> dict[str, Any]:
        return {**(options or {}), **self._given}
