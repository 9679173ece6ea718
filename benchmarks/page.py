"""A report's page by number of classes: its size, the time to write it, and the time in which Chromium opens it.

    python benchmarks/page.py [--per-class 10] [--moments 12]

The images are 32×32 noise in colour, the worst case: no format makes them smaller. Prints a table, with what one
snapshot of a run costs; exits with 1 where a page is not below 20 MB or does not open in three seconds (as a file,
until the load event, the best of three times).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from shown_runs import large, registry_of

from dcc_core.runs.snapshots import make_pictures, to_bytes
from dcc_core.sets.atomic_files import write_atomically
from dcc_core.sets.set_file import load_set
from dcc_plugins.pages.page import render_page
from dcc_plugins.pages.record import read_run

SIZES = (10, 100, 1000)
BYTES, SECONDS = 20_000_000, 3.0
OPENED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
ELEMENTS = "document.querySelectorAll('*').length"


@click.command()
@click.option("--per-class", default=10, help="images of a class")
@click.option("--moments", default=12, help="snapshots of the run")
def main(per_class: int, moments: int) -> None:
    names = ("classes", "written in, s", "size, MB", "opens in, s", "elements", "a snapshot, ms", "MB", "shown")
    click.echo(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    kept = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for classes in SIZES:
            run = large(Path(folder) / f"{classes}", classes, per_class, moments)
            begin = time.perf_counter()
            content = render_page([read_run(run, registry_of())])
            written = time.perf_counter() - begin
            (file := run / "page.html").write_bytes(content)
            times = []
            for _ in range(3):
                tab = browser.new_page()
                tab.goto(file.as_uri())
                times.append(tab.evaluate(OPENED))
            notes = " ".join(tab.locator("#images .note").all_inner_texts()) or "lossless, every moment"
            size, elements = len(content) / 1e6, tab.evaluate(ELEMENTS)
            s, begin = load_set(run / "set.safetensors"), time.perf_counter()
            write_atomically(run / "again", to_bytes(make_pictures(s, registry_of(), 0)))
            snapshot, weight = 1000 * (time.perf_counter() - begin), (run / "again").stat().st_size / 1e6
            numbers = (
                f"{written:.1f}",
                f"{size:.1f}",
                f"{min(times):.2f}",
                elements,
                f"{snapshot:.0f}",
                f"{weight:.1f}",
            )
            click.echo(f"| {classes} | {' | '.join(map(str, numbers))} | {notes} |")
            kept.append(len(content) < BYTES and min(times) < SECONDS)
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
