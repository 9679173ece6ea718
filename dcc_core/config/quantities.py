"""Times and sizes in words, and read from them."""

from __future__ import annotations

import re

from dcc_core.errors import DccError

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
BYTES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def format_duration(seconds: float) -> str:
    """A time in words: `45 s`, `12 min`, `3 h 5 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def format_size(count: int) -> str:
    """A number of bytes in words: `20 kB`, `1.2 GB`."""
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "bytes" else f"{value:.1f} {units[0]}"


def parse_duration(text: str, key: str) -> float:
    """Seconds of `90s`, `10m`, `1h30m`, `2d`. Raises DccError, which names the option, for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    if not parts or "".join(n + u for n, u in parts) != text.replace(" ", ""):
        raise DccError(f"{key}: '{text}' is not a time such as 90s, 10m or 1h30m")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def parse_size(text: str) -> int:
    """Bytes of `800M`, `8G`, `8 GB`, `1.5g`; a kilobyte is 1000 bytes. Raises DccError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt])b?", text.strip(), re.IGNORECASE)
    if not match:
        raise DccError(f"run.memory: '{text}' is not a size such as 800M or 8G")
    units = {unit.lower(): count for unit, count in BYTES.items()}
    return int(float(match[1]) * units[match[2].lower()])
