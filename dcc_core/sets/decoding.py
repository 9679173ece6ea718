"""From stored tensors to training images, without a run."""

from __future__ import annotations

import torch
from torch import Tensor

from dcc_core.data import Batch, RealData
from dcc_core.engine import as_batch
from dcc_core.errors import DccError, faults_of
from dcc_core.plugins import Registry
from dcc_core.sets.condensed_set import WHITENED, CondensedSet, normalise_stored, parametrisation_of, training_images


def decode_set(s: CondensedSet, registry: Registry, device: torch.device, dtype: torch.dtype) -> Batch:
    """A set's training images, normalised by its own statistics, on a device.

    Raises DccError that names the parametrisation if that fails.
    """
    parametrisation, title = parametrisation_of(s, registry)
    with torch.no_grad(), faults_of(title):
        return as_batch(parametrisation.decode(normalise_stored(s, device, dtype)))


def images_to_show(s: CondensedSet, registry: Registry) -> tuple[Tensor, Tensor]:
    """What there is to see of a set: (N, C, h, w) in unit space, not clipped, and the class of each, (N,) ascending.

    The stored images, else the training images. Whitened ones are stretched to 0..1 each.
    Raises DccError if they cannot be decoded.
    """
    if WHITENED in s.stored:
        return stretch(s.stored[WHITENED]), s.owners
    if "images" in s.stored:
        return s.images, s.owners
    images = training_images(s, registry, unit=True).images
    return images, s.owners.repeat_interleave(len(images) // len(s.owners))


def stretch(images: Tensor) -> Tensor:
    """Every image's own range as 0..1, for the eye alone."""
    least, greatest = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    return (images - least) / (greatest - least).clamp(min=torch.finfo(images.dtype).tiny)


def check_fits(s: CondensedSet, data: RealData) -> None:
    """Raise DccError if a set's classes or image size are not the data's, or its images in another space."""
    p = s.provenance
    if WHITENED in s.stored:
        raise DccError(
            f"the set's images are ZCA-whitened ({p.method}), those of data '{data.name}' are not: "
            "networks would be tested on other images than they were trained for"
        )
    expected = (data.class_names, (data.channels, *data.shape[1:]))
    found = (p.class_names, (len(p.mean), *p.size))
    if found != expected:
        raise DccError(
            f"the set holds {_describe(*found)} ('{p.data}'); data '{data.name}' holds {_describe(*expected)}: "
            "they must agree"
        )


def _describe(names: tuple[str, ...], shape: tuple[int, ...]) -> str:
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} classes ({listed}) of {'×'.join(map(str, shape))} images"
