"""The machine: devices, precision, memory, images in a pass, addressed random numbers. It knows no data or loss."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
