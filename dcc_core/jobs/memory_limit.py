"""The memory that a limit leaves for networks."""

from __future__ import annotations

import math

import torch

from dcc_core.compute import COPIES, IMAGES_AT_ONCE, PROGRAM_BYTES, keep_freed_memory
from dcc_core.config import RunOptions, parse_size
from dcc_core.data import RealData


def memory_left(run: RunOptions, data: RealData, device: torch.device) -> int | None:
    """Bytes of `run.memory` left after program, data and drawn images; may be negative. None without a limit.

    Sets the limit in torch on a GPU. Without a limit, keeps freed memory. Raises DccError if the limit is not a size.
    """
    if run.memory is None:
        keep_freed_memory()
        return None
    limit = parse_size(run.memory)
    if device.type == "cuda":
        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / whole), device)
    program = 0 if device.type == "cuda" else PROGRAM_BYTES
    stored = sum(part.images.nbytes for part in (data.train, data.test, data.validation) if part)
    drawn = min(IMAGES_AT_ONCE, data.num_classes * run.real_batch)
    images = 2 * len(data.test.labels) + COPIES * (drawn + 2 * data.num_classes * run.ipc)
    number = 8 if run.precision == "float64" else 4
    return limit - program - stored - images * math.prod(data.shape) * number
