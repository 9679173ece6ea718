"""The rules of observers."""

from __future__ import annotations

import warnings
from pathlib import Path

from dcc_core.config import Rank, Settings
from dcc_core.errors import ContractError, PluginWarning
from dcc_core.jobs import resolve
from dcc_core.plugins import RunInfo
from dcc_core.runs import RunFolder, Silent, execute
from dcc_core.testing.base import TINY, Conformance
from dcc_core.testing.randomness import left_alone

SCORED = {"run.sets": 1, "score.nets": 1, "score.baseline": False, "score.protocol": "dc"}
"""What the tiny run scores, so that there is a score to tell."""


class ObserverConformance(Conformance):
    """Tests of an observer, which listens to a tiny run with its score. What it keeps is for tests of your own."""

    kind = "observer"

    def test_it_listens_by_hooks(self, tmp_path: Path) -> None:
        """`listen` gives an object whose methods are observer hooks, marked with hookimpl: others are never called."""
        fault = self._deaf(tmp_path)
        assert fault is None, f"{self.title}: it listens by hooks; {fault}"

    def test_its_hooks_raise_nothing(self, tmp_path: Path) -> None:
        """A hook that raises is named and not called again: what comes after it is not kept."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self._run(tmp_path)
        faults = [str(one.message) for one in said if issubclass(one.category, PluginWarning)]
        assert not faults, f"{self.title}: its hooks raise nothing; {faults[0]}"

    def test_global_randomness_is_left_alone(self, tmp_path: Path) -> None:
        """A run inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title), warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)
            self._run(tmp_path)

    def _deaf(self, place: Path) -> ContractError | None:
        """What is wrong with the object that it listens by."""
        registry = self.registry()
        ((label, observer),) = resolve(registry, self._settings()).observers.items()
        about = {"config": {}, "class_names": ("0", "1", "2"), "sets": 1, "outer_loops": 4, "inner_loops": 2}
        try:
            with registry.listening(f"--log {label}", self.title, observer.listen(RunInfo(out=str(place), **about))):
                return None
        except ContractError as error:
            return error

    def _run(self, place: Path) -> None:
        if self._deaf(place):
            return  # another test's
        registry = self.registry()
        config = resolve(registry, self._settings())
        execute(config, registry, RunFolder(place / "run"), Silent())

    def _settings(self) -> Settings:
        words = [self.component, *(f"{name}={value}" for name, value in self.options.items())]
        settings = Settings()
        settings.add(TINY | SCORED, "tiny", Rank.RECIPE)
        settings.add({**self.settings, "run.log": ",".join(words)}, "settings", Rank.FILE)
        return settings
