from .builder import (
    BUILTIN as BUILTIN,
    DEFAULT_NAMES as DEFAULT_NAMES,
    ENGINE_SECTIONS as ENGINE_SECTIONS,
    KIND_OF_KEY as KIND_OF_KEY,
    Builder as Builder,
    named_groups as named_groups,
)
from .option_groups import (
    EXTENT as EXTENT,
    FREE as FREE,
    MACHINE as MACHINE,
    without_places as without_places,
)
from .options import (
    REQUIRED as REQUIRED,
    Option as Option,
    flatten as flatten,
    own_options as own_options,
    plain as plain,
    schema as schema,
)
from .quantities import (
    format_duration as format_duration,
    format_size as format_size,
    parse_duration as parse_duration,
    parse_size as parse_size,
)
from .run_options import (
    RunOptions as RunOptions,
    ScoreOptions as ScoreOptions,
)
from .settings import (
    Rank as Rank,
    Setting as Setting,
    Settings as Settings,
    as_toml as as_toml,
    settings_of_run as settings_of_run,
)
