"""Many small JPEGs: seconds of the first and of the second start, and the memory of each.

    python benchmarks/pictures.py FOLDER [--count 100000]

Writes the pictures below FOLDER if they are not there. Each start is a process of its own that loads them, with their
statistics, and reads 256 of them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
from PIL import Image

START = """
import json, resource, sys, time
from pathlib import Path
from dcc_plugins.data.folder import ImageFolder
start = time.perf_counter()
data = ImageFolder(path=Path(sys.argv[1])).load(root=Path(sys.argv[2]), download=False, progress=False)
data.train.images[:256].float().mean()
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"images": len(data.train.labels) + len(data.test.labels), "seconds": seconds, "peak": peak}))
"""


def write_pictures(folder: Path, count: int) -> None:
    """JPEGs of 32×32 in a hundred classes."""
    rng = np.random.default_rng(0)
    for k in range(100):
        (folder / f"class{k:02}").mkdir(parents=True)
        for i in range(count // 100):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{k:02}" / f"{i:05}.jpg")


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--count", default=100_000, show_default=True)
def main(folder: Path, count: int) -> None:
    photos, root = folder / "photos", folder / "root"
    if not photos.exists():
        write_pictures(photos, count)
    shutil.rmtree(root, ignore_errors=True)
    for _ in range(2):
        words = [sys.executable, "-c", START, str(photos), str(root)]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        click.echo(f"{found['images']} images: {found['seconds']:.1f} s, {found['peak'] / 1e9:.2f} GB at most")


if __name__ == "__main__":
    main()
