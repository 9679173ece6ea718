"""Addressed random numbers: a generator is found by what it is for, not by what was drawn before it.

So a run resumes exactly, and neither the number of processes nor the order of work changes any draw.
Everything is drawn on the CPU; no global random state is left changed.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Randomness:
    """All random numbers below one address, e.g. those of one synthetic set or one inner step."""

    seed: int
    address: tuple[str | int, ...] = ()

    def at(self, *parts: str | int) -> Randomness:
        """The randomness below a longer address."""
        return Randomness(self.seed, (*self.address, *parts))

    def generator(self, *parts: str | int) -> torch.Generator:
        """A fresh CPU generator for this address; the same address always gives the same numbers."""
        text = repr((self.seed, *self.address, *parts))
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        generator = torch.Generator("cpu")
        generator.manual_seed(int.from_bytes(digest, "little") >> 1)
        return generator


@contextlib.contextmanager
def seeded(generator: torch.Generator, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run code that draws from torch's global generators (layer initialisation, dropout) from `generator`.

    The global generators are restored afterwards. `generator` moves on by one draw, so that two blocks with the
    same one differ.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device="cpu"))
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for d in cuda:
            with torch.cuda.device(d):
                torch.cuda.manual_seed(seed)
        yield
