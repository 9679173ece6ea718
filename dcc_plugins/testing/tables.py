"""The rules of tables."""

from __future__ import annotations

from dcc_core.errors import DccError
from dcc_core.jobs import resolve
from dcc_core.testing import Conformance
from dcc_plugins.tables import find_table


class TableConformance(Conformance):
    """Tests of a table, whose cells may need other plugins: installed, they are found."""

    kind = "table"

    def test_every_cell_resolves(self) -> None:
        """At every scale: a cell that cannot be run is a hole in the table, after hours."""
        registry, place = self.registry(), "its file"
        try:
            spec = find_table(registry, self.component)
            for scale in spec.file.scales:
                for cell in spec.cells(scale):
                    place = f"{cell.name} at scale {scale}"
                    resolve(registry, cell.settings("table"))
        except DccError as error:
            raise AssertionError(f"{self.title}: every cell resolves; of {place}: {error}") from error
