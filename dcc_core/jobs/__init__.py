"""A configuration with its data loaded: what condensing, selecting and scoring share. Nothing writes a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
