"""Plugins and how their components are found: hooks, rows, the registry, and what observers receive.

Nothing here imports torch, so that `--help`, `dcc plugins` and a mistyped name answer at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
