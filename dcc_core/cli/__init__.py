"""The command line: the group of all commands, and the flags, tables and progress that commands share."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
