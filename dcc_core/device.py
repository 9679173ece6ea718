"""Devices by name."""

from __future__ import annotations

import torch

from dcc_core.errors import DccError


def device_named(name: str) -> torch.device:
    """The device of an option: `auto`, `cpu`, `cuda`, `cuda:N`. Raises DccError where it cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DccError(f"run.device: '{name}' cannot be used: {reason} One of auto, cpu, cuda, cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DccError(f"run.device: '{name}' is not one of auto, cpu, cuda, cuda:N")
    return device
