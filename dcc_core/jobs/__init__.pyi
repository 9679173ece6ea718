from .configuration import (
    Config as Config,
    Entries as Entries,
    budget_origin as budget_origin,
    entries_of as entries_of,
    resolve as resolve,
    versions_of as versions_of,
)
from .coreset import (
    coreset_provenance as coreset_provenance,
    select_coreset as select_coreset,
)
from .job import (
    Job as Job,
    Start as Start,
)
from .measurements import (
    Measurer as Measurer,
    Work as Work,
    score_set as score_set,
    work_for_curve as work_for_curve,
    work_on_all_images as work_on_all_images,
)
from .starting_images import (
    check_partial as check_partial,
)
