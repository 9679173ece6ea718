"""Options: of components, of the engine and of scoring, in layers of settings that become objects.

Nothing here imports torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
