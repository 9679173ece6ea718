"""Data sets as `datasets` writes them: pictures of one grey each, so that a test knows them again."""

import numpy as np
from PIL import Image as Picture


def picture(value, size=(6, 6)):
    return Picture.fromarray(np.full((*size, 3), value, np.uint8))


def write_split(folder, split, numbers, **columns):
    """A Parquet file of one split, a row for each number: `image`, and `label`, which is `ant` or `bee`.

    columns: others, or these in another way, functions of the number; none: without it.
    """
    import datasets

    own = {"image": picture, "label": lambda i: i % 2, **columns}
    rows = {name: [make(i) for i in numbers] for name, make in own.items() if make}
    kinds = {"image": datasets.Image(), "mask": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])}
    values = {name: datasets.Value("string" if isinstance(rows[name][0], str) else "int64") for name in rows}
    features = datasets.Features({name: kinds.get(name, values[name]) for name in rows})
    place = folder / "data" / f"{split}-00000-of-00001.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(place)
