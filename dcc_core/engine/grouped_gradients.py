"""Weight gradients of several groups of images in one pass, from layers' inputs and output gradients.

If every weight belongs to a layer of a known kind, the gradient of one image is a product of the layer's input and the
gradient of its output. So one pass over all images gives the gradients of all groups, and they can be differentiated
again. For groups of few images this is several times as fast as one pass per group.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn import functional as F

from dcc_core.compute import Criterion

Rule = Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a layer, its input and its output's gradient: the gradients of weight and bias for each image."""


def gradients_by_group(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], images: Tensor, groups: int, *, graph: bool
) -> list[Tensor] | None:
    """Gradients of a loss by a network's trainable weights, for each of `groups` groups of equally many images.

    loss_of: maps logits to the scalar loss, a sum over images. Returns tensors (groups, *weight shape) in the order
    of the parameters; None if a weight is in no layer of a known kind or in more than one call, or if a layer mixes
    images.
    """
    own = dict.fromkeys(p for p in network.parameters() if p.requires_grad)
    layers: dict[nn.Module, Rule] = {
        m: rule for m in network.modules() if (rule := RULES.get(type(m))) and not _has_special_padding(m)
    }
    calls: list[tuple[Any, Tensor, Any]] = []

    def record_call(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((layer, inputs[0], get_gradient_edge(output)))

    of_own = [layer for layer in layers if own.keys() & set(layer.parameters(recurse=False))]
    handles = [layer.register_forward_hook(record_call) for layer in of_own]
    try:
        loss = loss_of(network(images))
    finally:
        for handle in handles:
            handle.remove()
    owned = [p for layer, _, _ in calls for p in (layer.weight, layer.bias) if p in own]
    if not own or len(owned) != len(own) or set(owned) != own.keys() or any(len(x) != len(images) for _, x, _ in calls):
        return None
    output_gradients = torch.autograd.grad(loss, [edge for _, _, edge in calls], create_graph=graph)
    found: dict[int, Tensor] = {}
    for (layer, before, _), after in zip(calls, output_gradients, strict=True):
        before, after = before.to(layer.weight.dtype), after.to(layer.weight.dtype)  # autocast may use a smaller type
        for p, of_images in zip((layer.weight, layer.bias), layers[layer](layer, before, after), strict=True):
            if p in own:
                each = of_images.reshape(groups, -1, *p.shape)
                found[id(p)] = each.squeeze(1) if len(images) == groups else each.sum(dim=1)
    return [found[id(p)] for p in own]


def _has_special_padding(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str))


def _convolution(layer: nn.Conv2d, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    patches = F.unfold(before, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # pyright: ignore[reportArgumentType]
    patches = patches.unflatten(1, (layer.groups, -1))
    weight = after.flatten(2).unflatten(1, (layer.groups, -1)) @ patches.transpose(2, 3)
    return weight, after.sum(dim=(2, 3))


def _linear(layer: nn.Linear, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    before = before.reshape(len(before), -1, layer.in_features)
    after = after.reshape(len(after), -1, layer.out_features)
    return after.transpose(1, 2) @ before, after.sum(dim=1)


def _group_norm(layer: nn.GroupNorm, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    return _scale(F.group_norm(before, layer.num_groups, eps=layer.eps), after)


def _batch_norm(layer: nn.BatchNorm2d, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    return _scale(F.batch_norm(before, layer.running_mean, layer.running_var, eps=layer.eps), after)


def _layer_norm(layer: nn.LayerNorm, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    size = math.prod(layer.normalized_shape)
    normed = F.layer_norm(before, layer.normalized_shape, eps=layer.eps).reshape(len(before), -1, size)
    after = after.reshape(len(after), -1, size)
    return (normed * after).sum(dim=1), after.sum(dim=1)


def _scale(normed: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    return (normed * after).flatten(2).sum(dim=2), after.flatten(2).sum(dim=2)


def supports_grouping(network: nn.Module, images: Tensor, labels: Tensor, criterion: Criterion) -> bool:
    """Whether `gradients_by_group` works for a network and agrees with autograd, tested on single images.

    The comparison is needed: weights may also be used outside their layers' calls.
    """
    n = len(images)
    try:
        found = gradients_by_group(network, lambda logits: criterion(logits, labels).sum(), images, n, graph=False)
    except (RuntimeError, ValueError, IndexError):  # a layer that the loss does not depend on, or an unusual call
        return False
    if found is None:
        return False
    parameters = [p for p in network.parameters() if p.requires_grad]
    for i in range(n):
        loss = criterion(network(images[i : i + 1]), labels[i : i + 1]).sum()
        expected = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for own, other in zip(found, expected, strict=True):
            if (own[i] - other).abs().max() > TOLERANCE * other.abs().max() + TOLERANCE**2:
                return False
    return True


TOLERANCE = 1e-3
"""Relative to the largest entry of a weight's gradient; well above rounding, well below a missing term."""

RULES: dict[type, Rule] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.GroupNorm: _group_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm,
}
"""By exact class: a subclass may compute something else."""
