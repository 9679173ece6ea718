"""What dcc-ncfm publishes. Strings only: listing the components imports no torch."""

from __future__ import annotations

from dcc_core import Component, hookimpl


@hookimpl
def dcc_losses() -> list[Component]:
    return [
        Component(
            name="ncfm",
            target="dcc_ncfm:CharacteristicFunctions",
            summary="characteristic functions of features under networks that real images train (NCFM)",
        )
    ]


@hookimpl
def dcc_recipes() -> list[Component]:
    return [
        Component(name="ncfm", target="dcc_ncfm_recipe:ncfm.toml", summary="published settings of NCFM for CIFAR-10")
    ]
