"""Operations in a form that can be differentiated twice, as matching gradients needs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from dcc_core.compute.normalisation import group_norm
from dcc_core.errors import DccError


class PlainOperations(TorchFunctionMode):
    """While active, operations whose usual form has no second derivative, or a slow one, run in a form that has.

    used: the names of those without a second derivative that were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()
        self._attention = contextlib.ExitStack()

    def __enter__(self) -> PlainOperations:
        self._attention.enter_context(sdpa_kernel(SDPBackend.MATH))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._attention.close()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in ATTENTION or func in PLAIN:
            self.used.add(func.__name__)
        return FORMS.get(func, func)(*args, **(kwargs or {}))


def _hardsigmoid(x: Tensor, inplace: bool = False) -> Tensor:
    return F.relu6(x + 3) / 6


ATTENTION = (F.scaled_dot_product_attention, F.multi_head_attention_forward)
"""Functions that run in their plain form within `PlainOperations`."""
PLAIN: dict[Callable[..., Any], Callable[..., Any]] = {F.hardsigmoid: _hardsigmoid}
FORMS = {**PLAIN, F.group_norm: group_norm}


def missing_derivative(error: RuntimeError) -> DccError | None:
    """What to tell users of an error of torch's, if it is a second derivative that is missing."""
    match = re.search(r"derivative for '?(?:aten::)?(\w+)'? is not implemented", str(error))
    return _missing(f"operation '{match[1]}'") if match else None


def refuse_hidden_errors(gradients: Sequence[Tensor]) -> None:
    """Raise DccError if a gradient comes out of a function that is marked `once_differentiable`.

    torch silently ignores such functions when the derivative for some tensors only is asked for.
    """
    seen: set[Node] = set()
    ahead = [g.grad_fn for g in gradients]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            if node.name() == "torch::autograd::Error":
                raise _missing("a custom operation, marked once_differentiable,")
            seen.add(node)
            ahead += [before for before, _ in node.next_functions]


def _missing(operation: str) -> DccError:
    return DccError(
        f"the network cannot be differentiated twice, as matching gradients needs: {operation} has no derivative. "
        "Choose another --arch, or a loss that matches no gradients"
    )
