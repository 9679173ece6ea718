"""What dcc-mixed publishes. Strings only: listing the components imports no torch."""

from __future__ import annotations

from dcc_core import Component, hookimpl


@hookimpl
def dcc_losses() -> list[Component]:
    return [
        Component(
            name="mixed",
            target="dcc_mixed:Mixed",
            summary="any loss on images mixed across classes, by Mixup or CutMix, both real and synthetic",
        ),
        Component(name="grouped", target="dcc_mixed:Grouped", summary="any loss within groups of classes"),
    ]
