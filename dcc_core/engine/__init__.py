"""Algorithm 1 and what it needs: matching loss, step, gradients, network training. Begin with `algorithm`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
