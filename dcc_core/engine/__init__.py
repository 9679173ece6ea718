"""Algorithm 1 and what it needs: the matching loss, the step that it sees, gradients, training of the network.

Begin with `algorithm`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
