"""The command line: the group of all commands, and the flags and completion that commands share."""

import lazy_loader

from dcc_core.renamed import forward

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = forward(
    __name__,
    {
        **{name: f"dcc_plugins.terminal:{name}" for name in ("Display", "print_table", "printable", "terminal")},
        **{name: f"dcc_plugins.commands.run:{name}" for name in ("RUN_FLAGS", "run", "show_result")},
    },
    __getattr__,
)
