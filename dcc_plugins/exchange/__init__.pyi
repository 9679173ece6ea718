from .conversion import Conversion as Conversion, convert as convert, export_set as export_set, import_set as import_set
from .formats import (
    LOGITS as LOGITS,
    RAW as RAW,
    TARGETS as TARGETS,
    Exported as Exported,
    Exporting as Exporting,
    Format as Format,
    Importing as Importing,
    LabelKind as LabelKind,
    Space as Space,
)
from .safe_loading import read_npz as read_npz, read_tensor as read_tensor, read_torch as read_torch
