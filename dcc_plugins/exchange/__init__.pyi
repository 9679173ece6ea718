from .conversion import Conversion as Conversion, convert as convert, export_set as export_set, import_set as import_set
from .formats import (
    Exported as Exported,
    Exporting as Exporting,
    Format as Format,
    Importing as Importing,
    Space as Space,
)
from .labels import LOGITS as LOGITS, RAW as RAW, TARGETS as TARGETS, LabelKind as LabelKind
from .safe_loading import read_npz as read_npz, read_tensor as read_tensor, read_torch as read_torch
