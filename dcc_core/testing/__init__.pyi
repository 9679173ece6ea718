from . import toys as toys
from .architectures import (
    ArchitectureConformance as ArchitectureConformance,
)
from .augmentations import (
    AugmentationConformance as AugmentationConformance,
)
from .base import (
    Conformance as Conformance,
    job_of as job_of,
)
from .commands import (
    CommandConformance as CommandConformance,
)
from .data import (
    DataConformance as DataConformance,
)
from .losses import (
    LossConformance as LossConformance,
    Moment as Moment,
    remaining_objective as remaining_objective,
)
from .manifest_import import (
    import_alone as import_alone,
)
from .observers import (
    ObserverConformance as ObserverConformance,
)
from .processes import (
    in_processes as in_processes,
    learned as learned,
)
from .randomness import (
    generator as generator,
    global_seeds as global_seeds,
    left_alone as left_alone,
)
from .recipes import (
    RecipeConformance as RecipeConformance,
)
from .sets import (
    ParametrisationConformance as ParametrisationConformance,
    SelectionConformance as SelectionConformance,
)
