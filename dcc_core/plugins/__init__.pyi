from .component import (
    KINDS as KINDS,
    Component as Component,
    Kind as Kind,
    find_kind as find_kind,
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
)
from .score import (
    Measured as Measured,
    Robustness as Robustness,
    Score as Score,
)
