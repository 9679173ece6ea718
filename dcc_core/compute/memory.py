"""Memory: the most that was used, and what a limit leaves for networks."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch

PROGRAM_BYTES = 850_000_000
"""Bytes of the program itself: Python, torch and the packages that a run imports."""
WORKER_BYTES = 40_000_000
"""Bytes that a worker process has of its own beside what its network takes."""
IMAGES_AT_ONCE = 256
"""Real images that are normalised and augmented in one call where a pass takes fewer."""
COPIES = 4
"""Copies of such images that exist at a time."""


def peak_memory(device: torch.device) -> int:
    """The most memory used so far, in bytes; 0 if unknown.

    That of the GPU if it is one, else of the process, together with that of its workers while they worked.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return max(process_peak(), _with_workers)


def reset_peak() -> None:
    """Reset `peak_memory`, if the system can: on Linux, and of GPUs."""
    global _with_workers
    _with_workers = 0
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    reset_process_peak()


_with_workers = 0
"""The most bytes that this process and its workers have had together."""


def record_worker_memory(before: int, own: int) -> None:
    """Record memory in bytes: of this process before its workers started, and the workers' own."""
    global _with_workers
    _with_workers = max(_with_workers, before + own)


def process_peak() -> int:
    """The most bytes that this process alone has had; 0 if unknown.

    On Linux, `getrusage` would count what the process that started this one had.
    """
    if sys.platform == "win32":
        return 0
    if told := read_proc("status", "VmHWM"):
        return told
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_process_peak() -> None:
    """Reset `process_peak`, on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def process_memory() -> int:
    """The bytes that this process has now, on Linux, those that it shares with others among them."""
    return read_proc("status", "VmRSS")


def own_peak() -> int:
    """The peak of the bytes that this forked process does not share, on Linux, memory that it has freed included.

    A page from before the fork counts if either process has written to it since.
    """
    return read_proc("smaps_rollup", "Private_Dirty") + process_peak() - process_memory()


def read_proc(file: str, name: str) -> int:
    """Bytes that a line of one of this process's files below `/proc` names; 0 if there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self", file).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    return 0
