"""2,000 photographs of 224 pixels, end to end: does composing keep to its forecast, and below 4 GB?

    python benchmarks/photos_224.py [--work FOLDER] [--out benchmarks/results/photos_224.md]

Writes a folder of generated JPEG files: ten classes, each of 160 images to train on and 40 to test on, in several
sizes. `dcc select --recipe rded` with a small teacher reads, composes, labels and scores them. The forecast is the line
that the run logs before it begins.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

CLASSES, TRAIN, TEST = 10, 160, 40
OPTIONS = [
    *("data.size=224", "arch=convnet", "arch.width=16", "arch.depth=5", "arch.norm=batch"),
    *("selection.teacher_epochs=2", "selection.teacher_batch=32", "selection.epochs=100", "selection.of.candidates=60"),
    *("score.baseline=false", "score.nets=1", "run.sets=1", "run.ipc=1"),
]


def write_photographs(folder: Path) -> None:
    """Waves in a class's colours and direction, with noise: 224 to 320 pixels a side."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        for part, count in (("train", TRAIN), ("test", TEST)):
            place = folder / part / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                height, width = rng.integers(224, 320, 2)
                y, x = np.mgrid[0:height, 0:width] / 224
                angle, phase = label * np.pi / CLASSES + rng.normal(0, 0.05), rng.uniform(0, 6)
                wave = np.sin(2 * np.pi * 6 * (x * np.cos(angle) + y * np.sin(angle)) + phase)[..., None]
                colour = np.array([np.sin(label), np.cos(label), np.sin(2 * label)])
                pixels = 128 + 60 * wave + 30 * colour + rng.normal(0, 20, (height, width, 3))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{number}.jpg", quality=90)


@click.command()
@click.option("--work", default=Path("photos-224"), type=click.Path(path_type=Path))
@click.option("--out", default=Path(__file__).parent / "results" / "photos_224.md", type=click.Path(path_type=Path))
def main(work: Path, out: Path) -> None:
    if not (work / "photos").exists():
        write_photographs(work / "photos")
    command = [sys.executable, "-m", "dcc_core", "select", "--recipe", "rded", "--data", f"folder:{work / 'photos'}"]
    command += ["--data-root", str(work / "root"), "--out", str(work / "run"), "--overwrite", "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, *(w for o in OPTIONS for w in ("-o", o))], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException(done.stderr)
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout.splitlines()[-1])
    (minutes, gigabytes) = re.findall(r"will take about ([\d.]+) min, ([\d.]+) GB", done.stderr)[0]
    rows = [
        ("teacher, images and labels, minutes", minutes, f"{report['seconds']['select'] / 60:.1f}"),
        ("memory, GB", gigabytes, f"{report['peak_memory_bytes'] / 1e9:.2f}"),
    ]
    text = ["# 2,000 photographs of 224 pixels", "", "Written by `python benchmarks/photos_224.py`.", ""]
    text += ["| | forecast | measured |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows), ""]
    text += [
        f"In all {seconds / 60:.1f} minutes, {(used.ru_utime + used.ru_stime) / 60:.1f} CPU minutes, with scoring: "
        f"{100 * report['accuracy']['condensed']['mean']:.1f} % with soft labels, "
        f"{100 * report['accuracy']['hard']['mean']:.1f} % with hard ones."
    ]
    out.write_text("\n".join(text) + "\n")
    click.echo("\n".join(text))


if __name__ == "__main__":
    main()
