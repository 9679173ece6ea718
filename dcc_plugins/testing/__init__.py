"""The rules of formats, studies and tables as tests, beside those of `dcc_core.testing`. Needs pytest.

from dcc_plugins.testing import StudyConformance

class TestMine(StudyConformance):
    component, options = "mine", {"seeds": 1}
"""

from dcc_plugins.testing.formats import FormatConformance
from dcc_plugins.testing.studies import StudyConformance
from dcc_plugins.testing.tables import TableConformance

__all__ = ["FormatConformance", "StudyConformance", "TableConformance"]
