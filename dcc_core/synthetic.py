"""The synthetic set while it is learned: stored tensors, their decoding, and their optimiser."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dcc_core.api import SHARED, Batch, Parametrisation
from dcc_core.contracts import as_batch
from dcc_core.errors import DccError

Change = Callable[[int, Callable[[int], Batch]], Batch]
"""What stands for a class's images, given its label and the images of any class."""


class Synthetic:
    """Stored tensors of a parametrisation, sorted by class, and what a loss learns beside them.

    Every class has its own leaf tensors, views into the stored ones, so that the gradient of one class costs
    nothing for the others.

    stored: as `Parametrisation.init` gives them. owners: (N,) int64, ascending, the class of every row.
    """

    def __init__(
        self,
        stored: dict[str, Tensor],
        owners: Tensor,
        parametrisation: Parametrisation,
        *,
        num_classes: int,
        rate: float,
        momentum: float,
    ) -> None:
        self.owners = owners
        self.parametrisation = parametrisation
        self.counts = torch.bincount(owners, minlength=num_classes).tolist()
        self._momentum = momentum
        self._learnable = [name for name, t in stored.items() if t.requires_grad]
        self.stored = {name: t.detach().clone() for name, t in stored.items()}
        self.learned: dict[str, Tensor] = {}
        self._change: Callable[[int], Batch] | None = None
        self._leaves = self._split()
        parameters = [self.stored[name] for name in self._learnable]
        self._optimiser = torch.optim.SGD(parameters, lr=rate, momentum=momentum)

    def batch(self, *labels: int) -> Batch:
        """The decoded images of some classes, class by class; decoded anew at every call."""
        if self._change:
            batches = [self._change(k) for k in labels]
            return Batch(torch.cat([b.images for b in batches]), torch.cat([b.labels for b in batches]))
        rows: dict[str, Tensor] = {}
        for name in self.stored:
            if name.startswith(SHARED):
                (rows[name],) = self._leaves[name]
            else:
                parts = [self._leaves[name][k] for k in labels]
                rows[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
        return as_batch(self.parametrisation.decode(rows))

    def changed(self, change: Change) -> Synthetic:
        """The same set, seen with other images: `Step.changed` says how."""
        seen = copy.copy(self)
        seen._change = lambda label: change(label, self.batch)
        return seen

    def owners_of(self, labels: Sequence[int]) -> Tensor:
        """The class of each image that `batch(*labels)` gives: (B,) int64 on the CPU."""
        rows = torch.tensor([k for k in labels for _ in range(self.counts[k])], dtype=torch.int64)
        return rows.repeat_interleave(self.parametrisation.images_per_row)

    def learn(self, name: str, value: float | Tensor, rate: float) -> Tensor:
        """Learn one more tensor beside the images, with its own rate; call it from `MatchingLoss.setup`.

        Its current value is `learned[name]`. Raises DccError for a name already taken.
        """
        if name in self.learned or name in self.stored:
            raise DccError(f"'{name}' is learned already")
        like = self.stored[self._learnable[0]]
        tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device).detach().clone()
        self.learned[name] = tensor.requires_grad_()
        tensor.grad = torch.zeros_like(tensor)
        self._optimiser.add_param_group({"params": [tensor], "lr": rate, "momentum": self._momentum})
        return tensor

    def leaves(self) -> list[Tensor]:
        """The tensors to differentiate a term for."""
        per_class = [leaf for name in self._learnable for leaf in self._leaves[name]]
        return [*per_class, *self.learned.values()]

    def tensors(self) -> dict[str, Tensor]:
        """Everything learned, by name: what to watch, and what to keep."""
        return {**{name: self.stored[name] for name in self._learnable}, **self.learned}

    def zero_gradients(self) -> None:
        """Forget the gradients of the last step."""
        for tensor in self.tensors().values():
            if tensor.grad is not None:
                tensor.grad.zero_()

    def update(self) -> None:
        """One step of gradient descent with what backward has gathered.

        Raises DccError, and changes nothing, where the gradient or the result is not finite.
        """
        before = {name: tensor.detach().clone() for name, tensor in self.tensors().items()}
        self._optimiser.step()
        for name, tensor in self.tensors().items():
            if not torch.isfinite(tensor).all():
                for kept, value in before.items():
                    self.tensors()[kept].detach().copy_(value)
                raise DccError(f"the gradient or the update of '{name}' is not finite")

    def _split(self) -> dict[str, tuple[Tensor, ...]]:
        leaves: dict[str, tuple[Tensor, ...]] = {}
        for name, tensor in self.stored.items():
            views = self._by_class(name, tensor)
            if name in self._learnable:
                tensor.grad = torch.zeros_like(tensor)
                views = tuple(view.detach().requires_grad_() for view in views)
                for view, gradient in zip(views, self._by_class(name, tensor.grad), strict=True):
                    view.grad = gradient
            leaves[name] = views
        return leaves

    def _by_class(self, name: str, tensor: Tensor) -> tuple[Tensor, ...]:
        return (tensor,) if name.startswith(SHARED) else tensor.split(self.counts)
