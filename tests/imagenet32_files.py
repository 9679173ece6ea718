"""Small files in both forms of the downsampled ImageNet."""

import pickle

import numpy as np

from dcc_plugins.data.imagenet32 import TRAIN

LIZARD = range(463, 474)


def batches(side=8, rows=60, seed=0):
    """Eleven batches of random images; labels of lizards and of other classes."""
    generator = np.random.default_rng(seed)
    for name in (*TRAIN, "val_data"):
        x = generator.integers(0, 256, (rows, 3 * side * side), dtype=np.uint8)
        yield name, x, generator.choice([*LIZARD, 1, 2, 1000], rows)


def write_imagenet32(folder, form="npz", side=8, **how):
    folder.mkdir(parents=True, exist_ok=True)
    for name, x, y in batches(side, **how):
        if form == "npz":
            np.savez(folder / f"{name}.npz", data=x, labels=y, mean=x.mean(0))
        else:
            content = {"data": x, "labels": y.tolist(), "mean": x.mean(0)}
            with open(folder / name, "wb") as file:
                pickle.dump(content, file, protocol=int(form[-1]))
    return folder
