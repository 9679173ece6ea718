"""Runs into folders: checkpoints, resuming, reports, forecasts. The Python functions are here too."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
