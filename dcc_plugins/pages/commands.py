"""The commands that show runs: `dcc report` and `dcc watch`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import with_preview
from dcc_core.errors import DccError
from dcc_core.plugins import Registry

PLACE = click.Path(path_type=Path)


def _preview(folder: Path, registry: Registry) -> None:
    from dcc_core.cli import show_preview, terminal
    from dcc_plugins.pages.record import read_run

    if pictures := read_run(folder, registry).pictures:
        show_preview(pictures[-1], terminal())


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PLACE)
@click.option("--out", metavar="FILE.html", type=PLACE, default="report.html", show_default=True, help="the page")
@with_preview
@click.option("--overwrite", is_flag=True, help="replace the file at --out")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def report(runs: tuple[Path, ...], out: Path, preview: bool, overwrite: bool, as_json: bool) -> None:
    """Write one page about runs: images over time, curves, scores, options, cost; several runs side by side.

    RUN is the folder of a run, finished or not. The page is one file that needs no network.
    """
    from dcc_core.config import format_size
    from dcc_core.sets import place_atomically
    from dcc_plugins.pages.page import render_page
    from dcc_plugins.pages.record import read_run

    registry = Registry.installed()
    found = [read_run(path, registry) for path in dict.fromkeys(runs)]
    with place_atomically(out, overwrite=overwrite) as place:
        place.write_bytes(render_page(found))
    if as_json:
        click.echo(json.dumps({"out": str(out), "bytes": out.stat().st_size, "runs": [str(r.path) for r in found]}))
        return
    if preview:
        for run in found:
            _preview(run.path, registry)
    click.echo(f"wrote {out}, {format_size(out.stat().st_size)}")


@click.command()
@click.argument("run", metavar="RUN", type=PLACE)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="port on 127.0.0.1  [default: one that is free]")
def watch(run: Path, port: int) -> None:
    """Show a run's page in the browser while the run goes on.

    The page is served to this computer alone, brings itself up to date, and is gone when the run ends; `dcc report`
    makes one that stays.
    """
    from dcc_core.runs import is_alive
    from dcc_plugins.pages.live import Watched, serve_page, until_the_end
    from dcc_plugins.pages.record import read_run

    registry = Registry.installed()
    found = read_run(run, registry)
    if not is_alive(run):
        raise DccError(f"no process is at work in '{run}', whose run is {found.state}; dcc report '{run}' shows it")
    with serve_page(Watched(run, registry), port) as server:
        click.echo(f"watching {run} at http://{server.server_address[0]!s}:{server.server_port}/ (Ctrl-C ends it)")
        until_the_end(run, server)
    click.echo(f"the run has ended: it is {read_run(run, registry).state}")
