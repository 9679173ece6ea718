"""Work on a GPU that is captured as a CUDA graph, and replayed.

A GPU computes on small tensors faster than a CPU launches the operations. A graph launches all of them at once.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import weakref
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dcc_core.compute.structure import structure_of

log = logging.getLogger("dcc")

MOST = 64
"""Graphs that are kept; the one that was captured first goes first."""
PATIENCE = 3
"""Captures that may fail before no more are tried: one may fail for what else the process does at that moment."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Work = functools.partial[Any]
"""A function of a network and of tensors, with its settings, which are hashable; it gives tensors, or nothing."""


class Graphs:
    """Functions of networks and tensors, replayed as CUDA graphs where that is possible.

    A function runs as it is the first time that it gets inputs of some shapes. The second time it is captured, with a
    copy of the network, and from then on replayed. All that it reads is in its settings, its inputs and the network's
    parameters and buffers; all that it changes is in the latter two, in place. What cannot be captured runs as it is;
    if captures fail again and again, that is said once, and nothing is captured from then on.
    """

    device_type = "cuda"

    def __init__(self, wanted: bool = True) -> None:
        self._wanted, self._failures = wanted, 0
        self._graphs: dict[Hashable, _Graph | Literal["seen", "refused"]] = {}
        self._networks: WeakKeyDictionary[nn.Module, _Network] = WeakKeyDictionary()
        self._places: dict[torch.device, dict[str, Any]] = {}

    def __reduce__(self) -> tuple[type[Graphs], tuple[bool]]:
        """Another process captures its own."""
        return type(self), (self._wanted,)

    def replay_on(self, device: torch.device) -> bool:
        """Whether work on this device is replayed."""
        return self._wanted and device.type == self.device_type

    def call(self, work: Work, network: nn.Module, *inputs: Tensor, prepared: bool = False) -> list[Tensor]:
        """`work(network, *inputs)`, which changes nothing. prepared: `prepare` comes before, so nothing is captured."""
        with self._memory_given_back():
            graph = self._find(work, network, inputs, capture=not prepared)
            return graph.replay([*self._known(network).tensors, *inputs]) if graph else work(network, *inputs)

    def prepare(self, work: Work, network: nn.Module, *inputs: Tensor) -> None:
        """Capture work that autograd's own threads will `call`, where torch cannot capture."""
        with self._memory_given_back():
            self._find(work, network, inputs)

    def change(self, work: Work, network: nn.Module, state: Sequence[Tensor], *inputs: Tensor) -> None:
        """`work(network, *state, *inputs)`, which changes the network's tensors, and `state`, in place."""
        with self._memory_given_back():
            graph = self._find(work, network, [*state, *inputs])
            if graph:
                changed = [*self._known(network).tensors, *state]
                graph.replay([*changed, *inputs])
                graph.copy_to(changed)
            else:
                work(network, *state, *inputs)

    def record(self, work: Callable[[], list[Tensor]], device: torch.device) -> tuple[list[Tensor], Callable[[], None]]:
        """The tensors that some work gives, and a function that computes them anew."""
        work()  # what is compiled, tuned or allocated once
        if device not in self._places:
            stream, pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()
            self._places[device] = {"stream": stream, "pool": pool}  # graphs run one by one, and share their memory
        graph, how = torch.cuda.CUDAGraph(), self._places[device]
        with torch.cuda.device(device), torch.cuda.graph(graph, **how, capture_error_mode="thread_local"):
            outputs = work()
        return outputs, graph.replay

    def _find(self, work: Work, network: nn.Module, inputs: Sequence[Tensor], *, capture: bool = True) -> _Graph | None:
        """The graph of some work, which is captured if it has been asked for before; none if it is to run as it is."""
        device = inputs[0].device
        if not self.replay_on(device):
            return None
        known = self._known(network)
        if known.structure is None or any(getattr(m, hooks) for m in known.modules() for hooks in HOOKS):
            return None
        now = tuple(m.training for m in known.modules()), tuple((t.dtype, t.requires_grad) for t in known.tensors)
        shapes = tuple((t.shape, t.stride(), t.dtype) for t in inputs)
        key = (work.func, tuple(sorted(work.keywords.items())), known.structure, now, shapes, device)
        if key not in self._graphs:
            self._graphs[key] = "seen"
            if len(self._graphs) > MOST:
                del self._graphs[next(iter(self._graphs))]
        elif self._graphs[key] == "seen" and capture:
            self._graphs[key] = self._capture(work, network, inputs)
        graph = self._graphs.get(key, "refused")
        return None if isinstance(graph, str) else graph

    def _capture(self, work: Work, network: nn.Module, inputs: Sequence[Tensor]) -> _Graph | Literal["seen", "refused"]:
        """A graph of some work; `refused` if it is to run as it is, `seen` if another attempt may go better."""
        try:
            twin = copy.deepcopy(network)
        except Exception as error:
            log.debug(f"run.graphs: a network that cannot be copied runs as it is: {error!r}")
            return "refused"
        device = inputs[0].device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):  # replays alone draw numbers
                graph = _Graph(self.record, work, twin, inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._failures += 1
            if self._failures == PATIENCE:
                self._give_up(error)
            return "seen"
        if not graph.in_place:
            return "refused"
        if not any(isinstance(other, _Graph) for other in self._graphs.values()):
            log.info("run.graphs: work on the GPU is replayed as CUDA graphs")
        return graph

    def _known(self, network: nn.Module) -> _Network:
        if network not in self._networks:
            self._networks[network] = _Network(network)
        return self._networks[network]

    @contextlib.contextmanager
    def _memory_given_back(self) -> Iterator[None]:
        """If memory runs out, let go of all graphs: the work is done again in smaller passes."""
        try:
            yield
        except torch.OutOfMemoryError:
            self._graphs.clear()
            raise

    def _give_up(self, error: RuntimeError) -> None:
        """Run everything as it is from here on."""
        self._wanted = False
        self._graphs.clear()
        torch.cuda.empty_cache()
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.warning(f"run.graphs: no CUDA graph could be captured, work runs without them: {reason}")


NO_GRAPHS = Graphs(wanted=False)
"""Replays nothing."""


class _Graph:
    """Work that has been recorded with a network and inputs of its own, which others are copied to.

    in_place: whether the network kept its tensors meanwhile.
    """

    def __init__(self, record: Callable[..., Any], work: Work, network: nn.Module, inputs: Sequence[Tensor]) -> None:
        known, own = _Network(network), [t.detach().clone() for t in inputs]
        before = known.tensors
        self._network, self._tensors = network, [*before, *own]
        self._outputs, self._launch = record(lambda: list(work(network, *own) or ()), inputs[0].device)
        self.in_place = list(map(id, before)) == list(map(id, known.tensors))

    @torch.no_grad()
    def replay(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What the work gives with the tensors of another network and other inputs, as copies."""
        _copy(self._tensors, tensors)
        self._launch()
        return [t.clone() for t in self._outputs]

    @torch.no_grad()
    def copy_to(self, tensors: Sequence[Tensor]) -> None:
        """Copy its first tensors, which the work has changed, to others."""
        _copy(tensors, self._tensors[: len(tensors)])


class _Network:
    """A network's modules, without a reference that keeps it alive, its structure, and its tensors as they are now."""

    def __init__(self, network: nn.Module) -> None:
        self._own, self._inner = weakref.ref(network), list(network.modules())[1:]
        self.structure = structure_of(network)

    def modules(self) -> list[nn.Module]:
        own = self._own()
        return self._inner if own is None else [own, *self._inner]

    @property
    def tensors(self) -> list[Tensor]:
        """Parameters and buffers."""
        kept = (t for m in self.modules() for own in (m._parameters, m._buffers) for t in own.values())
        return [t for t in kept if t is not None]


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors, those of one type at once."""
    by_type: defaultdict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for target, source in zip(targets, sources, strict=True):
        for tensors, one in zip(by_type[target.dtype], (target, source), strict=True):
            tensors.append(one)
    for pair in by_type.values():
        torch._foreach_copy_(*pair)  # pyright: ignore[reportPrivateImportUsage]
