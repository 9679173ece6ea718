"""Condensed sets and their files. A file is written whole, read without executing anything, and decoded."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
