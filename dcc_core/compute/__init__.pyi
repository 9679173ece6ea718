from .allocator import (
    keep_freed_memory as keep_freed_memory,
)
from .chunks import (
    Chunks as Chunks,
    Footprint as Footprint,
)
from .compiler import (
    OFF as OFF,
    Compiler as Compiler,
)
from .criterion import (
    CRITERIA as CRITERIA,
    Criterion as Criterion,
    Tempered as Tempered,
    cross_entropy as cross_entropy,
)
from .descent import (
    descend as descend,
)
from .device import (
    can_fork as can_fork,
    find_device as find_device,
    send as send,
    widest as widest,
)
from .double_backward import (
    PlainOperations as PlainOperations,
    missing_derivative as missing_derivative,
    refuse_hidden_errors as refuse_hidden_errors,
)
from .graphs import (
    NO_GRAPHS as NO_GRAPHS,
    Graphs as Graphs,
)
from .memory import (
    COPIES as COPIES,
    IMAGES_AT_ONCE as IMAGES_AT_ONCE,
    PROGRAM_BYTES as PROGRAM_BYTES,
    WORKER_BYTES as WORKER_BYTES,
    own_peak as own_peak,
    peak_memory as peak_memory,
    process_memory as process_memory,
    record_worker_memory as record_worker_memory,
    reset_peak as reset_peak,
    reset_process_peak as reset_process_peak,
)
from .normalisation import (
    group_norm as group_norm,
)
from .optimisers import (
    IMAGE_OPTIMISERS as IMAGE_OPTIMISERS,
    load_optimiser_state as load_optimiser_state,
    optimiser_state as optimiser_state,
)
from .precision import (
    DTYPES as DTYPES,
    Autocast as Autocast,
    in_precision as in_precision,
)
from .random import (
    Randomness as Randomness,
    seeded as seeded,
)
from .structure import (
    structure_of as structure_of,
)
