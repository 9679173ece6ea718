"""What dcc_plugins publishes. Strings only: listing the components imports none of them."""

from __future__ import annotations

from dcc_core import Component, hookimpl
from dcc_plugins import rows


@hookimpl
def dcc_losses() -> list[Component]:
    return rows.LOSSES


@hookimpl
def dcc_augmentations() -> list[Component]:
    return rows.AUGMENTATIONS


@hookimpl
def dcc_architectures() -> list[Component]:
    return rows.ARCHITECTURES


@hookimpl
def dcc_datasets() -> list[Component]:
    return rows.DATASETS


@hookimpl
def dcc_parametrisations() -> list[Component]:
    return rows.PARAMETRISATIONS


@hookimpl
def dcc_selections() -> list[Component]:
    return rows.SELECTIONS


@hookimpl
def dcc_observers() -> list[Component]:
    return rows.OBSERVERS


@hookimpl
def dcc_formats() -> list[Component]:
    return rows.FORMATS


@hookimpl
def dcc_studies() -> list[Component]:
    return rows.STUDIES


@hookimpl
def dcc_recipes() -> list[Component]:
    return rows.RECIPES


@hookimpl
def dcc_tables() -> list[Component]:
    return rows.TABLES


@hookimpl
def dcc_commands() -> list[Component]:
    return rows.COMMANDS
