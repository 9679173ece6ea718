"""Options of components and of the engine, in layers of settings that become objects. Nothing imports torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
