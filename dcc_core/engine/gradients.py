"""Gradients of the training loss with respect to a network's weights."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dcc_core.compute import Chunks, Criterion
from dcc_core.engine.double_backward import PlainOperations, refuse_hidden_errors
from dcc_core.engine.grouped_gradients import gradients_by_group
from dcc_core.errors import DccError


class WeightGradient:
    """The gradient of a weighted sum of losses on images with respect to a network's weights.

    g = d/d(theta) sum_i w_i L(x_i, y_i; theta), as a list in the order of the network's parameters.
    The network must treat images independently (no batch statistics). chunks: images in a pass. plain: replace
    operations without a second derivative. by_layer: whether one pass can give the gradients of several groups.
    check_graph: search the graph for functions without a second derivative.
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
    ) -> None:
        self._network = network
        self._criterion = criterion
        self.chunks = chunks
        self._plain = plain
        self._by_layer = by_layer
        self._check_graph = check_graph
        self.parameters = [p for p in network.parameters() if p.requires_grad]

    def value(self, images: Tensor, labels: Tensor, weights: Tensor) -> list[Tensor]:
        """The gradient as a constant, in micro-batches. images (B, C, H, W), weights (B,)."""
        chunks = self.chunks.split(images, labels, weights)
        return add_up(self._differentiate(x, y, w, graph=False) for x, y, w in chunks)

    def differentiable(self, images: Tensor, labels: Tensor, weights: Tensor) -> list[Tensor]:
        """The gradient as a differentiable function of the images and of soft labels.

        Beyond one micro-batch, backward recomputes micro-batches one by one, so memory does not grow with the images.
        """
        if len(images) <= self.chunks.second_order:
            return self._differentiate(images, labels, weights, graph=True)
        return list(_RecomputeInBackward.apply(self, images, labels, weights))  # pyright: ignore[reportArgumentType]

    def groups_at_once(self, images: int, shape: Sequence[int]) -> int:
        """How many groups of `images` images of shape (C, H, W) one pass takes; 1 if grouping is not faster."""
        if not self._by_layer:
            return 1
        return self.chunks.groups(images, shape[-1] * shape[-2], sum(p.numel() for p in self.parameters))

    def by_group(self, images: Tensor, labels: Tensor, weights: Tensor, groups: int) -> list[Tensor]:
        """`differentiable` for each of `groups` groups of equally many images: tensors (groups, *weight shape)."""
        if groups == 1:
            return [g.unsqueeze(0) for g in self.differentiable(images, labels, weights)]
        with torch.enable_grad(), PlainOperations():
            found = gradients_by_group(
                self._network, lambda z: (self._criterion(z, labels) * weights).sum(), images, groups, graph=True
            )
        if found is None:
            raise DccError(
                "the network changed during the run: some weights are no longer in its layers; do not modify it"
            )
        return found

    def _differentiate(self, images: Tensor, labels: Tensor, weights: Tensor, *, graph: bool) -> list[Tensor]:
        with torch.enable_grad():
            with PlainOperations() if graph or self._plain else contextlib.nullcontext():
                logits = self._network(images)
            loss = (self._criterion(logits, labels) * weights).sum()
            gradient = torch.autograd.grad(
                loss, self.parameters, create_graph=graph, allow_unused=True, materialize_grads=True
            )
        if graph and self._check_graph:
            refuse_hidden_errors(gradient)
        return list(gradient)


def add_up(gradients: Iterable[list[Tensor]]) -> list[Tensor]:
    """The sum of gradients that are constants, each a list over weights."""
    return functools.reduce(lambda total, gradient: list(torch._foreach_add(total, gradient)), gradients)  # pyright: ignore[reportPrivateImportUsage]


class _RecomputeInBackward(torch.autograd.Function):
    """`WeightGradient.differentiable` in two passes: forward computes the value, backward vector-Jacobian products."""

    @staticmethod
    def forward(ctx: Any, service: WeightGradient, images: Tensor, labels: Tensor, weights: Tensor) -> Any:
        ctx.service = service
        ctx.save_for_backward(images, labels, weights)
        return tuple(service.value(images, labels, weights))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        images, labels, weights = ctx.saved_tensors
        soft = ctx.needs_input_grad[2]
        parts: list[Sequence[Tensor]] = []
        for x, y, w in ctx.service.chunks.split(images, labels, weights, second_order=True):
            inputs = [x.detach().requires_grad_(), y.detach().requires_grad_(soft)]
            gradient = ctx.service._differentiate(*inputs, w, graph=True)
            with torch.enable_grad():
                product = torch.stack([(g * v).sum() for g, v in zip(gradient, cotangents, strict=True)]).sum()
            parts.append(torch.autograd.grad(product, inputs[: 1 + soft]))
        by_input = [torch.cat(chunks) for chunks in zip(*parts, strict=True)]
        return None, by_input[0], by_input[1] if soft else None, None
