from .component import (
    KINDS as KINDS,
    Component as Component,
    Kind as Kind,
)
from .events import (
    Observer as Observer,
    RunInfo as RunInfo,
    ScoreReport as ScoreReport,
    StepReport as StepReport,
)
from .hookspecs import (
    hookimpl as hookimpl,
)
from .lookup import (
    Found as Found,
    Origin as Origin,
    Provided as Provided,
)
from .registry import (
    PYTHON as PYTHON,
    Registry as Registry,
    find_kind as find_kind,
)
from .score import (
    Measured as Measured,
    Robustness as Robustness,
    Score as Score,
)
