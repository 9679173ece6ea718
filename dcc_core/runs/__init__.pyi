from .checkpoint import (
    Checkpoint as Checkpoint,
    load_checkpoint as load_checkpoint,
)
from .checkpointing import (
    Checkpointer as Checkpointer,
)
from .forecast import (
    forecast_run as forecast_run,
)
from .interrupts import (
    Interrupts as Interrupts,
)
from .lock import (
    is_alive as is_alive,
)
from .progress import (
    Progress as Progress,
    Silent as Silent,
)
from .python_api import (
    condense as condense,
    resolve_options as resolve_options,
    score as score,
    score_across as score_across,
    select as select,
    settings_of_set as settings_of_set,
)
from .report import (
    by_architecture as by_architecture,
    confidence as confidence,
    make_report as make_report,
)
from .resume_checks import (
    apply_earlier_budget as apply_earlier_budget,
    find_changes as find_changes,
)
from .run import (
    execute as execute,
)
from .run_folder import (
    CHECKPOINT as CHECKPOINT,
    CONDENSING as CONDENSING,
    METRICS as METRICS,
    REPORT as REPORT,
    SELECTING as SELECTING,
    SNAPSHOTS as SNAPSHOTS,
    UNFINISHED as UNFINISHED,
    RunFolder as RunFolder,
    open_folder as open_folder,
)
from .set_scoring import (
    Scoring as Scoring,
)
from .snapshots import (
    SNAPSHOT_KEY as SNAPSHOT_KEY,
    Pictures as Pictures,
    make_pictures as make_pictures,
)
from .stopwatch import (
    Stopwatch as Stopwatch,
)
