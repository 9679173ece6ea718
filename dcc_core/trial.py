"""One look at a network before the work begins."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dcc_core.chunks import Footprint
from dcc_core.criterion import cross_entropy
from dcc_core.errors import DccError
from dcc_core.layers import agrees
from dcc_core.plain import PlainOperations


class Trial(NamedTuple):
    """plain: operations that matching replaces by their plain form. by_layer: whether layers give class gradients."""

    footprint: Footprint
    plain: frozenset[str] = frozenset()
    by_layer: bool = False


def tried(network: nn.Module, name: str, images: Tensor, classes: int) -> Trial:
    """Run a network as matching does, on a few images (B, C, H, W).

    Raises DccError where it does not keep the contract of `Classifier`: logits (B, classes), features (B, D).
    """
    network.eval()
    try:
        with torch.enable_grad(), PlainOperations() as plain:  # without gradients, other operations may run
            logits = network(images)
            features = network.embed(images)  # pyright: ignore[reportCallIssue]
    except Exception as error:
        size = "×".join(map(str, images.shape[1:]))
        raise DccError(
            f"architecture '{name}' cannot be used on {size} images: {type(error).__name__}: {error}"
        ) from error
    for what, found, expected in (("logits", logits, (len(images), classes)), ("features", features, None)):
        fits = isinstance(found, Tensor) and (found.shape == expected if expected else found.ndim == 2)
        if not fits:
            shape = f"of shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"as {type(found).__name__}"
            raise DccError(
                f"architecture '{name}' gives {what} {shape} for {len(images)} images of {classes} classes; "
                f"expected a tensor {expected or '(images, features)'}"
            )
    labels = torch.arange(len(images), device=images.device) % classes
    by_layer = not plain.used and agrees(network, images, labels, cross_entropy)
    return Trial(Footprint.of(network, images), frozenset(plain.used), by_layer)
