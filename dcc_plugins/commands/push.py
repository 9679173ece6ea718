"""The command `dcc push`."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from dcc_core.cli import registry_of_call
from dcc_core.errors import DccError
from dcc_core.plugins import Registry
from dcc_plugins.extras import check_extra
from dcc_plugins.hub_access import SET_FILE, SIGN_IN, hub_errors

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="RUN", type=FILE)
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--license", "licence", metavar="ID", help="licence of the source's images, for the card: cc-by-4.0, ...")
@click.option("--private", is_flag=True, help="where the repository is new: for its owner alone")
@click.option("--revision", metavar="BRANCH", help="branch to write to, made if it is not there  [default: main]")
@click.option("--dry-run", is_flag=True, help="write the folder that would be uploaded, and stop")
@click.option("--out", type=FILE, help="folder for --dry-run  [default: hub/NAME]")
@click.option("--json", "as_json", is_flag=True, help="print JSON, the last line of stdout")
def push(
    source: Path,
    repo: str,
    licence: str | None,
    private: bool,
    revision: str | None,
    dry_run: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Upload the set of a run, or a set file, to the Hugging Face Hub, with a card.

    The Hub shows the images, `datasets.load_dataset` loads them, and `hf:OWNER/NAME` is the set file in every command.
    The token is the one of `hf auth login` or HF_TOKEN.
    """
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise DccError(f"'{repo}' is no name of a repository: expected OWNER/NAME")
    if out and not dry_run:
        raise DccError(f"--out '{out}' is for --dry-run; a push writes to the Hub alone")
    try:
        check_extra("hf", "huggingface_hub", "pyarrow")
    except ValueError as error:
        raise DccError(f"push {error}") from error

    from dcc_plugins.placing import place_atomically

    registry = registry_of_call()
    if dry_run:
        out = out or Path("hub", repo.partition("/")[2])
        out.parent.mkdir(parents=True, exist_ok=True)
        with place_atomically(out, overwrite=True) as folder:
            write_folder(source, folder, repo, licence, registry)
        done, words = {"out": str(out)}, f"wrote {out}; without --dry-run it is uploaded to {repo}"
    else:
        with _prepared(source, repo, licence, registry) as folder:
            done = upload(folder, repo, private=private, revision=revision)
        words = f"pushed to {done['url']}; hf:{repo} is its set file in every command"
    click.echo(json.dumps(done) if as_json else words)


@contextlib.contextmanager
def _prepared(source: Path, repo: str, licence: str | None, registry: Registry) -> Iterator[Path]:
    """The folder to upload, while it lasts. Raises DccError at once if nobody has signed in."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise DccError(f"no token for the Hugging Face Hub: {SIGN_IN}; --dry-run needs none")
    with tempfile.TemporaryDirectory(prefix="dcc-") as place:
        folder = Path(place, "push")
        write_folder(source, folder, repo, licence, registry)
        yield folder


def write_folder(source: Path, folder: Path, repo: str, licence: str | None, registry: Registry) -> None:
    """Write what is uploaded of a run or a set file: the format `hf`, the set file, a picture, the card.

    Raises DccError if there is no set, or the format cannot hold it.
    """
    from dcc_core.sets import find_set, load_set, training_images
    from dcc_plugins.commands.hub_card import make_card
    from dcc_plugins.commands.inspection import inspect_set
    from dcc_plugins.exchange import convert

    file, report = find_set(source), {}
    if source.is_dir():
        file, about = source / SET_FILE, source / "report.json"
        if not file.is_file() or not about.is_file():
            raise DccError(f"'{source}' holds no finished run of `dcc-run` or `dcc select`, nor is it a set file")
        report = json.loads(about.read_text(encoding="utf-8"))
    s = load_set(file)
    convert(file, folder, target_format="hf", registry=registry)
    s.save(folder / SET_FILE)
    (folder / "grid.png").write_bytes(inspect_set(file, registry).grid(registry))
    images = len(training_images(s, registry).images)
    (folder / "README.md").write_text(make_card(s, report, repo, licence, images) + "\n", encoding="utf-8")


def upload(folder: Path, repo: str, *, private: bool, revision: str | None) -> dict[str, str]:
    """Upload a folder as a data set; returns its address and the commit. Raises DccError if the Hub refuses it."""
    from huggingface_hub import HfApi

    api = HfApi(library_name="dcc")
    how = {"repo_type": "dataset"}
    with hub_errors(repo, revision, writing=True):
        url = api.create_repo(repo, private=private or None, exist_ok=True, **how)
        if revision:
            api.create_branch(repo, branch=revision, exist_ok=True, **how)
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, revision=revision, commit_message="Add a condensed set", **how
        )
    return {"url": str(url), "commit": commit.oid}
