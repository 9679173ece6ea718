"""The rules of recipes."""

from __future__ import annotations

from dcc_core.config import Rank, Settings
from dcc_core.errors import DccError
from dcc_core.jobs import resolve
from dcc_core.testing.base import Conformance


class RecipeConformance(Conformance):
    """Tests of a recipe; `settings` are options that it is used with."""

    kind = "recipe"

    def test_its_options_are_options_of_a_run(self) -> None:
        """Users of the recipe would see the error, and cannot correct it."""
        settings = Settings()
        settings.add({**self.settings, "recipe": self.component}, "recipe", Rank.FLAG)
        try:
            resolve(self.registry(), settings)
        except DccError as error:
            raise AssertionError(f"{self.title}: its options are options of a run; {error}") from error
