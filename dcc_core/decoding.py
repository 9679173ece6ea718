"""From what a set stores to training images, wherever no run is at hand."""

from __future__ import annotations

import torch
from torch import Tensor

from dcc_core.api import Batch, Parametrisation
from dcc_core.builder import Builder
from dcc_core.data import RealData
from dcc_core.errors import DccError
from dcc_core.real import Normalisation
from dcc_core.registry import Registry
from dcc_core.setfile import WHITENED, CondensedSet
from dcc_core.settings import Rank, Settings

CPU = torch.device("cpu")


def parametrisation_of(s: CondensedSet, registry: Registry) -> tuple[Parametrisation, str]:
    """A set's parametrisation with its options, and its title; the identity where the set says none.

    Raises DccError where it is not installed, or does not take these options.
    """
    settings = Settings()
    settings.add(s.provenance.options("param"), "set file", Rank.FILE)
    builder = Builder(registry, settings)
    parametrisation = builder.component("param")
    builder.stop_on_problems()
    return parametrisation, builder.titles["param"]


def normalisation_of(s: CondensedSet, device: torch.device, dtype: torch.dtype) -> Normalisation:
    """Between a set's unit space and its normalised space."""
    return Normalisation(s.provenance.mean, s.provenance.std, device, dtype)


def normalised(s: CondensedSet, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """What a set stores, on a device, images in normalised space by the set's statistics."""
    stored = {name: t.to(device) for name, t in s.stored.items() if name != "owners"}
    stored = {name: t.to(dtype) if t.is_floating_point() else t for name, t in stored.items()}
    if "images" in stored:
        stored["images"] = normalisation_of(s, device, dtype).normalise(stored["images"])
    return stored


def training_images(s: CondensedSet, registry: Registry | None = None, *, unit: bool = False) -> Batch:
    """A set's training images, decoded, normalised or in unit space; whitened images as they are.

    On the CPU in float64: to normalised space and back nothing is lost. registry: where the parametrisation is found;
    by default among what is installed. Raises DccError where it is not there, and for whitened images in unit space.
    """
    if WHITENED in s.stored:
        if unit:
            raise DccError(
                "the set's images are ZCA-whitened, and nothing in its file would undo that: they are in no unit space"
            )
        return Batch(s.stored[WHITENED].double(), s.labels)
    parametrisation, _ = parametrisation_of(s, registry or Registry.installed())
    try:
        with torch.no_grad():
            images, labels = parametrisation.decode(normalised(s, CPU, torch.float64))
    except Exception as error:
        name = s.provenance.config.get("param", "identity")
        raise DccError(
            f"the set cannot be decoded by its parametrisation, '{name}', from its tensors {', '.join(s.stored)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return Batch(normalisation_of(s, CPU, torch.float64).to_unit(images) if unit else images, labels)


def shown(s: CondensedSet, registry: Registry) -> tuple[Tensor, Tensor]:
    """What there is to see of a set: (N, C, h, w) in unit space, not clipped, and the class of each, (N,) ascending.

    The stored images, else the training images. Whitened ones are stretched to 0..1 each.
    Raises DccError where they cannot be decoded.
    """
    if WHITENED in s.stored:
        return stretched(s.stored[WHITENED]), s.owners
    if "images" in s.stored:
        return s.images, s.owners
    images = training_images(s, registry, unit=True).images
    return images, s.owners.repeat_interleave(len(images) // len(s.owners))


def stretched(images: Tensor) -> Tensor:
    """Every image's own range as 0..1, for the eye alone."""
    least, greatest = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    return (images - least) / (greatest - least).clamp(min=torch.finfo(images.dtype).tiny)


def check_fits(s: CondensedSet, data: RealData) -> None:
    """Raise DccError where a set's classes or image size are not the data's, or its images in another space."""
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
