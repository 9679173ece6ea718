"""Real images: data sets, the options that all their sources have, and batches on a device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
