"""Places on the Hugging Face Hub: how they are named, the set files in them, and what goes wrong on the way there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dcc_core import DccError

LOCAL = ("/", "./", "../", "~/")
"""How the name of a folder begins that stands in a repository's stead."""
SET_FILE = "set.safetensors"
PARTS = re.compile(r"(?P<repo>[^:@]+)(?::(?P<config>[^@]+))?(?:@(?P<revision>.+))?")
SIGN_IN = "`hf auth login` keeps a token, HF_TOKEN gives one"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A data set on the Hub, or a folder in the Hub's layout (`folder`)."""

    repo: str
    config: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place of `OWNER/NAME[:CONFIG][@REVISION]`, or of a folder. Raises ValueError for other texts."""
        if text.startswith(LOCAL) and Path(text).expanduser().exists():
            return cls(repo=text)
        found = PARTS.fullmatch(text)
        if found is None or (not text.startswith(LOCAL) and found["repo"].count("/") > 1):
            raise ValueError(f"'{text}' names no data set: expected OWNER/NAME[:CONFIG][@REVISION], or ./FOLDER")
        return cls(**found.groupdict())

    @property
    def folder(self) -> Path | None:
        """The folder on this computer. Raises DccError if there is none of that name."""
        if not self.repo.startswith(LOCAL):
            return None
        folder = Path(self.repo).expanduser()
        if not folder.is_dir():
            raise DccError(f"hf: there is no folder '{self.repo}'")
        return folder


def fetch_set(place: Place) -> Path:
    """The set file of a place: in its folder, or in the cache of `huggingface_hub`, fetched there if need be.

    It is `set.safetensors`, or the only `.safetensors`. Raises DccError if there is none, or the place is not there.
    """
    if folder := place.folder:
        return folder / _choose(place.repo, sorted(file.name for file in folder.glob("*.safetensors")))

    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    how = {"repo_type": "dataset", "revision": place.revision}
    with hub_errors(place.repo, place.revision):
        try:
            return Path(hf_hub_download(place.repo, SET_FILE, **how))
        except LocalEntryNotFoundError:  # the Hub was not asked
            raise
        except EntryNotFoundError:
            files = HfApi().list_repo_files(place.repo, **how)
            return Path(hf_hub_download(place.repo, _choose(place.repo, files), **how))


def _choose(repo: str, files: list[str]) -> str:
    """The set file among the files of a place."""
    sets = [name for name in files if name.endswith(".safetensors")]
    if SET_FILE in sets or len(sets) == 1:
        return SET_FILE if SET_FILE in sets else sets[0]
    found = f"has {len(sets)} .safetensors files and no {SET_FILE}" if sets else f"holds no set file ({SET_FILE})"
    raise DccError(f"hf: '{repo}' {found}; `dcc push` writes such places, `dcc convert --from hf` reads pictures")


@contextlib.contextmanager
def hub_errors(repo: str, revision: str | None = None, *, writing: bool = False) -> Iterator[None]:
    """Raise DccError for what `huggingface_hub` and `datasets` raise about a place. No message has a token."""
    try:
        yield
    except DccError:
        raise
    except Exception as error:
        raise DccError(f"hf: {_explain(error, repo, revision, writing)}") from error


def _explain(error: BaseException, repo: str, revision: str | None, writing: bool) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"'{repo}' is gated: ask for access at https://huggingface.co/datasets/{repo}, then sign in: {SIGN_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"'{repo}' has no revision '{revision}'"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if writing and status in (401, 403):
        return f"no access to write '{repo}': the token must be valid, and allow to write there; {SIGN_IN}"
    if isinstance(error, errors.RepositoryNotFoundError) or type(error).__name__ == "DatasetNotFoundError":
        return f"there is no data set '{repo}' on the Hub, or it is private and needs a token; {SIGN_IN}"
    if status in (401, 403):
        return f"no access to '{repo}'; {SIGN_IN}"
    if isinstance(error, errors.HFValidationError):
        return f"'{repo}' is no name of a data set: expected OWNER/NAME"
    if isinstance(error, errors.OfflineModeIsEnabled) or "OfflineModeIsEnabled" in str(error) or _is_offline():
        what = f"'{repo}'" + (f" at revision '{revision}'" if revision else "")
        reason = "the Hub cannot be written" if writing else f"{what} is not in the cache of this computer"
        return f"{reason}, and HF_HUB_OFFLINE or HF_DATASETS_OFFLINE keeps the network off"
    if isinstance(error, ConnectionError | errors.LocalEntryNotFoundError) or "Connect" in type(error).__name__:
        return f"the Hub cannot be reached, and '{repo}' is not in the cache of this computer"
    return f"'{repo}': {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
