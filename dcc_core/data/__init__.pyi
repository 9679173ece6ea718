from .batch import (
    Batch as Batch,
)
from .images import (
    DataSource as DataSource,
    ImageSet as ImageSet,
    Published as Published,
    RealData as RealData,
    Statistics as Statistics,
)
from .real import (
    Normalisation as Normalisation,
    RealImages as RealImages,
)
from .source_options import (
    load_data as load_data,
)
