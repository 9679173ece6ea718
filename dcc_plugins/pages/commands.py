"""The commands `dcc report` and `dcc watch`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import registry_of_call, with_preview
from dcc_core.errors import DccError
from dcc_core.plugins import Registry

PLACE = click.Path(path_type=Path)


def _preview(folder: Path, registry: Registry) -> None:
    from dcc_plugins.pages.record import read_run
    from dcc_plugins.terminal import show_preview, terminal

    if pictures := read_run(folder, registry).pictures:
        show_preview(pictures[-1], terminal())


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PLACE)
@click.option("--out", metavar="FILE.html", type=PLACE, default="report.html", show_default=True, help="the page")
@with_preview
@click.option("--overwrite", is_flag=True, help="replace the file at --out")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def report(runs: tuple[Path, ...], out: Path, preview: bool, overwrite: bool, as_json: bool) -> None:
    """Write an HTML page about runs: images over time, curves, scores, options, cost; several runs side by side.

    RUN is a run folder, finished or not. The page is a single file and needs no network.
    """
    from dcc_core.config import format_size
    from dcc_plugins.pages.page import render_page
    from dcc_plugins.pages.record import read_run
    from dcc_plugins.placing import place_atomically

    registry = registry_of_call()
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
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="port on 127.0.0.1  [default: a free one]")
def watch(run: Path, port: int) -> None:
    """Serve a run's page for the browser while the run continues.

    The page is only reachable from this computer and updates itself. Serving ends with the run; `dcc report` writes a
    permanent page.
    """
    from dcc_core.runs import is_alive
    from dcc_plugins.pages.live import LivePage, serve_page, wait_for_end
    from dcc_plugins.pages.record import read_run

    registry = registry_of_call()
    found = read_run(run, registry)
    if not is_alive(run):
        raise DccError(f"no process is running in '{run}', its run is {found.state}; use dcc report '{run}'")
    with serve_page(LivePage(run, registry), port) as server:
        click.echo(f"watching {run} at http://{server.server_address[0]!s}:{server.server_port}/ (stop with Ctrl-C)")
        wait_for_end(run, server)
    click.echo(f"the run has ended: it is {read_run(run, registry).state}")
