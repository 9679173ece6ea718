from .api import (
    Architecture as Architecture,
)
from .api import (
    Augmentation as Augmentation,
)
from .api import (
    Batch as Batch,
)
from .api import (
    DataSource as DataSource,
)
from .api import (
    ImageSet as ImageSet,
)
from .api import (
    MatchingLoss as MatchingLoss,
)
from .api import (
    Parametrisation as Parametrisation,
)
from .api import (
    Part as Part,
)
from .api import (
    RealData as RealData,
)
from .api import (
    Schedule as Schedule,
)
from .api import (
    Selection as Selection,
)
from .api import (
    State as State,
)
from .api import (
    Total as Total,
)
from .combine import Warmup as Warmup
from .component import Component as Component
from .errors import DccError as DccError
from .evaluate import Score as Score
from .hookspecs import hookimpl as hookimpl
from .observe import RunInfo as RunInfo
from .observe import ScoreReport as ScoreReport
from .observe import StepReport as StepReport
from .python import condense as condense
from .python import score as score
from .registry import Registry as Registry
from .rng import Randomness as Randomness
from .rng import seeded as seeded
from .setfile import CondensedSet as CondensedSet
from .setfile import load_set as load_set
from .step import RunContext as RunContext
from .step import Step as Step
from .synthetic import Synthetic as Synthetic
