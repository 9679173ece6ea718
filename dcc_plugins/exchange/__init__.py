"""Exchange of sets with other tools: read their files into set files and back; no code in a file is executed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
