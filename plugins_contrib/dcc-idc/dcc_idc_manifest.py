"""What dcc-idc publishes. Strings only: listing the components imports no torch."""

from __future__ import annotations

from dcc_core import Component, hookimpl


@hookimpl
def dcc_parametrisations() -> list[Component]:
    return [
        Component(
            name="multi-formation",
            target="dcc_idc:MultiFormation",
            summary="several training images in every stored one, as its enlarged crops (IDC)",
        )
    ]
