"""Gradients of the training loss with respect to a network's weights."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dcc_core.compute import OFF, Chunks, Compiler, Criterion, PlainOperations, refuse_hidden_errors
from dcc_core.engine.grouped_gradients import gradients_by_group
from dcc_core.errors import ContractError, DccError


class WeightGradient:
    """The gradient of a weighted sum of losses on images with respect to a network's weights.

    g = d/d(theta) sum_i w_i L(x_i, y_i; theta), as a list in the order of the network's parameters.
    The network must treat images independently (no batch statistics). chunks: images in a pass. plain: replace
    operations without a second derivative. by_layer: whether one pass can give the gradients of several groups.
    check_graph: search the graph for functions without a second derivative. compiler: of passes that are differentiated
    once, with how many of them there will be; its graphs replay all passes on a GPU.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: Criterion,
        chunks: Chunks,
        *,
        plain: bool = True,
        by_layer: bool = False,
        check_graph: bool = False,
        compiler: Compiler = OFF,
        passes: int = 0,
    ) -> None:
        self._network = network
        self.chunks = chunks
        self._by_layer = by_layer
        self._graphs = compiler.graphs
        self._compiler, self._passes, self._check_graph = compiler, passes, check_graph
        self._how = {"criterion": criterion, "plain": plain}
        self.parameters = [p for p in network.parameters() if p.requires_grad]

    def value(self, images: Tensor, labels: Tensor, weights: Tensor, groups: int = 0) -> list[Tensor]:
        """The gradient as a constant, in micro-batches. images (B, C, H, W), weights (B,).

        groups: as in `by_group`, in one pass.
        """
        work = functools.partial(_constant, groups=groups, **self._how)
        network = self._network if groups or self._how["plain"] else self._compiled
        chunks = [(images, labels, weights)] if groups else self.chunks.split(images, labels, weights)
        return add_up(self._graphs.call(work, network, *chunk) for chunk in chunks)

    def differentiable(self, images: Tensor, labels: Tensor, weights: Tensor, groups: int = 0) -> list[Tensor]:
        """The gradient as a differentiable function of the images and of soft labels.

        Beyond one micro-batch, backward recomputes micro-batches one by one, so memory does not grow with the images.
        It also recomputes where passes are replayed; the weights then must not change before. groups: as in
        `by_group`, in one pass.
        """
        if self._check_graph and not groups:
            first = (t[:1] for t in (images, labels, weights))
            refuse_hidden_errors(_differentiate(self._network, *first, **self._how))
        fits = groups or len(images) <= self.chunks.second_order
        if fits and not self._graphs.replay_on(images.device):
            return _differentiate(self._network, images, labels, weights, groups=groups, **self._how)
        return list(_RecomputeInBackward.apply(self, groups, images, labels, weights))  # pyright: ignore[reportArgumentType]

    @functools.cached_property
    def _compiled(self) -> nn.Module:
        return self._compiler(self._network, self.parameters[0].device, self._passes)

    def groups_at_once(self, images: int, shape: Sequence[int]) -> int:
        """How many groups of `images` images of shape (C, H, W) one pass takes; 1 if grouping is not faster."""
        if not self._by_layer:
            return 1
        return self.chunks.groups(images, shape[-1] * shape[-2], sum(p.numel() for p in self.parameters))

    def by_group(self, images: Tensor, labels: Tensor, weights: Tensor, groups: int) -> list[Tensor]:
        """`differentiable` for each of `groups` groups of equally many images: tensors (groups, *weight shape)."""
        if groups == 1:
            return [g.unsqueeze(0) for g in self.differentiable(images, labels, weights)]
        return self.differentiable(images, labels, weights, groups)

    def versions(self) -> list[int]:
        """A number of each weight that grows when it is changed."""
        return [p._version for p in self.parameters]

    def prepare_to_pull_back(self, groups: int, soft: bool, inputs: Sequence[Tensor], found: Sequence[Tensor]) -> None:
        """Have the work of `pull_back` captured. found: the gradient, tensors as large as its cotangents."""
        for work, chunk in self._works_of_pull_back(groups, soft, inputs):
            self._graphs.prepare(work, self._network, *chunk, *(g.contiguous() for g in found))

    def pull_back(
        self, groups: int, soft: bool, inputs: Sequence[Tensor], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """The derivative of the inner product with cotangents for images, and for soft labels if they have one.

        inputs: images, labels, weights.
        """
        cotangents = [c.contiguous() for c in cotangents]
        parts = [
            self._graphs.call(work, self._network, *chunk, *cotangents, prepared=True)
            for work, chunk in self._works_of_pull_back(groups, soft, inputs)
        ]
        return [torch.cat(of_input) for of_input in zip(*parts, strict=True)]

    def _works_of_pull_back(self, groups: int, soft: bool, inputs: Sequence[Tensor]) -> Iterator[tuple[Any, Any]]:
        work = functools.partial(_pull_back, groups=groups, soft=soft, **self._how)
        for chunk in [inputs] if groups else self.chunks.split(*inputs, second_order=True):
            yield work, chunk


def add_up(gradients: Iterable[list[Tensor]]) -> list[Tensor]:
    """The sum of gradients that are constants, each a list over weights."""
    return functools.reduce(lambda total, gradient: list(torch._foreach_add(total, gradient)), gradients)  # pyright: ignore[reportPrivateImportUsage]


def _constant(network: nn.Module, *inputs: Tensor, **how: Any) -> list[Tensor]:
    return [g.detach() for g in _differentiate(network, *inputs, **how, graph=False)]


def _pull_back(
    network: nn.Module, images: Tensor, labels: Tensor, weights: Tensor, *cotangents: Tensor, soft: bool, **how: Any
) -> Sequence[Tensor]:
    x, y = images.detach().requires_grad_(), labels.detach().requires_grad_(soft)
    gradient = _differentiate(network, x, y, weights, **how)
    with torch.enable_grad():
        product = torch.stack([(g * v).sum() for g, v in zip(gradient, cotangents, strict=True)]).sum()
    return torch.autograd.grad(product, [x, y][: 1 + soft])


def _differentiate(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    criterion: Criterion,
    plain: bool,
    groups: int = 0,
    graph: bool = True,
) -> list[Tensor]:
    def loss_of(logits: Tensor) -> Tensor:
        return (criterion(logits, labels) * weights).sum()

    parameters = [p for p in network.parameters() if p.requires_grad]
    with torch.enable_grad(), PlainOperations() if graph or groups or plain else contextlib.nullcontext():
        if groups:
            return _known_layers(gradients_by_group(network, loss_of, images, groups, graph=graph))
        logits = network(images)
    with torch.enable_grad():
        found = torch.autograd.grad(
            loss_of(logits), parameters, create_graph=graph, allow_unused=True, materialize_grads=True
        )
    return list(found)


def _known_layers(found: list[Tensor] | None) -> list[Tensor]:
    if found is None:
        raise DccError("the network changed during the run: some weights are no longer in its layers; do not modify it")
    return found


class _RecomputeInBackward(torch.autograd.Function):
    """`WeightGradient.differentiable` in two passes: forward computes the value, backward vector-Jacobian products."""

    @staticmethod
    def forward(ctx: Any, service: WeightGradient, groups: int, *inputs: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.service, ctx.groups, ctx.versions = service, groups, service.versions()
        ctx.save_for_backward(*inputs)
        found = service.value(*inputs, groups=groups)
        service.prepare_to_pull_back(groups, inputs[1].requires_grad, inputs, found)
        return tuple(found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if ctx.versions != ctx.service.versions():
            raise ContractError("a loss leaves the network's weights as they are; they changed before the derivative")
        soft = ctx.needs_input_grad[3]
        found = ctx.service.pull_back(ctx.groups, soft, ctx.saved_tensors, cotangents)
        return None, None, found[0], found[1] if soft else None, None
