"""Versions of a plugin's package that another one hides: Python silently uses the first that it finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions


def shadowed_versions(used: Distribution | None, group: str) -> Iterator[tuple[str, str]]:
    """The other versions of a distribution that have entry points of a group, each with why it is not the one used.

    The same version again says nothing: an editable install lies beside the `egg-info` of its own checkout.
    """
    if used is None or not used.name:
        return
    for other in distributions(name=used.name):
        if other.version != used.version and other.entry_points.select(group=group):
            yield other.version, _reason(used, other)


def _reason(used: Distribution, hidden: Distribution) -> str:
    here, there = (os.path.abspath(str(d.locate_file(""))) for d in (used, hidden))
    name, version = used.name, used.version
    if here == there:
        return (
            f"{name} {version} is installed in the same folder, '{here}', and whose modules lie there cannot be told; "
            f"uninstall it until none is left (pip uninstall {name}), and install one"
        )
    return (
        f"{name} {version} in '{here}' is used, as it is found before this one in '{there}'; "
        f"remove one of them (pip uninstall {name})"
    )
