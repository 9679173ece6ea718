"""Floating-point types by name, and networks that run in a smaller one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""The type of images, weights, gradients and distances for every `run.precision`."""


class Autocast(nn.Module):
    """A `Classifier` that runs in bfloat16 where torch holds that to be safe; its weights, logits and features are
    those of the network in its own type. On a GPU its maps lie in memory with their channels last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = self.network(_laid_out(images))
        return logits.to(images.dtype)

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, D) of images (B, C, H, W)."""
        with torch.autocast(images.device.type, torch.bfloat16):
            features = self.network.embed(_laid_out(images))  # pyright: ignore[reportCallIssue]
        return features.to(images.dtype)


def in_precision(network: nn.Module, name: str, device: torch.device) -> nn.Module:
    """A network on a device, as `run.precision` says."""
    network = network.to(device, DTYPES[name])
    if name != "bfloat16":
        return network
    if device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Autocast(network)


def _laid_out(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last) if images.device.type == "cuda" else images
