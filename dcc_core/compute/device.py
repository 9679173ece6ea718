"""Devices by name."""

from __future__ import annotations

import torch
from torch import Tensor

from dcc_core.errors import DccError
from dcc_core.group import ALONE, Group


def send(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor on a device; from the CPU to a GPU without waiting, through pinned memory."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, dtype, non_blocking=True)
    return tensor.to(device, dtype)


def find_device(name: str, group: Group = ALONE) -> torch.device:
    """The device of an option: `auto`, `cpu`, `cuda`, `cuda:N`; of several processes, each has a GPU of its own.

    Raises DccError if it cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if group.size > 1 and name.startswith("cuda"):
        if name != "cuda":
            raise DccError(f"run.device: '{name}' is one GPU, for {group.size} processes; give cuda, or cpu")
        if group.local_rank >= (there := torch.cuda.device_count()):
            raise DccError(
                f"run.device: process {group.rank} has no GPU: there are {there} on its machine; start at most as many "
                "processes on each (torchrun --nproc-per-node), or give --device cpu"
            )
        name = f"cuda:{group.local_rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DccError(f"run.device: '{name}' cannot be used: {reason} One of auto, cpu, cuda, cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DccError(f"run.device: '{name}' is not one of auto, cpu, cuda, cuda:N")
    return device
