"""Pieces of work on Ray: one that this process starts, or a cluster that is there.

Imported by workers before they have their threads: imports nothing heavy, and Ray itself only if it is asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import re
import socket
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, final

from dcc_core.errors import DccError, PluginWarning
from dcc_core.plugins import Registry
from dcc_core.runs import Interrupts
from dcc_plugins.tables.workers import (
    A,
    Began,
    Event,
    Events,
    Failed,
    Losses,
    R,
    Resources,
    Workers,
    run_piece,
    threads,
)

log = logging.getLogger("dcc")

TURN = 0.5
"""Seconds between two looks at the workers."""
PATIENCE = 30
"""Seconds that a cluster has to answer."""
FIRST_WORKER = 60
"""Seconds that the first worker of a cluster has to say what it sees."""
ATTEMPT = """
import sys, logging, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)
ray.shutdown()
"""


@final
class OnRay(Workers):
    """A task of Ray's for each piece of work, in a process of its own.

    address: as `ray.init` wants it; empty: that in RAY_ADDRESS, or else a Ray that is started here, for this process
    and on this machine's loopback alone. Without resources said, a task takes one CPU, and a GPU if there are any.
    shared: where results go. A worker that does not see this folder, or has other versions, is an error.
    Raises DccError where Ray is not installed.
    """

    def __init__(self, address: str, resources: Resources, shared: Path) -> None:
        self.address = address or os.environ.get("RAY_ADDRESS", "") or "local"
        self._resources = resources
        self._shared = shared
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self._own:  # Ray's word for "no cluster": without it, its ports are open to the network
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            self._ray = importlib.import_module("ray")
        except ImportError as error:
            install = "pip install 'dataset-condensation[ray]'"
            raise DccError(f"--on ray needs the package ray: {install} ({error})") from error

    def each(self, work: Callable[[A], R], given: Mapping[str, A]) -> Events[R]:
        if not given:
            return
        interrupts = Interrupts()
        with interrupts.install(), self._connect():
            resources = self._check_cluster()
            self._look_around()
            with interrupts.hold():
                yield from self._all(work, given, resources, interrupts)

    @property
    def _own(self) -> bool:
        return self.address == "local"

    @contextlib.contextmanager
    def _connect(self) -> Iterator[None]:
        """Ray, while the context lasts. Raises DccError if none answers, which Ray says late, or it is gone."""
        if not self._own:
            _check_answer(self.address)
        how = {"include_dashboard": False} if self._own else {}
        try:
            self._ray.init(address=self.address, log_to_driver=False, logging_level=logging.CRITICAL, **how)
        except (OSError, RuntimeError, ValueError) as error:
            raise DccError(f"--on ray: {_last_line(error)}") from error
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise DccError(f"--on ray: {_last_line(error)}; the same command continues") from error
        finally:
            self._ray.shutdown()

    def _check_cluster(self) -> Resources:
        """The resources of a task. Raises DccError if there cannot be any such worker; a cluster may still grow."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = {key: max((node.get(key, 0.0) for node in nodes), default=0.0) for key in ("CPU", "GPU")}
        wanted = self._resources.over(Resources(cpus=1, gpus=min(1.0, most["GPU"])))
        if not any(n.get("CPU", 0) >= (wanted.cpus or 0) and n.get("GPU", 0) >= (wanted.gpus or 0) for n in nodes):
            words = f"cells want {wanted.cpus} CPUs and {wanted.gpus:g} GPUs, and no machine of Ray's has so many"
            words += f" (at most {most['CPU']:g} and {most['GPU']:g})"
            if self._own:
                raise DccError(f"--on ray: {words}; give less by --cell-cpus and --cell-gpus")
            log.warning(f"{words}: waiting until the cluster grows")
        return wanted

    def _look_around(self) -> None:
        """Ask one worker what it sees. Raises DccError if it could not do the work."""
        self._shared.mkdir(parents=True, exist_ok=True)
        sign = self._shared / f".dcc-{uuid.uuid4().hex}"
        sign.touch()
        try:
            task = self._ray.remote(max_retries=2, num_cpus=0)(_look)
            seen = self._ray.get(task.remote(sign, os.getcwd()), timeout=FIRST_WORKER)
        except self._ray.exceptions.GetTimeoutError as error:
            raise DccError(f"--on ray: no worker has said anything within {FIRST_WORKER} seconds") from error
        except self._ray.exceptions.RayError as error:
            hint = "they need the same packages as are installed here"
            raise DccError(f"--on ray: workers cannot run dcc: {_last_line(error)}; {hint}") from error
        finally:
            sign.unlink(missing_ok=True)
        check_seen(seen, versions_here(), self._shared)

    def _all(
        self, work: Callable[[A], R], given: Mapping[str, A], resources: Resources, interrupts: Interrupts
    ) -> Events[R]:
        options = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "max_retries": 0, "max_calls": 1}
        task = self._ray.remote(**options)(_life)
        environment = threads(resources.cpus or 1) | ({} if resources.gpus else {"CUDA_VISIBLE_DEVICES": ""})
        news = self._ray.remote(num_cpus=0, max_restarts=-1)(_News).remote()
        losses = Losses()

        def handed_over(name: str) -> object:
            piece = self._ray.cloudpickle.dumps((name, work, given[name]))
            return task.options(name=name).remote(news, name, environment, os.getcwd(), piece)

        running = {handed_over(name): name for name in given}
        try:
            while running:
                interrupts.check()
                ended, _ = self._ray.wait(list(running), timeout=TURN)
                for name in self._news(news):
                    yield Began(name)
                for one in ended:
                    event, lost = self._outcome(one, running.pop(one), losses)
                    if lost:
                        running[handed_over(lost)] = lost
                    yield event
        finally:
            self._end(list(running))

    def _news(self, news: Any) -> list[str]:
        """The tasks that have begun, as far as known: none for a while after the actor is lost."""
        try:
            return self._ray.get(news.taken.remote(), timeout=10 * TURN)
        except self._ray.exceptions.RayError:
            return []

    def _outcome(self, task: object, name: str, losses: Losses) -> tuple[Event, str]:
        """How a task ended; its name again if another worker is to do it."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(task), ""
        except errors.RayError as error:
            if isinstance(error, errors.RayTaskError) and not isinstance(error, errors.TaskCancelledError):
                return Failed(name, _last_line(error)), ""
            event = losses.another(name, _last_line(error))
            return event, "" if isinstance(event, Failed) else name

    def _end(self, tasks: list[object]) -> None:
        """End tasks as Ctrl-C ends a run; if a second signal comes, at once."""
        try:
            for task in tasks:
                self._ray.cancel(task)
            while tasks:
                _, tasks = self._ray.wait(tasks, num_returns=len(tasks), timeout=TURN)
        finally:
            for task in tasks:
                self._ray.cancel(task, force=True)


@final
class _News:
    """The tasks that have begun, told by them to whom it concerns. An actor of Ray's."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def began(self, name: str) -> None:
        self._names.append(name)

    def taken(self) -> list[str]:
        names, self._names = self._names, []
        return names


@dataclass(frozen=True)
class Seen:
    """What a worker sees. sees: the results' folder. versions: see `versions_here`."""

    host: str
    sees: bool
    versions: dict[str, str]


def _look(sign: Path, folder: str) -> Seen:
    """What a worker sees: a file in the results' folder, and the versions of what is installed."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
    return Seen(socket.gethostname(), sign.exists(), versions_here())


def check_seen(seen: Seen, here: Mapping[str, str], shared: Path) -> None:
    """Raise DccError where a worker does not see where results go, or has other versions than are here."""
    if not seen.sees:
        raise DccError(
            f"--on ray: a worker on {seen.host} does not see '{shared}', where results go; "
            "give an --out on a file system that all machines share"
        )
    names = sorted({**here, **seen.versions})
    other = [name for name in names if seen.versions.get(name) != here.get(name)]
    if other:
        words = "; ".join(f"{name} {seen.versions.get(name, 'none')}, here {here.get(name, 'none')}" for name in other)
        raise DccError(f"--on ray: a worker on {seen.host} has other versions: {words}")


def versions_here() -> dict[str, str]:
    """Versions of Python, torch, and all that brings plugins."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # what is left out has been said
        plugins = Registry.installed().versions()
    return {"Python": platform.python_version(), "torch": metadata.version("torch"), **plugins}


def _life(news: Any, name: str, environment: Mapping[str, str], folder: str, piece: bytes) -> Event[Any]:
    """A task in its process, quiet, in the folder that relative paths are meant from."""
    os.environ.update(environment)  # before the work is unpickled, which may import torch
    with contextlib.suppress(OSError):
        os.chdir(folder)
    news.began.remote(name)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        return run_piece(*importlib.import_module("ray").cloudpickle.loads(piece))


def _check_answer(address: str) -> None:
    """Raise DccError if no Ray answers at an address within `PATIENCE`."""
    title = f"--on ray: no Ray answers at '{address}'"
    client = "ray://" if address.startswith("ray://") else ""
    found = re.fullmatch(r"\[?([^\[\]/]+?)\]?(?::(\d+))?", address.removeprefix("ray://"))
    if address != "auto":
        if found is None or not (client or found[2]):
            raise DccError(f"--on ray: '{address}' is no address; ray:HOST:PORT, ray://HOST:PORT, or ray:auto")
        try:
            with socket.create_connection((found[1], int(found[2] or 10001)), timeout=PATIENCE / 2):
                pass
        except (OSError, OverflowError) as error:
            raise DccError(f"{title}: {error}") from error
    try:
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPT, address], timeout=PATIENCE, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        said = _last_line((error.stderr or b"").decode(errors="replace"))
        raise DccError(f"{title} within {PATIENCE} seconds{f': {said}' if said else ''}") from error
    if done.returncode:
        hint = "; it asks for a token: RAY_AUTH_MODE=token" if "Unauthenticated" in done.stderr else ""
        raise DccError(f"{title}: {_last_line(done.stderr)}{hint}")


def _last_line(error: object) -> str:
    """The last line of what Ray says, which tells most."""
    lines = [line for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    return re.sub(r"^([\w.]+Error:|\[.*?\]) ", "", lines[-1].strip()) if lines else ""
