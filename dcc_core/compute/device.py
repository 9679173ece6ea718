"""Devices by name."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from dcc_core.errors import DccError
from dcc_core.group import ALONE, Group

CHOICES = "auto, cpu, cuda, cuda:N, mps"


def send(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of the CPU on a device and in a type; on a GPU without waiting, through pinned memory."""
    tensor = tensor.to(dtype or tensor.dtype)
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def widest(device: torch.device) -> torch.dtype:
    """The widest floating-point type of a device: mps, the GPU of Apple's computers, has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def can_fork() -> bool:
    """Whether a fork can compute derivatives: not where torch sees a GPU, and has threads for them, on the CPU too."""
    return sys.platform == "linux" and not torch.cuda.is_available()


def find_device(name: str, group: Group = ALONE, *, precision: str = "float32") -> torch.device:
    """The device of an option; of several processes, each has its own GPU. Raises DccError if it cannot be used."""
    if name == "auto":
        apple = torch.backends.mps.is_available() and precision != "float64"
        name = "cuda" if torch.cuda.is_available() else "mps" if apple else "cpu"
    if group.size > 1 and name.startswith("cuda"):
        if name != "cuda":
            raise DccError(f"run.device: '{name}' is one GPU, for {group.size} processes; give cuda, or cpu")
        if group.local_rank >= (there := torch.cuda.device_count()):
            raise DccError(
                f"run.device: process {group.rank} has no GPU: there are {there} on its machine; start at most as many "
                "processes on each (torchrun --nproc-per-node), or give --device cpu"
            )
        name = f"cuda:{group.local_rank}"
    if name.startswith("mps") and precision == "float64":
        raise DccError("run.precision: float64 is not offered on mps; give --device cpu, or run.precision=float32")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise DccError(f"run.device: '{name}' cannot be used: {reason}. One of {CHOICES}") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise DccError(f"run.device: '{name}' is not one of {CHOICES}")
    return device
