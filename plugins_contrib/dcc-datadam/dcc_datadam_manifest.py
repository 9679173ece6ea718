"""What dcc-datadam publishes. Strings only: listing the components imports no torch."""

from __future__ import annotations

from dcc_core import Component, hookimpl


@hookimpl
def dcc_losses() -> list[Component]:
    return [
        Component(
            name="datadam",
            target="dcc_datadam:AttentionMatching",
            summary="attention maps and features of random networks, class by class (DataDAM)",
        )
    ]


@hookimpl
def dcc_recipes() -> list[Component]:
    return [
        Component(name="datadam", target="dcc_datadam_recipe:datadam.toml", summary="the settings of DataDAM for CIFAR")
    ]
