"""Work on a GPU that is captured as a CUDA graph, and replayed.

A GPU computes on small tensors faster than a CPU launches the operations. A graph launches all of them at once.
"""

from __future__ import annotations

import copy
import functools
import logging
import types
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

log = logging.getLogger("dcc")

MOST = 64
"""Graphs that are kept; the one that was captured first goes first."""
PATIENCE = 3
"""Captures that may fail before no more are tried: one may fail for what else the process does at that moment."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OF_EVERY_MODULE = vars(nn.Module()).keys()

Work = functools.partial[Any]
"""A function of a network and of tensors, with its settings, which are hashable; it gives tensors, or nothing."""


class Graphs:
    """Functions of networks and tensors, replayed as CUDA graphs where that is possible.

    A function runs as it is the first time that it gets inputs of some shapes. The second time it is captured, with a
    copy of the network, and from then on replayed. All that it reads is in its settings, its inputs and the network's
    parameters and buffers; all that it changes is in the latter two. If captures fail again and again, that is said
    once, and everything runs as it is from then on.
    """

    device_type = "cuda"

    def __init__(self, wanted: bool = True) -> None:
        self._wanted, self._failures = wanted, 0
        self._graphs: dict[Hashable, _Graph | None] = {}
        self._networks: WeakKeyDictionary[nn.Module, _Network] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[Graphs], tuple[bool]]:
        """Another process captures its own."""
        return type(self), (self._wanted,)

    def replay_on(self, device: torch.device) -> bool:
        """Whether work on this device is replayed."""
        return self._wanted and device.type == self.device_type

    def call(self, work: Work, network: nn.Module, *inputs: Tensor, prepared: bool = False) -> list[Tensor]:
        """`work(network, *inputs)`, which changes nothing. prepared: `prepare` comes before, so nothing is captured."""
        graph = self._find(work, network, inputs, capture=not prepared)
        return graph.replay([*self._known(network).tensors, *inputs]) if graph else work(network, *inputs)

    def prepare(self, work: Work, network: nn.Module, *inputs: Tensor) -> None:
        """Capture work that autograd's own threads will `call`, where torch cannot capture."""
        self._find(work, network, inputs)

    def change(self, work: Work, network: nn.Module, state: Sequence[Tensor], *inputs: Tensor) -> None:
        """`work(network, *state, *inputs)`, which changes the network's tensors, and `state`, in place."""
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
        graph = torch.cuda.CUDAGraph()
        how = {"pool": self._pool, "capture_error_mode": "thread_local"}  # other threads may do as they like
        with torch.cuda.device(device), torch.cuda.graph(graph, **how):
            outputs = work()
        return outputs, graph.replay

    @functools.cached_property
    def _pool(self) -> Any:
        """Memory that all graphs share: they run one after another, and what they give is copied."""
        return torch.cuda.graph_pool_handle()

    def _find(self, work: Work, network: nn.Module, inputs: Sequence[Tensor], *, capture: bool = True) -> _Graph | None:
        """The graph of some work, which is captured if it has been asked for before; none if it is to run as it is."""
        if not self.replay_on(inputs[0].device):
            return None
        known = self._known(network)
        if known.structure is None or any(getattr(m, hooks) for m in (network, *known.inner) for hooks in HOOKS):
            return None
        now = network.training, tuple(t.requires_grad for t in known.tensors)
        shapes = tuple((t.shape, t.stride(), t.dtype) for t in inputs)
        key = (work.func, tuple(sorted(work.keywords.items())), known.structure, now, shapes)
        if not capture or key not in self._graphs:
            graph = self._graphs.setdefault(key, None)
            if len(self._graphs) > MOST:
                del self._graphs[next(iter(self._graphs))]
            return graph
        if self._graphs[key] is None:
            try:
                self._graphs[key] = _Graph(self.record, work, network, inputs)
            except RuntimeError as error:
                self._failures += 1
                if self._failures == PATIENCE:
                    self._give_up(error)
                return None
            if sum(map(bool, self._graphs.values())) == 1:
                log.info("run.graphs: work on the GPU is replayed as CUDA graphs")
        return self._graphs[key]

    def _known(self, network: nn.Module) -> _Network:
        if network not in self._networks:
            self._networks[network] = _Network(network)
        return self._networks[network]

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
    """Work that has been recorded with a network and inputs of its own, which others are copied to."""

    def __init__(self, record: Callable[..., Any], work: Work, network: nn.Module, inputs: Sequence[Tensor]) -> None:
        self._network, own = copy.deepcopy(network), [t.detach().clone() for t in inputs]
        self._tensors = [*_tensors_of(self._network), *own]
        self._outputs, self._launch = record(lambda: list(work(self._network, *own) or ()), inputs[0].device)

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
    """What stays as it is in a network while it lives: tensors, the modules within it, and its structure."""

    def __init__(self, network: nn.Module) -> None:
        self.tensors = _tensors_of(network)
        self.inner = list(network.modules())[1:]
        self.structure = structure_of(network)


def _tensors_of(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def structure_of(network: nn.Module) -> Hashable:
    """What two networks must have in common to share a graph; none if it keeps tensors of another kind."""
    parts: list[Hashable] = [(t.shape, t.stride(), t.dtype) for t in _tensors_of(network)]
    for name, module in network.named_modules():
        own = {key: value for key, value in vars(module).items() if key not in OF_EVERY_MODULE}
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(own)):
            return None
        parts.append((name, type(module), _setting(list(own.items()))))
    return tuple(parts)


def _setting(value: object) -> Hashable:
    """What of a module's attribute tells it from another's."""
    if isinstance(value, list | tuple):
        return tuple(map(_setting, value))
    if isinstance(value, nn.Module):
        return structure_of(value)
    if isinstance(value, types.FunctionType):
        return value.__code__
    return value if isinstance(value, int | float | str | None) else type(value)


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors, those of one type at once."""
    by_type: defaultdict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
    for target, source in zip(targets, sources, strict=True):
        for tensors, one in zip(by_type[target.dtype], (target, source), strict=True):
            tensors.append(one)
    for pair in by_type.values():
        torch._foreach_copy_(*pair)  # pyright: ignore[reportPrivateImportUsage]
