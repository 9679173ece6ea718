from .in_processes import (
    run_in_processes as run_in_processes,
    start_workers as start_workers,
    worker_count as worker_count,
)
from .protocols import (
    PROTOCOLS as PROTOCOLS,
)
from .real_training import (
    over_real as over_real,
    train_on_real as train_on_real,
)
from .robustness import (
    COMPOSITES as COMPOSITES,
    Measurement as Measurement,
    measurements as measurements,
)
from .scorer import (
    Scorer as Scorer,
    Watch as Watch,
    measure_accuracy as measure_accuracy,
)
from .stack import (
    Stack as Stack,
)
