from .compute import (
    Footprint as Footprint,
    Randomness as Randomness,
    peak_memory as peak_memory,
    seeded as seeded,
    send as send,
)
from .data import (
    Batch as Batch,
    DataSource as DataSource,
    ImageSet as ImageSet,
    Normalisation as Normalisation,
    Published as Published,
    RealData as RealData,
    RealImages as RealImages,
)
from .engine import (
    Architecture as Architecture,
    Augmentation as Augmentation,
    ClassGradients as ClassGradients,
    Classifier as Classifier,
    MatchingLoss as MatchingLoss,
    Parametrisation as Parametrisation,
    Part as Part,
    Rows as Rows,
    RunContext as RunContext,
    Schedule as Schedule,
    Selection as Selection,
    State as State,
    Step as Step,
    SummedGradients as SummedGradients,
    Synthetic as Synthetic,
    Total as Total,
    epoch_order as epoch_order,
    shuffled_batches as shuffled_batches,
)
from .errors import DccError as DccError
from .plugins import (
    Component as Component,
    Observer as Observer,
    Registry as Registry,
    RunInfo as RunInfo,
    Score as Score,
    ScoreReport as ScoreReport,
    StepReport as StepReport,
    hookimpl as hookimpl,
)
from .runs import condense as condense, score as score, score_across as score_across, select as select
from .scoring import over_real as over_real, train_on_real as train_on_real
from .sets import (
    CondensedSet as CondensedSet,
    Provenance as Provenance,
    load_set as load_set,
)
