"""What dcc_plugins publishes. Strings only: listing the components imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dcc_core import Component, Registry, hookimpl
from dcc_plugins import command_rows, component_rows, data_rows

if TYPE_CHECKING:
    from dcc_core import RunContext

LARGE = 128
"""Pixels of the shorter side from which on images are large for matching."""


@hookimpl
def dcc_losses() -> list[Component]:
    return component_rows.LOSSES


@hookimpl
def dcc_augmentations() -> list[Component]:
    return component_rows.AUGMENTATIONS


@hookimpl
def dcc_architectures() -> list[Component]:
    return component_rows.ARCHITECTURES


@hookimpl
def dcc_datasets() -> list[Component]:
    return data_rows.DATASETS


@hookimpl
def dcc_parametrisations() -> list[Component]:
    return component_rows.PARAMETRISATIONS


@hookimpl
def dcc_selections() -> list[Component]:
    return component_rows.SELECTIONS


@hookimpl
def dcc_observers() -> list[Component]:
    return component_rows.OBSERVERS


@hookimpl
def dcc_formats() -> list[Component]:
    return command_rows.FORMATS


@hookimpl
def dcc_studies() -> list[Component]:
    return command_rows.STUDIES


@hookimpl
def dcc_recipes() -> list[Component]:
    return command_rows.RECIPES


@hookimpl
def dcc_tables() -> list[Component]:
    return command_rows.TABLES


@hookimpl
def dcc_commands() -> list[Component]:
    return command_rows.COMMANDS


@hookimpl
def dcc_objects(values: Mapping[str, Any], registry: Registry) -> tuple[dict[str, Any], dict[str, list[Component]]]:
    from dcc_plugins.objects.names import name_objects

    return name_objects(values, registry)


@hookimpl
def dcc_run_planned(run: RunContext, options: Mapping[str, Any], forecast: Mapping[str, Any]) -> None:
    """Say which way suits large images, and what accuracy is to be expected."""
    from dcc_plugins.terminal.expectation import tell_expected_accuracy

    tell_expected_accuracy(options, forecast)
    if min(run.data.shape[1:]) >= LARGE:
        from dcc_plugins.terminal.advice import advise

        advise(run, forecast)
