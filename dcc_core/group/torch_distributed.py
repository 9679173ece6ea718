"""Several processes on one run, by `torch.distributed`: gloo between CPUs, NCCL between GPUs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, final

import torch
from torch import Tensor, distributed
from torch.distributed import PrefixStore, Store  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.rendezvous import rendezvous

from dcc_core.errors import DccError, SilentError, as_dcc_error
from dcc_core.group.group import Group

try:
    from torch.distributed.distributed_c10d import set_timeout
except ImportError:  # what it was called before torch 2.15
    from torch.distributed.distributed_c10d import _set_pg_timeout as set_timeout

T = TypeVar("T")

START_TIMEOUT = timedelta(seconds=60)
"""How long the others are waited for at the start."""
COLLECTIVE_TIMEOUT = timedelta(days=1)
"""How long a process waits for another one. A process that dies is noticed at once, by its connections and by torchrun;
one that works, on a loss's experts for instance, may take its time."""
PATIENCE = 3.0
"""Seconds that a failing process waits for the first one, so that one message appears once."""
FAILED, HEARD, HELLO, START = "failed/", "heard/", "dcc/hello/", "dcc/start"
"""Keys of the store that processes meet by."""


class LostError(DccError):
    """Another process has gone."""


@final
class Processes(Group):
    """The group of `torch.distributed`'s default process group.

    traffic: bytes of tensors that this process has given to sums and comparisons so far, each once.
    """

    def __init__(self, rank: int, size: int, *, local_rank: int = 0) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self.traffic = 0

    def broadcast(self, make: Callable[[], T]) -> T:
        box: list[Any] = [_attempt(make) if self.first else None]
        with _together():
            distributed.broadcast_object_list(box, src=0)
        result, error = box[0]
        if error is not None:
            raise error
        return result

    def gather(self, own: T) -> list[T]:
        box: list[Any] = [None] * self.size
        with _together():
            distributed.all_gather_object(box, own)
        return box

    def stack(self, numbers: Tensor) -> Tensor:
        every = [torch.empty_like(numbers) for _ in range(self.size)]
        with _together():
            distributed.all_gather(every, numbers)
        self.traffic += numbers.nbytes
        return torch.stack(every)

    def maximum(self, number: int) -> int:
        largest = torch.tensor(number)
        with _together():
            distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return int(largest)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """All tensors of a type as one, in as few messages as there are types."""
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            same = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in same])
            with _together():
                distributed.all_reduce(flat)
            self.traffic += flat.nbytes
            for tensor, part in zip(same, flat.split([t.numel() for t in same]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def all_sum(self, tensors: Sequence[Tensor], anchor: Tensor) -> list[Tensor]:
        return list(_AllSum.apply(self, anchor, *tensors))  # pyright: ignore[reportArgumentType]

    def checksum(self, tensors: Sequence[Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.int64, device=tensors[0].device)
        for tensor in (t for t in tensors if t.is_floating_point()):
            flat = tensor.detach().contiguous().view(-1)
            bits = flat.view(torch.int64 if flat.element_size() == 8 else torch.int32).to(torch.int64)
            total = 31 * total + (bits * bits + bits).sum()  # squares, since two changes seldom cancel in them
        return (total % 2**52).double()

    @contextlib.contextmanager
    def leader_first(self) -> Iterator[None]:
        if self.local_rank:
            self._wait()
        yield
        if not self.local_rank:
            self._wait()

    def check_agreement(self, facts: Mapping[str, object]) -> None:
        own = {name: str(value) for name, value in facts.items()}
        digest = hashlib.blake2b(repr(sorted(own.items())).encode()).digest()
        if len(set(self.gather(digest))) == 1:
            return
        every = self.gather(own)
        names = sorted({name for one in every for name in one})
        differing = [name for name in names if len({one.get(name) for one in every}) > 1]
        lines = "\n".join(
            f"  {name}: " + "; ".join(f"process {rank}: {one.get(name)}" for rank, one in enumerate(every))
            for name in differing
        )
        raise DccError(f"the processes of a run must agree\n{lines}\n  install the same, and give all the same data")

    def _wait(self) -> None:
        self.gather(None)


class _AllSum(torch.autograd.Function):
    """Sums over processes; to the derivative each process's objective is 1 / size of a Total, and a term counts once.

    A Total is the same scalar on every process, and each differentiates its share of it, a size-th. What has passed
    through here reaches its own images alone: the factor gives the whole derivative back, without a message. What is
    that every process computes from all images adds up to it by itself.
    """

    @staticmethod
    def forward(ctx: Any, group: Processes, anchor: Tensor, *tensors: Tensor) -> Any:
        ctx.size = group.size
        sums = [t.detach().clone() for t in tensors]
        group.add(sums)
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, None, *(ctx.size * c for c in cotangents)


@contextlib.contextmanager
def join_processes() -> Iterator[Processes]:
    """The group that torchrun, or what sets the same variables, has started this process in.

    The others receive the error that ends it, and stay silent if they end by the same error or by its end. Raises
    DccError if they cannot be reached.
    """
    cuda = torch.cuda.is_available()
    try:
        store, rank, size = next(rendezvous("env://", timeout=START_TIMEOUT))
        store.set_timeout(START_TIMEOUT)
        store = PrefixStore(_this_start(store, rank, size), store)
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=START_TIMEOUT)
        set_timeout(COLLECTIVE_TIMEOUT)
    except (RuntimeError, ValueError, TimeoutError) as error:
        at = f"{os.environ.get('MASTER_ADDR', 'MASTER_ADDR, which is not set,')}:{os.environ.get('MASTER_PORT', '?')}"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DccError(
            f"the other processes cannot be reached at {at} within {START_TIMEOUT.seconds} s: {reason}\n"
            "  start them all by torchrun, with an address of the first machine that the others can reach"
        ) from error
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    if cuda:
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    group = Processes(rank, size, local_rank=local_rank)
    group.restarts = group.maximum(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")))
    try:
        yield group
    except DccError as error:
        raise _known(error, store, group) from error
    except KeyboardInterrupt:
        with contextlib.suppress(RuntimeError):
            store.set(f"{FAILED}{group.rank}", "interrupted")
        raise
    finally:
        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


def _this_start(store: Store, rank: int, size: int) -> str:
    """A name that the processes of this start share, and none of an earlier one. Raises TimeoutError.

    torchrun may keep its store when it restarts processes, with the addresses of those that have died. So the
    first process says which of the others it has seen, by tokens that are theirs alone, until all have found theirs.
    """
    own, end = secrets.token_hex(8), time.monotonic() + START_TIMEOUT.total_seconds()
    others = [str(r) for r in range(1, size)]
    if rank:
        store.set(f"{HELLO}{rank}", own)
    while time.monotonic() < end:
        if rank == 0:
            if store.check([f"{own}/{r}" for r in others]):
                return own
            seen = {r: store.get(f"{HELLO}{r}").decode() for r in others if store.check([f"{HELLO}{r}"])}
            store.set(START, json.dumps([own, seen]))
        elif store.check([START]):
            name, seen = json.loads(store.get(START))
            if seen.get(str(rank)) == own:
                store.set(f"{name}/{rank}", "here")
                return name
        time.sleep(0.02)
    raise TimeoutError("not all of them have come")


def _known(error: DccError, store: Store, group: Processes) -> DccError:
    """What a process says that ends by an error: nothing, if another one says it."""
    message = str(error)
    lost = isinstance(error, LostError) or isinstance(error.__cause__, LostError)  # a run adds what there is of it
    with contextlib.suppress(RuntimeError):
        if not lost:
            store.set(f"{FAILED}{group.rank}", message)
        others = [rank for rank in range(group.size) if rank != group.rank]
        if group.first and not lost:  # the store may end with this process: the others are to read it before
            _wait_for(lambda: store.check([f"{HEARD}{rank}" for rank in others]), PATIENCE / 3)
            return error

        def said() -> bool:
            told = [rank for rank in others if store.check([f"{FAILED}{rank}"])]
            return bool(told) if lost else 0 in told and store.get(f"{FAILED}0").decode() == message

        if _wait_for(said, PATIENCE):
            store.set(f"{HEARD}{group.rank}", "")
            return SilentError(message)
    return error if group.first else DccError(f"process {group.rank} of {group.size}: {message}")


def _wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return met


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Turn what torch raises if another process has gone into an error that says so."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error).splitlines() or ["?"])[0].partition(". ")[0]
        raise LostError(
            f"another process has ended, cannot be reached, or does otherwise: {reason}\n"
            "  a loss that calls step.all_sum does so equally often in every process, with the same shapes"
        ) from error


def _attempt(make: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    try:
        return make(), None
    except DccError as error:
        return None, error
    except Exception as error:
        return None, as_dcc_error(error)
