"""The predicted cost of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcc_core.config import format_duration, format_size


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Predicted cost. seconds: by phase, for all sets. peak: bytes of memory of the process, or of the GPU if one
    is used; disk: bytes of the run's files."""

    outer_loops: int
    seconds: Mapping[str, float]
    peak: int
    disk: int

    @property
    def total(self) -> float:
        """Seconds from start to end."""
        return sum(self.seconds.values())

    def words(self) -> str:
        """The prediction in a line, e.g. `about 12 min: condense 10 min, score 2 min; 900 MB of memory`."""
        phases = ", ".join(f"{phase} {format_duration(s)}" for phase, s in self.seconds.items())
        memory, disk = format_size(self.peak), format_size(self.disk)
        return f"about {format_duration(self.total)} ({phases}), {memory} of memory, {disk} on disk"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "outer_loops": self.outer_loops,
            "seconds": {phase: round(s, 3) for phase, s in self.seconds.items()},
            "total_seconds": round(self.total, 3),
            "peak_memory_bytes": self.peak,
            "disk_bytes": self.disk,
        }
