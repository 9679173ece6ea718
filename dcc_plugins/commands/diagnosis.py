"""What is here and what a run would use, in words. A part that cannot be found out says why; nothing raises."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import platformdirs

from dcc_core.config import format_size
from dcc_core.plugins import Registry
from dcc_plugins.data.kept_files import FOLDER
from dcc_plugins.terminal import terminal

DISTRIBUTION = "dataset-condensation"
PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "timm", "kornia", "safetensors", "matplotlib")
VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"),
    *("MALLOC_ARENA_MAX", "DCC_DEBUG", "NO_COLOR", "TERM", "HF_HUB_OFFLINE"),
)
"""Variables of the environment that change what a run does, and hold no secret."""
CGROUP = Path("/sys/fs/cgroup")
Part = dict[str, str]


def diagnose(registry: Registry, data_root: Path | None = None) -> dict[str, Part]:
    """What is found, by part and name. data_root: where data sets are; none: the user's cache folder."""
    parts: dict[str, Callable[[], Part]] = {
        "versions": _versions,
        "plugins": functools.partial(_plugins, registry),
        "devices": _devices,
        "processors": _processors,
        "memory": _memory,
        "folders": functools.partial(_folders, data_root or Path(platformdirs.user_cache_dir("dcc"))),
        "extras": _extras,
        "terminal": _terminal,
        "environment": lambda: {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    return {title: _found(find) for title, find in parts.items()}


def without_names(found: Mapping[str, Part]) -> dict[str, Part]:
    """The same with `~` for the home folder, and in paths for the user's name."""
    try:
        home, user = str(Path.home()), getpass.getuser()
    except (RuntimeError, OSError, KeyError):
        return {title: dict(values) for title, values in found.items()}
    name = re.compile(rf"(?<=[/\\]){re.escape(user)}(?=[/\\]|\b)")
    return {t: {n: name.sub("~", v.replace(home, "~")) for n, v in values.items()} for t, values in found.items()}


def _found(find: Callable[[], Part]) -> Part:
    try:
        return find()
    except Exception as error:
        return {"unknown": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _versions() -> Part:
    own = {"dcc": _version(DISTRIBUTION), "python": f"{platform.python_version()} ({sys.executable})"}
    return own | {"system": platform.platform()} | {name: _version(name) for name in PACKAGES}


def _plugins(registry: Registry) -> Part:
    rows = list(registry.components())  # a hook that fails is noticed when it is called
    counts = {row.origin: sum(other.origin == row.origin for other in rows) for row in rows}
    found = {origin.provider: f"{origin.distribution} {origin.version}, {n} components" for origin, n in counts.items()}
    return found | {f"{b.origin.provider}, not loaded": b.reason for b in registry.broken}


def _devices() -> Part:
    import torch

    from dcc_core.compute import find_device

    found = {"would be used": str(find_device("auto"))}
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{about.name}, {format_size(about.total_memory)}"
    if not torch.cuda.is_available():
        found["cuda"] = "none" if torch.version.cuda else "none, and this torch is built without it"
    return found | {"mps": "yes" if torch.backends.mps.is_available() else "none"}


def _processors() -> Part:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"threads of torch": str(torch.get_num_threads()), "usable": str(usable), "there": str(os.cpu_count())}
    quota, _, period = _read(CGROUP / "cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        found["limit of the container"] = f"{int(quota) / int(period):g}"
    return found


def _memory() -> Part:
    lines = dict(line.split(":", 1) for line in _read(Path("/proc/meminfo")).splitlines())
    names = {"there": "MemTotal", "free": "MemAvailable"}
    found = {n: format_size(1024 * int(lines[key].split()[0])) for n, key in names.items() if key in lines}
    if not found and hasattr(os, "sysconf"):
        found["there"] = format_size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if (limit := _read(CGROUP / "memory.max")).isdecimal():
        found["limit of the container"] = format_size(int(limit))
    return found


def _folders(root: Path) -> Part:
    nearest = next(p for p in (root, *root.absolute().parents) if p.exists())
    found = {"data root": f"{root}, {_size(root)}", "kept pictures": f"{root / FOLDER}, {_size(root / FOLDER)}"}
    return found | {"free there": format_size(shutil.disk_usage(nearest).free), "working folder": str(Path.cwd())}


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "not there"
    return format_size(sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file()))


def _extras() -> Part:
    """By the requirements that the distribution itself lists."""
    packages: dict[str, list[str]] = {}
    for line in metadata.requires(DISTRIBUTION) or ():
        package, extra = re.match(r"[\w.-]+", line), re.search(r"extra\s*==\s*['\"]([\w-]+)", line)
        if package and extra and package[0] != DISTRIBUTION:
            packages.setdefault(extra[1], []).append(package[0])
    return {extra: ", ".join(f"{name} {_version(name)}" for name in names) for extra, names in packages.items()}


def _terminal() -> Part:
    console = terminal()
    what = f"{console.width} columns" if console.is_terminal else "no terminal"
    return {"output": what, "colours": console.color_system or "none", "encoding": console.encoding}


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
