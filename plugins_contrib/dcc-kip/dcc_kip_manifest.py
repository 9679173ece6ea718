"""What dcc-kip publishes. Strings only: listing the components imports no torch."""

from __future__ import annotations

from dcc_core import Component, hookimpl


@hookimpl
def dcc_losses() -> list[Component]:
    return [
        Component(
            name="kip",
            target="dcc_kip:Kip",
            summary="ridge regression on the set predicts real labels, under an infinitely wide network (KIP)",
        )
    ]


@hookimpl
def dcc_parametrisations() -> list[Component]:
    return [
        Component(
            name="soft-labels",
            target="dcc_kip:SoftLabels",
            summary="the stored images, and labels that are learned too",
        )
    ]
