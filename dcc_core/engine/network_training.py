"""Training a network on images that are already on the device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dcc_core.compute import NO_GRAPHS, Chunks, Criterion, Graphs, Randomness, seeded
from dcc_core.data import Batch
from dcc_core.engine.augmentation import Augmentation, apply_draws
from dcc_core.engine.batch_statistics import batch_norm_layers


class TrainingImages(Protocol):
    """What networks are trained on: a `Batch`, or `RealImages`, which are normalised batch by batch."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        ...

    @property
    def device(self) -> torch.device: ...

    def batch(self, indices: Tensor) -> Batch:
        """The images at these indices (int64), normalised, on the device, with their labels."""
        ...


def train_epoch(
    network: nn.Module,
    data: TrainingImages,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
    chunks: Chunks,
    num_classes: int,
    criterion: Criterion,
    augmentation: Augmentation,
    random: Randomness,
    images: int | None = None,
    graphs: Graphs = NO_GRAPHS,
) -> int:
    """One pass over the data in random order; draws of the augmentation per image, dropout from `random`.

    images: stop after this number, in that order. graphs: replay steps of SGD on a GPU. Returns the number of images
    that the network has seen.
    Networks without batch statistics see a batch in chunks. A last batch of a single image joins the one before it
    if the network has batch statistics to take.
    """
    network.train()
    whole = bool(batch_norm_layers(network))
    batches = shuffled_batches(
        data,
        batch_size,
        num_classes=num_classes,
        augmentation=augmentation,
        random=random,
        images=images,
        join_last=whole,
    )
    shown = 0

    def gather() -> functools.partial[None]:
        return functools.partial(_gather, criterion=criterion, size=None if whole else chunks.images)

    with seeded(random.generator("network"), data.device):
        for batch in batches:
            _descend(network, batch, optimiser, gather, graphs, chunks.within_memory)
            shown += len(batch)
    return shown


def train_stack_epoch(
    stack: nn.Module,
    data: TrainingImages,
    optimiser: torch.optim.Optimizer,
    *,
    batch_size: int,
    num_classes: int,
    criterion: Criterion,
    augmentation: Augmentation,
    randoms: Sequence[Randomness],
    graphs: Graphs = NO_GRAPHS,
) -> int:
    """`train_epoch` for every network of a `Stack` at once, each with its own order and draws.

    Returns the number of images that each was shown.
    """
    stack.train()
    each = [
        shuffled_batches(data, batch_size, num_classes=num_classes, augmentation=augmentation, random=random)
        for random in randoms
    ]
    shown = 0
    for batches in zip(*each, strict=True):
        together = Batch(torch.stack([b.images for b in batches]), torch.stack([b.labels for b in batches]))
        gather = functools.partial(_gather_stack, criterion=criterion)
        _descend(stack, together, optimiser, lambda gather=gather: gather, graphs, lambda work: work())
        shown += len(batches[0])
    return shown


def shuffled_batches(
    data: TrainingImages,
    batch_size: int,
    *,
    num_classes: int,
    augmentation: Augmentation,
    random: Randomness,
    images: int | None = None,
    join_last: bool = False,
) -> Iterator[Batch]:
    """Augmented batches of the data in random order, of the first `images` in it if a number is given.

    join_last: a last single image joins the batch before it.
    """
    batches = list(epoch_order(len(data), random)[:images].split(batch_size))
    if join_last and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    for number, chosen in enumerate(batches):
        draws = augmentation.draw(len(chosen), data.shape, random.generator("augment", number), per_batch=True)
        yield apply_draws(augmentation, data.batch(chosen), dict(draws), torch.arange(len(chosen)), num_classes)


def epoch_order(count: int, random: Randomness) -> Tensor:
    """The order (count,) in which an epoch's batches take `count` images: indices, int64."""
    return torch.randperm(count, generator=random.generator("order"))


SGD_OPTIONS = ("lr", "momentum", "weight_decay", "nesterov", "maximize", "fused")


def _descend(
    network: nn.Module,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    gather: Callable[[], functools.partial[None]],
    graphs: Graphs,
    within_memory: Callable[[Callable[[], None]], None],
) -> None:
    """One step of a network's optimiser; replayed if it is SGD on all weights.

    gather: gives a function that leaves the batch's gradient, with smaller parts if memory has run out since.
    """
    group, *others = optimiser.param_groups
    simple = type(optimiser) is torch.optim.SGD and not others and not group["dampening"]
    if not (simple and graphs.replay_on(batch.device) and _same(group["params"], network.parameters())):

        def attempt() -> None:
            optimiser.zero_grad(set_to_none=True)
            gather()(network, batch.images, batch.labels)

        within_memory(attempt)
        optimiser.step()
        return
    states = [optimiser.state[p] for p in group["params"] if group["momentum"]]
    for state, p in zip(states, group["params"], strict=False):
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(p)

    def replay() -> None:
        own, options = gather(), tuple(group[o] for o in SGD_OPTIONS)
        work = functools.partial(_step_by_sgd, gather=own.func, options=options, **own.keywords)
        graphs.change(work, network, [state["momentum_buffer"] for state in states], batch.images, batch.labels)

    within_memory(replay)


def _same(own: Sequence[Tensor], others: Iterable[Tensor]) -> bool:
    return list(map(id, own)) == list(map(id, others))


def _step_by_sgd(
    network: nn.Module, *tensors: Tensor, gather: Callable[..., None], options: tuple[Any, ...], **how: Any
) -> None:
    """One step of SGD. tensors: each weight's momentum if there is any, images, labels."""
    *momenta, images, labels = tensors
    optimiser = torch.optim.SGD(network.parameters(), **dict(zip(SGD_OPTIONS, options, strict=True)))
    for p, momentum in zip(network.parameters(), momenta, strict=False):
        optimiser.state[p]["momentum_buffer"] = momentum
    optimiser.zero_grad(set_to_none=True)
    gather(network, images, labels, **how)
    optimiser.step()


def _gather(network: nn.Module, images: Tensor, labels: Tensor, *, criterion: Criterion, size: int | None) -> None:
    """The gradient of the batch's mean loss, in chunks of a size unless it is none."""
    for x, y in zip(images.split(size or len(images)), labels.split(size or len(labels)), strict=True):
        (criterion(network(x), y).sum() / len(labels)).backward()


def _gather_stack(stack: nn.Module, images: Tensor, labels: Tensor, *, criterion: Criterion) -> None:
    """The gradient of every network's mean loss. images (N, B, C, H, W), labels (N, B) or (N, B, K)."""
    logits = stack(images)
    (criterion(logits.flatten(0, 1), labels.flatten(0, 1)).sum() / labels.shape[1]).backward()
