"""The rules of components that are files: recipes and tables."""

from __future__ import annotations

from dcc_core.config import resolve
from dcc_core.errors import DccError
from dcc_core.settings import Rank, Settings
from dcc_core.table import table_named
from dcc_core.testing.base import Conformance


class RecipeConformance(Conformance):
    """Tests of a recipe; `settings` are options that it is used with."""

    kind = "recipe"

    def test_its_options_are_options_of_a_run(self) -> None:
        """A wrong name or value is told to whoever uses the recipe, who cannot mend it."""
        settings = Settings()
        settings.add({**self.settings, "recipe": self.component}, "recipe", Rank.FLAG)
        try:
            resolve(self.registry(), settings)
        except DccError as error:
            raise AssertionError(f"{self.title}: its options are options of a run; {error}") from error


class TableConformance(Conformance):
    """Tests of a table, whose cells may need other plugins: installed, they are found."""

    kind = "table"

    def test_every_cell_resolves(self) -> None:
        """At every scale: a cell that cannot be run is a hole in the table, after hours."""
        registry, place = self.registry(), "its file"
        try:
            spec = table_named(registry, self.component)
            for scale in spec.file.scales:
                for cell in spec.cells(scale):
                    place = f"{cell.name} at scale {scale}"
                    resolve(registry, cell.settings("table"))
        except DccError as error:
            raise AssertionError(f"{self.title}: every cell resolves; of {place}: {error}") from error
