"""The command `dcc convert`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import offer_components, registry_of_call
from dcc_core.config import Settings

FILE = click.Path(path_type=Path)
FORMAT = {"metavar": "NAME", "show_default": True, "shell_complete": offer_components("format")}


@click.command()
@click.argument("source", metavar="SRC", type=FILE)
@click.argument("target", metavar="DST", type=FILE)
@click.option("--from", "source_format", default="dcc", help="format of SRC", **FORMAT)
@click.option("--to", "target_format", default="dcc", help="format of DST", **FORMAT)
@click.option(
    "--stats",
    metavar="TEXT",
    help="mean and std of normalised images: a data source that has them (cifar10), or 'mean=... std=...'",
)
@click.option("--data", metavar="NAME", help="data source of the set: gives the class names")
@click.option("--class-names", metavar="A,B,...", help="names of the classes, in the order of their labels")
@click.option("--data-root", type=FILE, help="folder for data sets; none: the user's cache folder")
@click.option("-o", "pairs", multiple=True, metavar="KEY=VALUE", help="option of the format, e.g. -o format.factor=2")
@click.option("--overwrite", is_flag=True, help="replace what is at DST")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def convert(
    source: Path,
    target: Path,
    source_format: str,
    target_format: str,
    stats: str | None,
    data: str | None,
    class_names: str | None,
    data_root: Path | None,
    pairs: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read another tool's set into a set file, or write a set file in another tool's format.

    `dcc plugins --kind format` lists the formats; `dcc show format NAME` describes one and its options; `dcc` is a set
    file. No code in a file is executed. Notes list what the new file cannot hold.
    """
    registry = registry_of_call()
    for name in {source_format, target_format} - {"dcc"}:
        registry.find("format", name)  # report a mistyped name before torch is imported
    settings = Settings()
    settings.add_options(pairs)

    from dcc_plugins.exchange import convert as convert_set
    from dcc_plugins.terminal import Display, printable

    with Display().logging():
        done = convert_set(
            source,
            target,
            source_format=source_format,
            target_format=target_format,
            stats=stats,
            data=data,
            class_names=[name.strip() for name in (class_names or "").split(",") if name.strip()],
            options={key: setting.value for key, setting in settings.values.items()},
            data_root=data_root,
            overwrite=overwrite,
            registry=registry,
        )
    classes, rows = len(done.set.class_names), len(done.set.owners)
    if as_json:
        click.echo(json.dumps({"out": str(target), "classes": classes, "rows": rows, "notes": list(done.notes)}))
        return
    for note in done.notes:
        click.echo(f"note: {printable(note)}")
    click.echo(f"wrote {target}: {rows} stored images of {classes} classes")
