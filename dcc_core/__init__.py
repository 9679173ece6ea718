"""dcc: dataset condensation.

`__init__.pyi` lists the public names. Each is imported on first use, so that `import dcc_core` costs nothing.

    from dcc_core import condense, score, load_set
"""

import lazy_loader

from dcc_core.renamed import forward

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = forward(
    __name__,
    {name: f"dcc_plugins.studies:{name}" for name in ("Bench", "Findings", "Study")}
    | {name: f"dcc_plugins.exchange:{name}" for name in ("Exported", "Exporting", "Format", "Importing")}
    | {name: f"dcc_plugins.exchange:{name}" for name in ("convert", "read_npz", "read_tensor", "read_torch")}
    | {"Warmup": "dcc_plugins.warmup:Warmup"},
    __getattr__,
)
