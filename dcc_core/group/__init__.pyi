from .group import (
    ALONE as ALONE,
    Group as Group,
)
from .launch import (
    current_group as current_group,
    is_launched as is_launched,
    is_speaker as is_speaker,
)
from .torch_distributed import (
    Processes as Processes,
)
