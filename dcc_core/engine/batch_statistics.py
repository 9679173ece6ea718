"""Layers that keep running statistics, BatchNorm above all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def batch_norm_layers(network: nn.Module) -> list[Any]:
    """The layers with running statistics, torch's or others': they have a buffer `running_var`."""
    return [m for m in network.modules() if "running_var" in dict(m.named_buffers(recurse=False))]


def move_statistics(network: nn.Module, images: Tensor, momentum: float | None = None) -> None:
    """One forward of images (B, C, H, W) that moves running statistics towards theirs, and changes nothing else.

    momentum: how far, 1 being all the way; by default each layer's own. Leaves the network in evaluation mode.
    """
    network.eval()
    layers = batch_norm_layers(network)
    own = [layer.momentum for layer in layers]
    for layer in layers:
        layer.training = True  # not train(): a dropout inside the layer stays off
        layer.momentum = layer.momentum if momentum is None else momentum
    with torch.no_grad():
        network(images)
    for layer, before in zip(layers, own, strict=True):
        layer.momentum = before
    network.eval()
