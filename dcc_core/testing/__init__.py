"""The rules of every kind of component as tests, for whoever writes one. Needs pytest.

One line opts in; pytest finds the tests that the class inherits:

    from dcc_core.testing import LossConformance

    class TestMine(LossConformance):
        component, options = "mine", {"distance": "cosine"}

Each failure begins with the component and the rule that it breaks. Everything runs on a CPU, on tiny data.

For what a component promises beyond these rules: `job_of` gives a run, `Moment.of` a loss at one of its steps,
and the module `toys` small components to put beside one's own.

Not here yet: that a loss gives the same gradient on several processes. `Step.all_sum` knows one process only; the test
will be `LossConformance.test_several_processes_agree`.
"""

from dcc_core.testing import toys
from dcc_core.testing.architectures import ArchitectureConformance
from dcc_core.testing.augmentations import AugmentationConformance
from dcc_core.testing.base import Conformance, job_of
from dcc_core.testing.data import DataConformance
from dcc_core.testing.formats import FormatConformance
from dcc_core.testing.losses import LossConformance, Moment
from dcc_core.testing.sets import ParametrisationConformance, SelectionConformance
from dcc_core.testing.studies import StudyConformance

__all__ = [
    "ArchitectureConformance",
    "AugmentationConformance",
    "Conformance",
    "DataConformance",
    "FormatConformance",
    "LossConformance",
    "Moment",
    "ParametrisationConformance",
    "SelectionConformance",
    "StudyConformance",
    "job_of",
    "toys",
]
