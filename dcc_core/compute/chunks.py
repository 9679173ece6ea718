"""How many images go through a network at once: what is fast, and what fits into memory.

The number follows from shapes, the device and the options alone, never from a timing, so that results repeat.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from dcc_core.config import format_size
from dcc_core.errors import DccError

T = TypeVar("T")

log = logging.getLogger("dcc")

CACHE_BYTES = 16 * 2**20
"""Bytes of the largest maps that go through a network at once on a CPU. Beyond that little is gained; far below,
the products are too small."""
GPU_SHARE = 1 / 8
"""Share of a GPU's memory for the maps of one pass."""
SECOND_ORDER = 4
"""Memory that matching takes for an image, in units of what its forward pass keeps: the pass, its gradient, the
gradient of that, and temporary tensors."""

GROUPED_PIXELS = 20 * 32 * 32
"""Most pixels, over all images, of a pass over several groups on a CPU."""
GROUPED_NUMBERS = 2**24
"""Most gradient entries, over all groups, of such a pass."""
MIN_GROUPS = 5
"""Fewest groups for which one pass is faster than one pass per group."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a network keeps of one image until its gradient is taken, in bytes: the largest tensor, and all; and the
    bytes of its weights."""

    largest: int
    total: int
    weights: int

    @classmethod
    def of(cls, network: nn.Module, images: Tensor) -> Footprint:
        """Measured by a forward pass of a few images (B, C, H, W), divided by their number."""
        own = {p.untyped_storage().data_ptr() for p in [*network.parameters(), *network.buffers()]}
        kept = {images.untyped_storage().data_ptr(): images.nbytes}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = network(images)
        del output  # until here, so that no two storages share an address
        return cls(
            largest=max(kept.values()) // len(images),
            total=sum(kept.values()) // len(images),
            weights=sum(p.nbytes for p in network.parameters()),
        )


WEIGHTS = 8
"""Copies of a network's weights at a time: itself, its momentum, gradients of both sides and their derivatives."""


def gpu_memory(device: torch.device) -> int:
    """Bytes of a GPU's memory; 0 for a CPU."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0


class Chunks:
    """The number of images in a pass of one network: `images`, and the `most` that fit if that is known.

    Passes whose gradient is differentiated again hold several times as much, and so take fewer: `second_order`.

    footprint: of the network. given: the user's own number, or none. memory: bytes that a pass may take, or none; of
    these it leaves `spare`, unless that leaves too little for an image. shared: several processes work together, and
    must do the same. Raises DccError if not even one image fits.
    """

    def __init__(
        self,
        footprint: Footprint,
        device: torch.device,
        *,
        given: int | None = None,
        memory: int | None = None,
        spare: int = 0,
        shared: bool = False,
    ) -> None:
        self._bytes_on_gpu = int(gpu_memory(device) * GPU_SHARE)
        if self._bytes_on_gpu:
            fast = again = self._bytes_on_gpu // (SECOND_ORDER * footprint.total)
        else:
            fast, again = CACHE_BYTES // footprint.largest, CACHE_BYTES // (SECOND_ORDER * footprint.largest)
        self.images = max(1, fast) if given is None else given
        self._again = max(1, again)
        self.most: int | None = None
        self._shared = shared
        if memory is not None:
            least = WEIGHTS * footprint.weights + SECOND_ORDER * footprint.total
            if memory < least:
                raise DccError(
                    f"run.memory: {format_size(max(0, memory))} are left beside the data and the program; the network "
                    f"takes {format_size(least)}. Give at least {format_size(least - memory)} more"
                )
            self.most = max(1, 1 + (memory - spare - least) // (SECOND_ORDER * footprint.total))
            self.images = min(self.images, self.most)

    @property
    def second_order(self) -> int:
        """The number of images in a pass whose gradient is differentiated again."""
        return min(self.images, self._again)

    def groups(self, images: int, pixels: int, weights: int) -> int:
        """How many groups of images go through a pass that gives every group's gradient of a number of weights.

        1 if that is not faster than one pass for each group.
        """
        if self._bytes_on_gpu:
            most = min(self.second_order, self._bytes_on_gpu // (SECOND_ORDER * 4 * weights)) // images
        else:
            most = min(GROUPED_PIXELS // (images * pixels), GROUPED_NUMBERS // weights)
        if self.most is not None:
            most = min(most, self.most // images)
        return most if most >= MIN_GROUPS else 1

    def split(self, *tensors: Tensor, second_order: bool = False) -> Iterator[tuple[Tensor, ...]]:
        """Chunks of tensors (B, ...), side by side. second_order: for passes whose gradient is differentiated again."""
        size = self.second_order if second_order else self.images
        yield from zip(*(t.split(size) for t in tensors), strict=True)

    def within_memory(self, work: Callable[[], T], restore: Callable[[], None] | None = None) -> T:
        """The result of some work, which is done again in ever smaller chunks if memory runs out.

        restore: puts back, before the work is done again, what it has changed.
        Raises DccError if a single image is too much, and if several processes would no longer do the same.
        """
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if self.images == 1:
                    raise DccError(f"out of memory with one image at a time: {_first_line(error)}") from error
            if self._shared:
                raise DccError(
                    f"out of memory with {self.images} images at a time, on one of several processes: begin with "
                    f"fewer, -o run.micro_batch={max(1, self.images // 2)}, or with --memory"
                )
            if restore:
                restore()
            self.images = self.most = max(1, self.images // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            log.warning(
                f"out of memory: going on with {self.images} image(s) at a time; "
                f"-o run.micro_batch={self.images} begins so"
            )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch's says that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
