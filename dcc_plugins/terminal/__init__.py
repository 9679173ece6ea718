"""What commands show: progress and log lines, tables of accuracies, and the images of `--preview`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
