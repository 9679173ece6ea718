"""How networks are trained from scratch on images and tested on real ones. Protocols say how."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
