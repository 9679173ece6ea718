"""Studies: arguments made with runs, and the studies of the paper's claims."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
