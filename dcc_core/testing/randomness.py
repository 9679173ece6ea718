"""The global random states of Python, numpy and torch: what components leave alone."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def global_states() -> tuple[object, ...]:
    """All global random states on the CPU, to be compared."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), (kind, np.asarray(keys).tolist(), rest), torch.get_rng_state().tolist()


@contextlib.contextmanager
def global_seeds(seed: int) -> Iterator[None]:
    """Other global random states for a while: what depends on them shows."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextlib.contextmanager
def left_alone(title: str) -> Iterator[None]:
    """Raise AssertionError if a global random state is another one afterwards."""
    before = global_states()
    yield
    names = ("random", "numpy.random", "torch")
    changed = [n for n, a, b in zip(names, before, global_states(), strict=True) if a != b]
    assert not changed, (
        f"{title}: global random states stay as they are; that of {', '.join(changed)} changed. Draw from the "
        "generator that you are given, or inside `dcc_core.seeded`"
    )


def generator(seed: int) -> torch.Generator:
    """A CPU generator."""
    return torch.Generator("cpu").manual_seed(seed)
