"""The hooks of `dcc`. A plugin implements any of them in its manifest module, marked with `hookimpl`.

The collecting hooks return rows of strings (`Component`); their module must not import torch. Every
implementation is called on its own, so one that fails is named and left out, and the others still work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from dcc_core.plugins.component import Component
from dcc_core.plugins.events import RunInfo, ScoreReport, StepReport

PROJECT = "dcc"
API = 1
"""The version of the interface for plugins. A manifest may say which it is built for, `DCC_API = 1`; one that says
another is left out with one warning."""
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def dcc_losses() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Matching losses: subclasses of `dcc_core.MatchingLoss`."""


@hookspec
def dcc_augmentations() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Differentiable augmentations: subclasses of `dcc_core.Augmentation`."""


@hookspec
def dcc_architectures() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Network architectures: subclasses of `dcc_core.Architecture`."""


@hookspec
def dcc_datasets() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Data sources: subclasses of `dcc_core.DataSource`."""


@hookspec
def dcc_parametrisations() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Parametrisations, from stored tensors to training images: subclasses of `dcc_core.Parametrisation`."""


@hookspec
def dcc_selections() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Coreset selections: subclasses of `dcc_core.Selection`."""


@hookspec
def dcc_observers() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Observers that a run is asked to have (`--log`): subclasses of `dcc_core.Observer`."""


@hookspec
def dcc_formats() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Formats of files in which sets are exchanged (`dcc convert`): subclasses of `dcc_plugins.exchange.Format`."""


@hookspec
def dcc_studies() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Studies, arguments made with runs (`dcc study`): subclasses of `dcc_plugins.studies.Study`."""


@hookspec
def dcc_recipes() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Recipes, named sets of option values: TOML files shipped as package data."""


@hookspec
def dcc_tables() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Tables, grids of runs (see `dcc_plugins.tables.table.TableFile`): TOML files shipped as package data."""


@hookspec
def dcc_commands() -> Iterable[Component]:  # pyright: ignore[reportReturnType]
    """Commands of `dcc`: `click.Command` objects, imported when they are called."""


@hookspec
def dcc_objects(values: Mapping[str, Any], registry: Any) -> tuple[dict[str, Any], dict[str, list[Component]]]:  # pyright: ignore[reportReturnType]
    """Options by dotted key with names for the Python objects among them, and the rows of new names by kind.

    registry: of the call (`dcc_core.Registry`). Objects that a plugin does not know it leaves as they are.
    """


@hookspec
def dcc_run_planned(run: Any, options: Mapping[str, Any], forecast: Mapping[str, Any]) -> None:
    """Observer: the cost of a run, a `RunContext`, is known.

    options: of the run, by dotted key. forecast: as `dcc-run --dry-run --json` prints it.
    """


@hookspec
def dcc_run_started(run: RunInfo) -> None:
    """Observer: a run's configuration is resolved and its data are loaded."""


@hookspec
def dcc_step_finished(report: StepReport) -> None:
    """Observer: one inner step has updated the synthetic images."""


@hookspec
def dcc_evaluated(report: ScoreReport) -> None:
    """Observer: a set has been scored."""


@hookspec
def dcc_run_finished(report: Mapping[str, Any] | None) -> None:
    """Observer: the run is over. report: the content of `report.json`; none if it failed or was interrupted."""
