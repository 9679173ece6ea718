from .atomic_files import (
    TEMPORARY as TEMPORARY,
    write_atomically as write_atomically,
)
from .condensed_set import (
    CPU as CPU,
    CROPS as CROPS,
    METADATA_KEY as METADATA_KEY,
    WHITENED as WHITENED,
    CondensedSet as CondensedSet,
    Provenance as Provenance,
    normalisation_of as normalisation_of,
    normalise_stored as normalise_stored,
    training_images as training_images,
)
from .decoding import (
    check_fits as check_fits,
    decode_set as decode_set,
    images_to_show as images_to_show,
    stretch as stretch,
)
from .grid import (
    draw_grid as draw_grid,
)
from .set_file import (
    check_set as check_set,
    find_set as find_set,
    load_set as load_set,
)
