"""What this plugin publishes. Strings only: listing it must import nothing heavy."""

from dcc_core import Component, hookimpl


@hookimpl
def dcc_losses():
    return [
        Component(
            name="mtt",
            target="dcc_mtt:Mtt",
            summary="match the training trajectories of experts on real images (MTT)",
        )
    ]
