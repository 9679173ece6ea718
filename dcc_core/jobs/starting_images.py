"""Initial images of the synthetic set: real images, noise, or another set."""

from __future__ import annotations

import torch
from torch import Tensor

from dcc_core.data import RealData
from dcc_core.engine import Rows, RunContext, check_stored
from dcc_core.errors import ContractError, DccError, faults_of
from dcc_core.jobs.configuration import Config
from dcc_core.plugins import Registry
from dcc_core.sets import CondensedSet, check_fits, decode_set, normalisation_of, normalise_stored

Initial = tuple[dict[str, Tensor], Tensor]


def initial_rows(config: Config, registry: Registry, run: RunContext, initial_set: CondensedSet | None) -> Initial:
    """The initial stored tensors, and the class of each row: (N,) int64 on the CPU, ascending.

    Raises DccError if a selection or the parametrisation breaks its contract, or a set file does not fit.
    """
    if initial_set:
        return _rows_of_set(config, registry, initial_set, run)
    owners = torch.arange(run.num_classes).repeat_interleave(run.ipc)
    n = run.ipc * config.param.images_per_row
    if config.run.init == "noise":
        labels = torch.arange(run.num_classes).repeat_interleave(n).to(run.device)
        noise = torch.randn((len(labels), *run.data.shape), generator=run.random.generator("init"), dtype=run.dtype)
        return _init_rows(config, run, noise.to(run.device), labels, len(owners)), owners
    made = make_rows(config, run, n)
    images = run.real.normalisation.normalise(made.images)
    return _init_rows(config, run, images, made.labels, len(owners)), owners


def make_rows(config: Config, run: RunContext, n: int) -> Rows:
    """The `n` images per class that the selection picks or makes, class by class.

    Raises DccError if the selection breaks its contract, or keeps every image.
    """
    check_partial(config)
    with faults_of(run.title_of_section("selection")):
        return check_rows(config.selection.make(n, run), n, run.data)


def check_rows(rows: object, n: int, data: RealData) -> Rows:
    """What a selection makes: `n` images of every class, and a label for each."""
    if not isinstance(rows, Rows):
        raise ContractError(f"make gives Rows; it gave {type(rows).__name__}")
    count = n * data.num_classes
    labels = (count, data.num_classes) if rows.labels.is_floating_point() else (count,)
    shapes = {name: tuple(t.shape) for name, t in {"images": rows.images, "labels": rows.labels, **rows.more}.items()}
    fits = (shapes["images"], shapes["labels"]) == ((count, *data.shape), labels)
    if not fits or any(shape[:1] != (count,) for shape in shapes.values()):
        raise ContractError(f"make gives {n} images of every class, {count} rows with a label each; it gave {shapes}")
    return rows


def check_partial(config: Config) -> None:
    """Raise DccError if the selection keeps every image."""
    if config.selection.whole:
        raise DccError(
            f"selection '{config.names['selection']}' keeps every image, not {config.run.ipc} of each class; "
            "it can be scored only by `dcc select`"
        )


def _init_rows(config: Config, run: RunContext, images: Tensor, labels: Tensor, rows: int) -> dict[str, Tensor]:
    """Stored tensors of images. Raises DccError that names the parametrisation if it breaks its contract."""
    with faults_of(run.title_of_section("param")):
        return check_stored(config.param.init(images, labels, run), rows)


def _rows_of_set(config: Config, registry: Registry, s: CondensedSet, run: RunContext) -> Initial:
    """Another set as initial images: its stored tensors if the parametrisation is the same, else its decoded images."""
    check_fits(s, run.data)
    decoded = decode_set(s, registry, run.device, run.dtype)
    owners = _row_classes(config, s.owners.repeat_interleave(len(decoded.images) // len(s.owners)), run)
    largest = int(torch.bincount(owners).max())
    if largest != run.ipc:
        raise DccError(
            f"run.ipc: {run.ipc} images per class, but the set to start from has {largest}; add --ipc {largest}"
        )
    unit = normalisation_of(s, run.device, run.dtype).to_unit(decoded.images)
    rows = _init_rows(config, run, run.real.normalisation.normalise(unit), decoded.labels, len(owners))
    same_space = (s.provenance.mean, s.provenance.std) == (run.data.mean, run.data.std)
    if same_space and s.provenance.options("param") == config.section("param"):
        values = normalise_stored(s, run.device, run.dtype)
        rows = {name: values[name].requires_grad_(t.requires_grad) for name, t in rows.items()}
    return rows, owners


def _row_classes(config: Config, owners: Tensor, run: RunContext) -> Tensor:
    """The class of each row, given the class of each image (ascending) to pack into rows."""
    packed = config.param.images_per_row
    for name, count in zip(run.data.class_names, torch.bincount(owners).tolist(), strict=True):
        if count % packed:
            raise DccError(
                f"run.init: the parametrisation packs {packed} images into one and needs a multiple of that, but "
                f"the set to start from has {count} of class '{name}'"
            )
    return owners[::packed]
