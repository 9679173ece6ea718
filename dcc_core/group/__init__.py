"""The processes that share one run, and what each needs of the others. `Alone` is the usual case."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
