"""The synthetic set during optimisation: stored tensors, their decoding, and their optimiser."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from dcc_core.compute import IMAGE_OPTIMISERS, load_optimiser_state, optimiser_state, widest
from dcc_core.data import Batch
from dcc_core.engine.contracts import as_batch
from dcc_core.engine.parametrisation import SHARED, Parametrisation
from dcc_core.errors import DccError
from dcc_core.group import Group

MAX_NAMED = 3
"""Most classes or terms that a message names."""
STORED, LEARNED = "stored.", "learned."
Change = Callable[[int, Callable[[int], Batch]], Batch]
"""From a label, and a function that returns any class's images: the images to use for the label."""


class Synthetic:
    """Stored tensors of a parametrisation, sorted by class, and further tensors that a loss learns.

    Every class has its own leaf tensors, views of the stored ones: the gradient of one class costs nothing for others.
    stored: the result of `Parametrisation.init`. owners: (N,) int64, ascending, the class of each row.
    class_names: for messages.
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
        optimiser: str = "sgd",
        class_names: Sequence[str] = (),
    ) -> None:
        self.owners = owners
        self.parametrisation = parametrisation
        self.counts = torch.bincount(owners, minlength=num_classes).tolist()
        self._names = list(class_names or map(str, range(num_classes)))
        self._learnable = [name for name, t in stored.items() if t.requires_grad]
        self.stored = {name: t.detach().clone() for name, t in stored.items()}
        self.learned: dict[str, Tensor] = {}
        self._change: Callable[[int], Batch] | None = None
        self._leaves = self._split_by_class()
        parameters = [self.stored[name] for name in self._learnable]
        self._optimiser = IMAGE_OPTIMISERS[optimiser]([{"params": parameters, "initial_lr": rate}], rate, momentum)

    def batch(self, *labels: int) -> Batch:
        """The images of some classes, class by class; every call decodes again."""
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

    def with_images(self, change: Change) -> Synthetic:
        """This set with its images replaced, as in `Step.with_images`."""
        view = copy.copy(self)
        view._change = lambda label: change(label, self.batch)
        return view

    def owners_of(self, labels: Sequence[int]) -> Tensor:
        """The class of each image of `batch(*labels)`: (B,) int64 on the CPU."""
        rows = torch.tensor([k for k in labels for _ in range(self.counts[k])], dtype=torch.int64)
        return rows.repeat_interleave(self.parametrisation.images_per_row)

    def learn(self, name: str, value: float | Tensor, rate: float) -> Tensor:
        """Learn another tensor with its own learning rate. Call it from `MatchingLoss.setup`.

        The current value is `learned[name]`. Raises DccError if the name is taken.
        """
        if name in self.learned or name in self.stored:
            raise DccError(f"'{name}' is learned already; call `learn` in a loss's setup, once per name")
        like = self.stored[self._learnable[0]]
        tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device).detach().clone()
        self.learned[name] = tensor.requires_grad_()
        tensor.grad = torch.zeros_like(tensor)
        self._optimiser.add_param_group({"params": [tensor], "lr": rate, "initial_lr": rate})
        return tensor

    def leaves(self) -> list[Tensor]:
        """The tensors that a term is differentiated for."""
        per_class = [leaf for name in self._learnable for leaf in self._leaves[name]]
        return [*per_class, *self.learned.values()]

    def tensors(self) -> dict[str, Tensor]:
        """All learned tensors, by name."""
        return {**{name: self.stored[name] for name in self._learnable}, **self.learned}

    def gradients(self) -> dict[str, Tensor]:
        """The accumulated gradients, by the names of `tensors`."""
        return {name: t.grad for name, t in self.tensors().items() if t.grad is not None}

    def zero_gradients(self) -> None:
        """Set the gradients to zero."""
        for tensor in self.tensors().values():
            if tensor.grad is not None:
                tensor.grad.zero_()

    def update(self) -> Tensor:
        """One step of the optimiser on the accumulated gradients.

        Returns the largest number, a scalar on the device. If it is not finite, the stored tensors are invalid.
        """
        self._optimiser.step()
        return _largest(self.tensors().values())

    def where_moved_too_far(self) -> str:
        """Message that names the first tensor that is not finite after an update, and its classes."""
        bad = ((name, t) for name, t in self.tensors().items() if not torch.isfinite(t).all())
        return next((f"the update of '{n}' is not finite{self._classes_of(n, t)}" for n, t in bad), "")

    def add_gradients(self, group: Group) -> None:
        """Sum the accumulated gradients over processes."""
        group.add([t.grad for t in self.tensors().values() if t.grad is not None])

    def largest_gradient(self) -> Tensor:
        """The largest number in the accumulated gradients, a scalar on the device; not finite if one of them is not."""
        return _largest(self.gradients().values())

    def where_not_finite(self) -> str:
        """Names the tensors whose gradients are not finite, and their classes; empty if all are finite."""
        bad = {n: t.grad for n, t in self.tensors().items() if t.grad is not None and not torch.isfinite(t.grad).all()}
        return " and ".join(f"'{name}'{self._classes_of(name, gradient)}" for name, gradient in bad.items())

    def scale_rates(self, factor: float) -> None:
        """Set every rate to its initial value times a factor."""
        for group in self._optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of stored and learned tensors and of the optimiser's state."""
        own = {f"{STORED}{name}": t for name, t in self.stored.items()}
        own |= {f"{LEARNED}{name}": t for name, t in self.learned.items()}
        own |= optimiser_state(self._optimiser, self.tensors())
        return {name: t.detach().clone() for name, t in own.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load the result of `state_dict`. Raises DccError if tensors are missing or have other shapes."""
        own = {f"{STORED}{name}": t for name, t in self.stored.items()}
        own |= {f"{LEARNED}{name}": t for name, t in self.learned.items()}
        given = {name: t for name, t in state.items() if name.startswith((STORED, LEARNED))}
        if (expected := _shapes(own)) != (found := _shapes(given)):
            raise DccError(f"the saved tensors are {found}; this run has {expected}")
        for name, tensor in own.items():
            tensor.detach().copy_(given[name])
        load_optimiser_state(self._optimiser, self.tensors(), state)

    def _classes_of(self, name: str, tensor: Tensor) -> str:
        """Names the classes of the rows in which a tensor is not finite."""
        if name in self.learned or name.startswith(SHARED):
            return ""
        rows = torch.isfinite(tensor.flatten(1) if tensor.ndim > 1 else tensor.unsqueeze(1)).all(dim=1).cpu()
        names = [self._names[k] for k in self.owners[~rows].unique().tolist()]
        return " of class " + ", ".join(names[:MAX_NAMED] + ["..."] * (len(names) > MAX_NAMED))

    def _split_by_class(self) -> dict[str, tuple[Tensor, ...]]:
        leaves: dict[str, tuple[Tensor, ...]] = {}
        for name, tensor in self.stored.items():
            views = self._class_views(name, tensor)
            if name in self._learnable:
                tensor.grad = torch.zeros_like(tensor)
                views = tuple(view.detach().requires_grad_() for view in views)
                for view, gradient in zip(views, self._class_views(name, tensor.grad), strict=True):
                    view.grad = gradient
            leaves[name] = views
        return leaves

    def _class_views(self, name: str, tensor: Tensor) -> tuple[Tensor, ...]:
        return (tensor,) if name.startswith(SHARED) else tensor.split(self.counts)


def _largest(tensors: Iterable[Tensor]) -> Tensor:
    """The largest absolute value; not finite if any number is not."""
    return torch.stack([torch.linalg.vector_norm(t, math.inf).to(widest(t.device)) for t in tensors]).amax()


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in sorted(tensors.items())}
