"""dcc: dataset condensation.

The public names stand in `__init__.pyi`; each is imported on first use, so that `import dcc_core` costs nothing.

    from dcc_core import condense, score, load_set
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
