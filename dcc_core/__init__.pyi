from .api import (
    Architecture as Architecture,
    Augmentation as Augmentation,
    Batch as Batch,
    Classifier as Classifier,
    Format as Format,
    MatchingLoss as MatchingLoss,
    Observer as Observer,
    Parametrisation as Parametrisation,
    Part as Part,
    Schedule as Schedule,
    Selection as Selection,
    State as State,
    Total as Total,
)
from .combine import Warmup as Warmup
from .component import Component as Component
from .conversion import convert as convert
from .data import (
    DataSource as DataSource,
    ImageSet as ImageSet,
    Published as Published,
    RealData as RealData,
)
from .errors import DccError as DccError
from .evaluate import Score as Score
from .exchange import Exported as Exported, Exporting as Exporting, Importing as Importing
from .hookspecs import hookimpl as hookimpl
from .observe import RunInfo as RunInfo, ScoreReport as ScoreReport, StepReport as StepReport
from .python import condense as condense, score as score, score_across as score_across, select as select
from .real import Normalisation as Normalisation, RealImages as RealImages
from .real_training import over_real as over_real, train_on_real as train_on_real
from .registry import Registry as Registry
from .rng import Randomness as Randomness, seeded as seeded
from .run_context import RunContext as RunContext
from .setfile import CondensedSet as CondensedSet, Provenance as Provenance, load_set as load_set
from .step import (
    ClassGradients as ClassGradients,
    Step as Step,
    SummedGradients as SummedGradients,
)
from .synthetic import Synthetic as Synthetic
from .untrusted import read_npz as read_npz, read_tensor as read_tensor, read_torch as read_torch
