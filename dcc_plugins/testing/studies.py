"""The rules of studies."""

from __future__ import annotations

import math
import re
from pathlib import Path

from dcc_core.testing import Conformance, global_seeds, left_alone
from dcc_plugins.figures import figure_style, render_figure
from dcc_plugins.studies import Bench, Findings
from dcc_plugins.terminal import Display

LINK = re.compile(r"!\[[^]]*\]\(([^)]+)\)")


class StudyConformance(Conformance):
    """Tests of a study. Give it `options` that make it small; `settings` are options of its runs."""

    kind = "study"

    def test_figures_stand_on_the_page(self, tmp_path: Path) -> None:
        """A figure that the page does not link is not seen, and a link to none is broken."""
        found = self._findings(tmp_path)
        linked, drawn = set(LINK.findall(found.page)), {f"{name}.png" for name in found.figures}
        assert drawn <= linked <= drawn | set(found.files), (
            f"{self.title}: figures stand on the page as ![what it shows](NAME.png); it has {sorted(drawn)} and links "
            f"{sorted(linked)}"
        )

    def test_tables_have_rows_of_equal_keys(self, tmp_path: Path) -> None:
        """They become CSV files, headed by the keys of the first row."""
        for name, rows in self._findings(tmp_path).tables.items():
            assert rows, f"{self.title}: tables have rows; '{name}' has none"
            keys = [list(row) for row in rows]
            other = next((k for k in keys if k != keys[0]), None)
            assert other is None, f"{self.title}: tables have rows of equal keys; '{name}' has {keys[0]} and {other}"

    def test_numbers_are_plain(self, tmp_path: Path) -> None:
        """They become JSON: finite numbers, text, true, false, or none."""
        for name, value in self._findings(tmp_path).numbers.items():
            good = value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
            assert good, f"{self.title}: numbers are plain and finite; '{name}' is {value!r}"

    def test_the_same_seed_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Whatever the global random states are: what a study says can be checked by whoever repeats it."""
        found = []
        for seed in (1, 2):
            with global_seeds(seed):
                f = self._findings(tmp_path / str(seed))
            figures = {name: render_figure(figure) for name, figure in f.figures.items()}
            parts = {"page": f.page, "numbers": repr(f.numbers), "tables": repr(f.tables), "files": dict(f.files)}
            found.append({**parts, "figures": figures})
        differing = [part for part in found[0] if found[0][part] != found[1][part]]
        assert not differing, (
            f"{self.title}: the same seed gives the same bytes; those of {', '.join(differing)} differ"
        )

    def test_global_randomness_is_left_alone(self, tmp_path: Path) -> None:
        """A study inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title):
            self._findings(tmp_path)

    def _findings(self, folder: Path) -> Findings:
        given = {"run.device": "cpu", "run.download": False, **self.settings}
        bench = Bench(self.registry(), given, folder / "out", folder / "cache", Display(quiet=True))
        with figure_style():
            return self.built().conduct(bench)
