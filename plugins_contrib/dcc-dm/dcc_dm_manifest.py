"""What dcc-dm publishes. Strings only: listing the components imports no torch."""

from __future__ import annotations

from dcc_core import Component, hookimpl


@hookimpl
def dcc_losses() -> list[Component]:
    return [
        Component(
            name="dm", target="dcc_dm:DistributionMatching", summary="class means of random networks' features (DM)"
        )
    ]
