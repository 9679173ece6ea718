"""Jobs: a configuration with its data loaded, ready to condense, select and score. Nothing here writes a file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
