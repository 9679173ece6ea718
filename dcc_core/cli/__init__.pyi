from .app import (
    RESERVED as RESERVED,
    cli as cli,
    main as main,
    main_run as main_run,
)
from .call import (
    registry_of_call as registry_of_call,
)
from .completion import (
    offer_components as offer_components,
)
from .flags import (
    Flag as Flag,
    add_flags as add_flags,
    with_flags as with_flags,
    with_preview as with_preview,
    with_results as with_results,
    with_resuming as with_resuming,
)
from .guard import (
    GuardedCommand as GuardedCommand,
)
