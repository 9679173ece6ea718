"""Tables and sweeps: grids of runs, resumable, on this machine or several; and the tables of the paper."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
