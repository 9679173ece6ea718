"""The command `dcc cache`."""

from __future__ import annotations

from pathlib import Path

import click
import platformdirs

from dcc_plugins.data.kept_files import FOLDER


@click.command()
@click.option(
    "--data-root", type=click.Path(path_type=Path), help="folder for data sets; none: the user's cache folder"
)
@click.option("--clear", is_flag=True, help="remove these files")
def cache(data_root: Path | None, clear: bool) -> None:
    """Say how much room the files take that runs keep for the next one: decoded pictures, cuts of ImageNet."""
    folder = (data_root or Path(platformdirs.user_cache_dir("dcc"))) / FOLDER
    files = [path for path in folder.glob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    if clear:
        for path in files:
            path.unlink(missing_ok=True)
    click.echo(f"{len(files)} files, {total / 1e6:.1f} MB, {'removed from' if clear else 'in'} '{folder}'")
