"""The rules of every kind of component as tests, for whoever writes one. Needs pytest.

One line opts in; pytest finds the tests that the class inherits:

    from dcc_core.testing import LossConformance

    class TestMine(LossConformance):
        component, options = "mine", {"distance": "cosine"}

Each failure begins with the component and the rule that it breaks. Everything runs on tiny data, on a CPU unless
the environment names another device, e.g. DCC_TEST_DEVICE=cuda.

For what a component promises beyond these rules: `job_of` gives a run, `Moment.of` a loss at one of its steps,
`in_processes` and `learned` runs on several processes, and the module `toys` small components to put beside one's own.
"""

from dcc_core.renamed import forward
from dcc_core.testing import toys
from dcc_core.testing.architectures import ArchitectureConformance
from dcc_core.testing.augmentations import AugmentationConformance
from dcc_core.testing.base import Conformance, job_of
from dcc_core.testing.commands import CommandConformance
from dcc_core.testing.data import DataConformance
from dcc_core.testing.losses import LossConformance, Moment
from dcc_core.testing.observers import ObserverConformance
from dcc_core.testing.processes import in_processes, learned
from dcc_core.testing.randomness import generator, global_seeds, left_alone
from dcc_core.testing.recipes import RecipeConformance
from dcc_core.testing.sets import ParametrisationConformance, SelectionConformance

__all__ = [
    "ArchitectureConformance",
    "AugmentationConformance",
    "CommandConformance",
    "Conformance",
    "DataConformance",
    "LossConformance",
    "Moment",
    "ObserverConformance",
    "ParametrisationConformance",
    "RecipeConformance",
    "SelectionConformance",
    "generator",
    "global_seeds",
    "in_processes",
    "job_of",
    "learned",
    "left_alone",
    "toys",
]

__getattr__ = forward(
    __name__,
    {name: f"dcc_plugins.testing:{name}" for name in ("FormatConformance", "StudyConformance", "TableConformance")},
)
