"""The file that an unfinished run resumes from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dcc_core.engine import ResumeState
from dcc_core.errors import DccError
from dcc_core.plugins import Measured, Score

FORMAT = 1
KEY, DIGEST = "dcc_checkpoint", "blake2b"


@dataclass(frozen=True, kw_only=True)
class MeasuredScore:
    """A measured score of a set on a network; name: of the measurement."""

    set: int
    name: str
    network: str
    measured: Measured

    @classmethod
    def of(cls, set_index: int, name: str, network: str, score: Score) -> MeasuredScore:
        own = {f.name: getattr(score, f.name) for f in dataclasses.fields(Measured)}
        return cls(set=set_index, name=name, network=network, measured=Measured(**own))

    @property
    def score(self) -> Score:
        """The measured accuracies; a composite protocol's robustness is computed from them again."""
        return Score(**vars(self.measured))


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of an unfinished run.

    config: every option's dotted key, with `value` and `origin` as in `report.json`. versions: of the distributions
    used. data: a digest of the training images (see `RealData.digest`). threads: of torch. processes: the
    number of processes of the run. selecting: the sets are coresets. made: number of sets that have files. moment:
    state of the next set. scores: all measured so far. metrics: bytes of `metrics.jsonl` written so far. seconds: spent
    so far, by phase. expected: seconds of the whole run by phase, as forecast. notes: on resuming, for the set files.
    """

    config: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str]
    data: str
    threads: int
    processes: int = 1
    selecting: bool = False
    made: int = 0
    moment: ResumeState = field(default_factory=ResumeState)
    scores: tuple[MeasuredScore, ...] = ()
    metrics: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The options by dotted key."""
        return {key: entry["value"] for key, entry in self.config.items()}

    def to_bytes(self) -> bytes:
        """The file's content: the tensors as safetensors, all else as JSON in the metadata, and a checksum."""
        moment = {f.name: getattr(self.moment, f.name) for f in dataclasses.fields(ResumeState) if f.name != "tensors"}
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields |= {"format": FORMAT, "moment": moment, "scores": [dataclasses.asdict(s) for s in self.scores]}
        text = json.dumps(fields)
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.moment.tensors.items()}
        return save(tensors, {KEY: text, DIGEST: _digest(text, tensors)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises DccError if it is missing, damaged, or of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, it is no dict
    except (OSError, SafetensorError) as error:
        raise DccError(f"checkpoint '{path}' cannot be read: {error}; --overwrite starts again") from error
    text = metadata.get(KEY, "")
    if metadata.get(DIGEST) != _digest(text, tensors):
        raise DccError(f"checkpoint '{path}' is damaged: its checksum is wrong; --overwrite starts again")
    try:
        fields = json.loads(text)
        if (version := fields.pop("format")) != FORMAT:
            raise DccError(f"checkpoint '{path}' has format {version}; this version of dcc reads format {FORMAT}")
        moment = ResumeState(**{**fields.pop("moment"), "tensors": tensors})
        return TypeAdapter(Checkpoint).validate_python({**fields, "moment": moment})
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DccError(f"checkpoint '{path}' is damaged: {error}; --overwrite starts again") from error


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(dtype=torch.uint8).numpy().data)
    return digest.hexdigest()
