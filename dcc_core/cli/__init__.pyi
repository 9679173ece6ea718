from .app import (
    cli as cli,
    main as main,
    main_run as main_run,
)
from .call import (
    registry_of_call as registry_of_call,
)
from .display import (
    Display as Display,
    print_table as print_table,
    printable as printable,
    terminal as terminal,
)
from .flags import (
    RUN_FLAGS as RUN_FLAGS,
    Flag as Flag,
    add_flags as add_flags,
    settings_of_run as settings_of_run,
    with_flags as with_flags,
    with_preview as with_preview,
    with_results as with_results,
    with_resuming as with_resuming,
)
from .guard import (
    GuardedCommand as GuardedCommand,
)
from .preview import (
    show_preview as show_preview,
    shrink_images as shrink_images,
)
from .run_command import (
    run as run,
    show_result as show_result,
)
