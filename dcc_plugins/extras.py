"""Optional packages, which the project's extras install."""

from __future__ import annotations

import importlib.util


def check_extra(extra: str, *packages: str) -> None:
    """Raise ValueError, as components do for wrong options, if packages of an extra are missing. Imports none."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"needs the package {package}: pip install 'dataset-condensation[{extra}]'")
