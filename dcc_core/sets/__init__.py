"""Condensed sets and their files: writing, reading, decoding, and the formats of other tools."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
