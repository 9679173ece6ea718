from .display import (
    Display as Display,
    print_table as print_table,
    printable as printable,
    terminal as terminal,
)
from .preview import (
    Preview as Preview,
    show_preview as show_preview,
    shrink_images as shrink_images,
)
from .results import (
    NONE as NONE,
    SPREADS as SPREADS,
    percent as percent,
    result_table as result_table,
)
