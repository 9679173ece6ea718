"""Size of a report's page, the time to write it, and the time in which Chromium opens it, by number of classes.

    python benchmarks/page.py [--per-class 10] [--moments 12]

The images are 32×32 noise in colour, the worst case: no format makes them smaller. Prints a table; exits with 1 where a page
is not below 20 MB or does not open in three seconds (the best of three times; opened as a file, until the load event).
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

from dcc_core.page import page
from dcc_core.record import read_run

SIZES = (10, 100, 1000)
BYTES, SECONDS = 20_000_000, 3.0
OPENED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
ELEMENTS = "document.querySelectorAll('*').length"


@click.command()
@click.option("--per-class", default=10, help="images of a class")
@click.option("--moments", default=12, help="snapshots of the run")
def main(per_class: int, moments: int) -> None:
    click.echo("| classes | written in, s | size, MB | opens in, s | elements | shown |\n|---|---|---|---|---|---|")
    kept = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for classes in SIZES:
            run = large(Path(folder) / f"{classes}", classes, per_class, moments)
            begin = time.perf_counter()
            content = page([read_run(run, registry_of())])
            written = time.perf_counter() - begin
            (file := run / "page.html").write_bytes(content)
            times = []
            for _ in range(3):
                tab = browser.new_page()
                tab.goto(file.as_uri())
                times.append(tab.evaluate(OPENED))
            notes = " ".join(tab.locator("#images .note").all_inner_texts()) or "lossless, every moment"
            size = len(content) / 1e6
            click.echo(f"| {classes} | {written:.1f} | {size:.1f} | {min(times):.2f} | {tab.evaluate(ELEMENTS)} | {notes} |")
            kept.append(len(content) < BYTES and min(times) < SECONDS)
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
