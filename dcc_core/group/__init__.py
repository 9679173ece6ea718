"""The processes that share one run: what one process needs of the others.

`Alone` is the usual case and imports no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
