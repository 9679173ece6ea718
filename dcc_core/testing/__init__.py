"""The rules of every kind of component as tests, for whoever writes one. Its classes need pytest.

One line opts in; pytest finds the tests that the class inherits:

    from dcc_core.testing import LossConformance

    class TestMine(LossConformance):
        component, options = "mine", {"distance": "cosine"}

Each failure begins with the component and the rule that it breaks. Everything runs on tiny data, on a CPU unless
the environment names another device, e.g. DCC_TEST_DEVICE=cuda.

For what a component promises beyond these rules: `job_of` gives a run, `Moment.of` a loss at one of its steps,
`remaining_objective` what a run leaves of an objective, `in_processes` and `learned` runs on several processes, and the
module `toys` small components to put beside one's own.
"""

import lazy_loader

from dcc_core.renamed import forward

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.remove("toys")  # pyright: ignore[reportUnsupportedDunderAll], it is a module, and lent as one
__getattr__ = forward(
    __name__,
    {name: f"dcc_plugins.testing:{name}" for name in ("FormatConformance", "StudyConformance", "TableConformance")},
    __getattr__,
)
