"""How networks compute: floating-point types by name, the layout of their maps, and TF32."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.utils import deterministic

from dcc_core.config import RunOptions

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}
"""The type of images, weights, gradients and distances for every `run.precision`."""


class Autocast(nn.Module):
    """A `Classifier` that runs in bfloat16 where torch holds that to be safe; its weights, logits and features are
    those of the network in its own type."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = self.network(images)
        return logits.to(images.dtype)

    def embed(self, images: Tensor) -> Tensor:
        """Features (B, D) of images (B, C, H, W)."""
        with torch.autocast(images.device.type, torch.bfloat16):
            features = self.network.embed(images)  # pyright: ignore[reportCallIssue]
        return features.to(images.dtype)


def in_precision(network: nn.Module, run: RunOptions, device: torch.device) -> nn.Module:
    """A network on a device, as `run.precision` and `run.layout` say.

    Weights with their channels last make convolutions give maps that lie so. On a GPU, a `run.tf32` other than torch's
    own, and `run.deterministic`, hold from then on, for the whole process.
    """
    if device.type == "cuda":
        use_deterministic_kernels(run.deterministic)
        if run.tf32 != "torch":
            use_tf32(run.tf32)
    network = network.to(device, DTYPES[run.precision])
    low = run.precision == "bfloat16"
    if run.layout == "channels-last" or (run.layout == "auto" and low and device.type == "cuda"):
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Autocast(network) if low else network


def use_deterministic_kernels(wanted: bool) -> None:
    """Set whether this process's GPUs run kernels without atomic sums; where torch has none, it warns once."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue] - a launch a tensor
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = wanted, False


def use_tf32(where: str) -> None:
    """Set where this process's GPUs round factors to TF32: `off`, in `convolutions`, or in `all` products."""
    torch.backends.cudnn.allow_tf32 = where != "off"
    torch.set_float32_matmul_precision("high" if where == "all" else "highest")
