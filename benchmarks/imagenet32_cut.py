"""Peak memory and time of cutting a group out of ImageNet32, on generated files of the full size.

    python benchmarks/imagenet32_cut.py [--form npz|pickle] [--rows 128116] [--group insect]

Writes ten training batches of random pixels (4 GB) to a temporary folder, cuts the group in a process of its own, and
starts once more from the cache. Prints JSON; exits with 1 where the peak is not below 1.5 GB.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

LIMIT = 1.5e9

LOAD = """
import json, resource, sys, time
from pathlib import Path
import torch, torchvision
from dcc_plugins.data.imagenet32 import ImageNet32
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
start = time.perf_counter()
data = ImageNet32(group=sys.argv[2]).load(root=Path(sys.argv[1]), download=False, progress=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": round(time.perf_counter() - start, 2), "images": len(data.train.labels),
                  "bytes_of_images": data.train.images.numel() + data.test.images.numel(),
                  "peak_bytes": peak, "peak_bytes_before": before}))
"""


def write(folder: Path, form: str, rows: int) -> None:
    generator = np.random.default_rng(0)
    for name in [f"train_data_batch_{i}" for i in range(1, 11)] + ["val_data"]:
        n = rows if name != "val_data" else 50_000
        x, y = generator.integers(0, 256, (n, 3072), dtype=np.uint8), generator.integers(1, 1001, n)
        if form == "npz":
            np.savez(folder / f"{name}.npz", data=x, labels=y)
        else:
            with open(folder / name, "wb") as file:
                pickle.dump({"data": x, "labels": y.tolist()}, file, protocol=3)


@click.command()
@click.option("--form", type=click.Choice(["npz", "pickle"]), default="npz")
@click.option("--rows", default=128_116, help="rows of each training batch")
@click.option("--group", default="insect")
def main(form: str, rows: int, group: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), form, rows)
        runs = {}
        for name in ("cut", "from cache"):
            done = subprocess.run(
                [sys.executable, "-c", LOAD, folder, group], capture_output=True, text=True, check=True
            )
            runs[name] = json.loads(done.stdout)
    click.echo(json.dumps({"form": form, "rows": 10 * rows, "group": group, **runs}, indent=2))
    sys.exit(max(run["peak_bytes"] for run in runs.values()) >= LIMIT)


if __name__ == "__main__":
    main()
