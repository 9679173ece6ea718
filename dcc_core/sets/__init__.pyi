from .atomic_files import (
    TEMPORARY as TEMPORARY,
    place_atomically as place_atomically,
    write_atomically as write_atomically,
)
from .condensed_set import (
    METADATA_KEY as METADATA_KEY,
    WHITENED as WHITENED,
    CondensedSet as CondensedSet,
    Provenance as Provenance,
    normalisation_of as normalisation_of,
    normalise_stored as normalise_stored,
    training_images as training_images,
)
from .conversion import (
    convert as convert,
    import_set as import_set,
)
from .decoding import (
    check_fits as check_fits,
    decode_set as decode_set,
    images_to_show as images_to_show,
    stretch as stretch,
)
from .formats import (
    LOGITS as LOGITS,
    Exported as Exported,
    Exporting as Exporting,
    Format as Format,
    Importing as Importing,
)
from .grid import (
    draw_grid as draw_grid,
)
from .safe_loading import (
    read_npz as read_npz,
    read_tensor as read_tensor,
    read_torch as read_torch,
)
from .set_file import (
    load_set as load_set,
)
