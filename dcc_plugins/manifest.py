"""What dcc_plugins publishes. Strings only: listing the components imports none of them."""

from __future__ import annotations

from dcc_core.component import Component
from dcc_core.hookspecs import hookimpl


@hookimpl
def dcc_losses() -> list[Component]:
    return [
        Component(
            name="class-wise",
            target="dcc_plugins.losses:ClassWise",
            summary="match the gradient of every class on its own (DC, eq. 2)",
        ),
        Component(
            name="collective",
            target="dcc_plugins.losses:Collective",
            summary="match the gradient summed over all classes, after a class-wise warm-up (DCC, eq. 10)",
        ),
        Component(
            name="collective-bare",
            target="dcc_plugins.losses:CollectiveBare",
            summary="match the gradient summed over all classes, without warm-up",
        ),
        Component(
            name="warmup",
            target="dcc_core.combine:Warmup",
            summary="one loss in the first inner steps of the first outer loops, another one otherwise",
        ),
    ]


@hookimpl
def dcc_augmentations() -> list[Component]:
    return [
        Component(name="none", target="dcc_plugins.augmentation:NoAugmentation", summary="images as they are"),
        Component(
            name="dsa",
            target="dcc_plugins.augmentation:DSA",
            summary="differentiable Siamese augmentation: colour, crop, cutout, flip, scale, rotate",
        ),
        Component(
            name="jitter",
            target="dcc_plugins.augmentation:Jitter",
            summary="the mild augmentation of the dc protocol: crop, scale, rotate, noise",
        ),
    ]


@hookimpl
def dcc_architectures() -> list[Component]:
    return [
        Component(
            name="convnet",
            target="dcc_plugins.networks:ConvNet",
            summary="blocks of convolution, norm, activation and pooling: the paper's network",
        )
    ]


@hookimpl
def dcc_datasets() -> list[Component]:
    return [
        Component(
            name="digits",
            target="dcc_plugins.digits:Digits",
            summary="scikit-learn's 1,797 handwritten digits, 8x8 grey, no download",
        )
    ]


@hookimpl
def dcc_parametrisations() -> list[Component]:
    return [
        Component(
            name="identity",
            target="dcc_plugins.parametrisations:Identity",
            summary="the stored images are the training images",
        )
    ]


@hookimpl
def dcc_selections() -> list[Component]:
    return [
        Component(
            name="random",
            target="dcc_plugins.selections:RandomSelection",
            summary="images drawn uniformly from each class",
        )
    ]


@hookimpl
def dcc_recipes() -> list[Component]:
    return [
        Component(
            name="paper",
            target="dcc_plugins.recipes:paper.toml",
            summary="the paper's settings, with the equations of its text",
        ),
        Component(
            name="official",
            target="dcc_plugins.recipes:official.toml",
            summary="the paper's settings, with the conventions of the official code",
        ),
    ]
