"""The command `dcc cache`."""

from __future__ import annotations

from pathlib import Path

import click
import platformdirs

from dcc_core.cli import GuardedCommand
from dcc_plugins.data.picture_cache import FOLDER


@click.command(cls=GuardedCommand)
@click.option(
    "--data-root", type=click.Path(path_type=Path), help="folder for data sets; none: the user's cache folder"
)
@click.option("--clear", is_flag=True, help="remove them")
def cache(data_root: Path | None, clear: bool) -> None:
    """Say how much room decoded pictures take, which runs keep for the next one, and remove them with --clear."""
    folder = (data_root or Path(platformdirs.user_cache_dir("dcc"))) / FOLDER
    files = sorted(path for path in folder.glob("*") if path.suffix in (".npy", ".json") or path.name[0] == ".")
    total = sum(path.stat().st_size for path in files)
    sets = sum(path.suffix == ".npy" for path in files)
    if clear:
        for path in files:
            path.unlink(missing_ok=True)
    click.echo(f"{sets} sets of pictures, {total / 1e6:.1f} MB, {'removed from' if clear else 'in'} '{folder}'")
