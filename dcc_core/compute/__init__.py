"""The machine: devices, precision, memory, the number of images in a pass, and addressed random numbers.

Nothing here knows data sets or losses.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
