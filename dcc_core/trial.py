"""One look at networks and augmentations before the work begins."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dcc_core.api import Augmentation, Batch
from dcc_core.chunks import Footprint
from dcc_core.contracts import described
from dcc_core.criterion import cross_entropy
from dcc_core.data import RealData
from dcc_core.errors import ContractError, DccError, faults_of
from dcc_core.layers import agrees
from dcc_core.plain import PlainOperations
from dcc_core.step import augmented


class Trial(NamedTuple):
    """plain: operations that matching replaces by their plain form. by_layer: whether layers give class gradients."""

    footprint: Footprint
    plain: frozenset[str] = frozenset()
    by_layer: bool = False


def adapted(
    augmentation: Augmentation, title: str, data: RealData, batch: Batch, generator: torch.Generator
) -> Augmentation:
    """An augmentation as it suits the data, tried on a few images. Raises DccError with its title where that fails."""
    with faults_of(title):
        suited = augmentation.adapt(data.traits)
        draws = suited.draw(len(batch), data.shape, generator, per_batch=True)
        augmented(suited, batch, dict(draws), torch.arange(len(batch)), data.num_classes)
    return suited


def tried(network: nn.Module, title: str, images: Tensor, classes: int) -> Trial:
    """Run a network as matching does, on a few images (B, C, H, W). title: of its architecture.

    Raises ContractError where it is no `Classifier`: logits (B, classes), features (B, D). Raises DccError where the
    images do not suit it.
    """
    network.eval()
    embed = getattr(network, "embed", None)
    if embed is None:
        raise ContractError(
            f"a network has `embed`, which gives the features before its head; {type(network).__name__} has none", title
        )
    try:
        with torch.enable_grad(), PlainOperations() as plain:  # without gradients, other operations may run
            logits = network(images)
            features = embed(images)
    except Exception as error:
        size = "×".join(map(str, images.shape[1:]))
        raise DccError(f"{title} cannot be used on {size} images: {type(error).__name__}: {error}") from error
    about = f"of {len(images)} images in {classes} classes"
    if not isinstance(logits, Tensor) or logits.shape != (len(images), classes):
        raise ContractError(f"a network gives logits (images, classes); {about} it gave {described(logits)}", title)
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(images):
        raise ContractError(f"`embed` gives features (images, features); {about} it gave {described(features)}", title)
    labels = torch.arange(len(images), device=images.device) % classes
    by_layer = not plain.used and agrees(network, images, labels, cross_entropy)
    return Trial(Footprint.of(network, images), frozenset(plain.used), by_layer)
