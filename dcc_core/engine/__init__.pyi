from .algorithm import (
    Network as Network,
    OnStep as OnStep,
    SaveState as SaveState,
    optimise as optimise,
)
from .architecture import (
    Architecture as Architecture,
    Classifier as Classifier,
)
from .augmentation import (
    Augmentation as Augmentation,
    apply_draws as apply_draws,
)
from .batch_statistics import (
    batch_norm_layers as batch_norm_layers,
)
from .contracts import (
    as_batch as as_batch,
    check_decoded as check_decoded,
    check_picked as check_picked,
    check_stored as check_stored,
    describe_value as describe_value,
)
from .divergence import (
    state_of as state_of,
)
from .grouped_gradients import (
    supports_grouping as supports_grouping,
)
from .image_update import (
    SECOND_BACKWARD as SECOND_BACKWARD,
    read_updates as read_updates,
    start_update as start_update,
    update as update,
)
from .matching_loss import (
    MatchingLoss as MatchingLoss,
    Part as Part,
    Schedule as Schedule,
    State as State,
    Total as Total,
)
from .network_training import (
    TrainingImages as TrainingImages,
    epoch_order as epoch_order,
    shuffled_batches as shuffled_batches,
    train_epoch as train_epoch,
    train_stack_epoch as train_stack_epoch,
)
from .parametrisation import (
    SHARED as SHARED,
    Parametrisation as Parametrisation,
)
from .resume_state import (
    ResumeState as ResumeState,
)
from .run_context import (
    RunContext as RunContext,
)
from .selection import (
    Rows as Rows,
    Selection as Selection,
)
from .step import (
    ClassGradients as ClassGradients,
    Step as Step,
    SummedGradients as SummedGradients,
)
from .synthetic import (
    Synthetic as Synthetic,
)
