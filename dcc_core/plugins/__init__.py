"""Plugins and their components: hooks, rows, the registry, and what observers receive. Nothing imports torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
