"""Weight gradients of several groups of images in one pass, from what goes into layers and comes back to them.

Where every weight belongs to a layer of a known kind, the gradient of a group of images is a product of the layer's
inputs with the gradients of its outputs, image by image: one pass over all images gives all groups' gradients, and
they can be differentiated again. For groups of few images this is several times as fast as group after group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from dcc_core.criterion import Criterion

Rule = Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a layer, its input and the gradient of its output: the gradients of its weight and bias."""
Passed = list[tuple[Any, Tensor, Tensor]]
"""Layers with their weights, what went into each, and the gradient of what came out."""


def by_group(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], images: Tensor, groups: int, *, graph: bool
) -> list[Tensor] | None:
    """Gradients of a loss with respect to the network's weights, for each of `groups` groups of equally many images.

    loss_of: from logits to the scalar loss, a sum over images. Returns, in the order of the parameters, tensors
    (groups, *weight shape); None where a weight belongs to no layer of a known kind, or to more than one call, or where
    a layer does not see image by image.
    """
    passed = _passed(network, loss_of, images, graph=graph)
    if passed is None:
        return None
    found: dict[int, Tensor] = {}
    for layer, before, after in passed:
        for p, of_images in zip((layer.weight, layer.bias), RULES[type(layer)](layer, before, after), strict=True):
            if p is not None:
                own = of_images.reshape(groups, -1, *p.shape)
                found[id(p)] = own.squeeze(1) if len(images) == groups else own.sum(dim=1)
    return _in_order(network, found)


def sums_by_size(
    network: nn.Module, loss_of: Callable[[Tensor], Tensor], images: Tensor, sizes: Sequence[int]
) -> list[Tensor] | None:
    """`by_group` as constants, for groups of `sizes` images each, which may be many: one product for a group."""
    passed = _passed(network, loss_of, images, graph=False)
    if passed is None:
        return None
    found: dict[int, Tensor] = {}
    for layer, before, after in passed:
        rule = SUMS.get(type(layer)) or _summed(RULES[type(layer)])
        of_groups = [rule(layer, b, a) for b, a in zip(before.split(sizes), after.split(sizes), strict=True)]
        for p, each in zip((layer.weight, layer.bias), zip(*of_groups, strict=True), strict=True):
            if p is not None:
                found[id(p)] = torch.stack([g.reshape(p.shape) for g in each])
    return _in_order(network, found)


def _passed(network: nn.Module, loss_of: Callable[[Tensor], Tensor], images: Tensor, *, graph: bool) -> Passed | None:
    """One pass of images and back, in the weights' type; None where the layers of known kinds do not tell all."""
    layers = [m for m in network.modules() if type(m) in RULES and not _pads_otherwise(m)]
    seen: list[tuple[Any, Tensor, Any]] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((layer, inputs[0], get_gradient_edge(output)))

    handles = [layer.register_forward_hook(look) for layer in layers if list(layer.parameters(recurse=False))]
    try:
        loss = loss_of(network(images))
    finally:
        for handle in handles:
            handle.remove()
    owned = [p for layer, _, _ in seen for p in (layer.weight, layer.bias) if p is not None]
    parameters = [p for p in network.parameters() if p.requires_grad]
    if len(owned) != len(parameters) or {id(p) for p in owned} != {id(p) for p in parameters}:
        return None
    if not owned or any(len(before) != len(images) for _, before, _ in seen):
        return None
    from_above = torch.autograd.grad(loss, [edge for _, _, edge in seen], create_graph=graph)
    passed: Passed = []
    for (layer, before, _), after in zip(seen, from_above, strict=True):
        before = before if graph else before.detach()
        # autocast may have made them smaller
        passed.append((layer, before.to(layer.weight.dtype), after.to(layer.weight.dtype)))
    return passed


def _in_order(network: nn.Module, found: Mapping[int, Tensor]) -> list[Tensor]:
    return [found[id(p)] for p in network.parameters() if p.requires_grad]


def _pads_otherwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str))


def _convolution(layer: nn.Conv2d, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    patches = F.unfold(before, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # pyright: ignore[reportArgumentType]
    patches = patches.unflatten(1, (layer.groups, -1))
    weight = after.flatten(2).unflatten(1, (layer.groups, -1)) @ patches.transpose(2, 3)
    return weight, after.sum(dim=(2, 3))


def _linear(layer: nn.Linear, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    before, after = (
        before.reshape(len(before), -1, layer.in_features),
        after.reshape(len(after), -1, layer.out_features),
    )
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


def _summed(rule: Rule) -> Rule:
    """A rule for the sum over images, from one for each."""

    def of_group(layer: Any, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = rule(layer, before, after)
        return weight.sum(dim=0), bias.sum(dim=0)

    return of_group


def _convolution_sum(layer: nn.Conv2d, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    weight = conv2d_weight(
        before,
        layer.weight.shape,  # pyright: ignore[reportArgumentType]
        after,
        layer.stride,
        layer.padding,  # pyright: ignore[reportArgumentType]
        layer.dilation,
        layer.groups,
    )
    return weight, after.sum(dim=(0, 2, 3))


def _linear_sum(layer: nn.Linear, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    before, after = before.reshape(-1, layer.in_features), after.reshape(-1, layer.out_features)
    return after.t() @ before, after.sum(dim=0)


def agrees(network: nn.Module, images: Tensor, labels: Tensor, criterion: Criterion) -> bool:
    """Whether `by_group` and `sums_by_size` work for a network and give what autograd gives, tried on single images.

    Weights may be used outside their layers' calls, which nothing but the result shows.
    """

    def loss_of(logits: Tensor) -> Tensor:
        return criterion(logits, labels).sum()

    try:
        found = by_group(network, loss_of, images, len(images), graph=False)
        sums = sums_by_size(network, loss_of, images, [1] * len(images))
    except (RuntimeError, ValueError, IndexError):  # a layer without a say in the loss, or called in another way
        return False
    if found is None or sums is None:
        return False
    parameters = [p for p in network.parameters() if p.requires_grad]
    for i in range(len(images)):
        loss = criterion(network(images[i : i + 1]), labels[i : i + 1]).sum()
        expected = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for own, summed, other in zip(found, sums, expected, strict=True):
            bound = TOLERANCE * other.abs().max() + TOLERANCE**2
            if (own[i] - other).abs().max() > bound or (summed[i] - other).abs().max() > bound:
                return False
    return True


TOLERANCE = 1e-3
"""Relative to the largest entry of a weight's gradient; far above rounding, far below a missing term."""

RULES: dict[type, Rule] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.GroupNorm: _group_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm,
}
"""Image by image, by exact class, since a subclass may compute something else."""

SUMS: dict[type, Rule] = {nn.Conv2d: _convolution_sum, nn.Linear: _linear_sum}
"""Over all images, where that takes less than their sum."""
