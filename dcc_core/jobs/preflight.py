"""One look at networks and augmentations before the work begins."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dcc_core.compute import Footprint, PlainOperations, cross_entropy
from dcc_core.data import Batch, RealData
from dcc_core.engine import Augmentation, apply_draws, describe_value, supports_grouping
from dcc_core.errors import ContractError, DccError, faults_of


class Trial(NamedTuple):
    """plain: operations that matching replaces by their plain form. by_layer: whether layers give class gradients."""

    footprint: Footprint
    plain: frozenset[str] = frozenset()
    by_layer: bool = False


def adapt_augmentation(
    augmentation: Augmentation, title: str, data: RealData, batch: Batch, generator: torch.Generator
) -> Augmentation:
    """An augmentation as it suits the data, tried on a few images. Raises DccError with its title if that fails."""
    with faults_of(title):
        suited = augmentation.adapt(data.traits)
        draws = suited.draw(len(batch), data.shape, generator, per_batch=True)
        apply_draws(suited, batch, dict(draws), torch.arange(len(batch)), data.num_classes)
    return suited


def try_network(network: nn.Module, title: str, images: Tensor, classes: int) -> Trial:
    """Run a network as matching does, on a few images (B, C, H, W). title: of its architecture.

    Raises ContractError if it is no `Classifier`: logits (B, classes), features (B, D). Raises DccError if the
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
        raise ContractError(
            f"a network gives logits (images, classes); {about} it gave {describe_value(logits)}", title
        )
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(images):
        raise ContractError(
            f"`embed` gives features (images, features); {about} it gave {describe_value(features)}", title
        )
    labels = torch.arange(len(images), device=images.device) % classes
    by_layer = not plain.used and supports_grouping(network, images, labels, cross_entropy)
    return Trial(Footprint.of(network, images), frozenset(plain.used), by_layer)
