"""Exchange with other tools: their formats are read into set files and written from them, and nothing of theirs is executed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
