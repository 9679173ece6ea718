"""The command `dcc compare`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dcc_core.cli import registry_of_call

PLACE = click.Path(path_type=Path)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PLACE)
@click.option("--out", metavar="DIR", type=PLACE, help="folder for pictures (PNG, SVG, PDF) and tables (LaTeX, ...)")
@click.option("--overwrite", is_flag=True, help="replace the comparison at --out")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def compare(runs: tuple[Path, ...], out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Compare runs and set files: accuracy with its spread, over time and images per class; options that differ.

    RUN is a run folder, finished or not, or a set file. Differences are to the first one.
    """
    from dcc_plugins.compare.rows import differing_options, make_rows, warnings_of
    from dcc_plugins.compare.subjects import read_subjects
    from dcc_plugins.compare.tables import as_records, option_grid, score_csv, score_grid
    from dcc_plugins.placing import place_atomically
    from dcc_plugins.terminal import print_table

    subjects = read_subjects(runs, registry_of_call())
    rows, differing = make_rows(subjects), differing_options(subjects)
    warnings = warnings_of(subjects, rows)
    grids = {"scores": score_grid(rows, warnings)}
    if differing:
        grids["options"] = option_grid(subjects, differing)
    if out:
        from dcc_plugins.compare.pictures import draw_pictures

        files = {f"{name}.md": grid.markdown().encode() for name, grid in grids.items()}
        files |= {f"{name}.tex": grid.latex().encode() for name, grid in grids.items()}
        files |= {"scores.csv": score_csv(rows).encode()}
        for number, network in enumerate(dict.fromkeys(row.network for row in rows)):
            suffix = f"-{number}" if number else ""
            files |= draw_pictures([row for row in rows if row.network == network], suffix)
        with place_atomically(out, overwrite=overwrite) as place:
            place.mkdir()
            for name, content in files.items():
                (place / name).write_bytes(content)
    if as_json:
        click.echo(json.dumps({"rows": as_records(rows), "options": differing, "warnings": warnings}, default=str))
        return
    for grid in grids.values():
        print_table(grid.terminal())
    if out:
        click.echo(f"wrote {out}")
