"""What dcc_plugins publishes. Strings only: listing the components imports none of them."""

from __future__ import annotations

from dcc_core import Component, hookimpl
from dcc_plugins.rows import COMMANDS, DATASETS, FORMATS, STUDIES, TABLES


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
            target="dcc_core.engine.warmup:Warmup",
            summary="one loss in the first inner steps of the first outer loops, another one otherwise",
        ),
        Component(
            name="penalised",
            target="dcc_plugins.penalty:Penalised",
            summary="a loss with a penalty on the norms of the images (eq. 4)",
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
        Component(
            name="idc",
            target="dcc_plugins.idc:IDC",
            summary="the augmentation of the idc protocol: flip, colour, one of crop, scale, rotate; CutMix",
        ),
    ]


@hookimpl
def dcc_architectures() -> list[Component]:
    return [
        Component(
            name="convnet",
            target="dcc_plugins.networks.convnet:ConvNet",
            summary="blocks of convolution, norm, activation and pooling: the paper's network",
        ),
        Component(
            name="lenet", target="dcc_plugins.networks.small:LeNet", summary="two 5x5 convolutions, three linear"
        ),
        Component(name="alexnet", target="dcc_plugins.networks.small:AlexNet", summary="five convolutions, one linear"),
        Component(name="vgg11", target="dcc_plugins.networks.vgg:VGG11", summary="eight convolutions, one linear"),
        Component(name="vgg13", target="dcc_plugins.networks.vgg:VGG13", summary="ten convolutions, one linear"),
        Component(name="vgg16", target="dcc_plugins.networks.vgg:VGG16", summary="thirteen convolutions, one linear"),
        Component(name="vgg19", target="dcc_plugins.networks.vgg:VGG19", summary="sixteen convolutions, one linear"),
        Component(
            name="resnet18",
            target="dcc_plugins.networks.resnet:ResNet18",
            summary="four stages of two residual blocks, for small images",
        ),
        Component(
            name="resnet34",
            target="dcc_plugins.networks.resnet:ResNet34",
            summary="four stages of 3, 4, 6 and 3 residual blocks, for small images",
        ),
        Component(
            name="resnet18-ap",
            target="dcc_plugins.networks.resnet:ResNet18AP",
            summary="resnet18 with average pooling in place of strides and of the global average",
        ),
        Component(name="mlp", target="dcc_plugins.networks.small:MLP", summary="two hidden layers of 128"),
        Component(
            name="along",
            target="dcc_plugins.networks.fixed:Along",
            summary="two classes by the first number of the image, untrained: section 3.2's classifier",
        ),
        Component(
            name="timm/<model>",
            target="dcc_plugins.networks.timm_models:TimmModel",
            summary="any classifier of timm, with random initial weights",
            family=True,
            members="dcc_plugins.networks.timm_models:names",
        ),
    ]


@hookimpl
def dcc_datasets() -> list[Component]:
    return DATASETS


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
            target="dcc_plugins.selections.at_random:RandomSelection",
            summary="images drawn uniformly from each class",
        ),
        Component(
            name="full",
            target="dcc_plugins.selections.at_random:Full",
            summary="all images: the upper bound, scored without a set",
        ),
        Component(
            name="herding",
            target="dcc_plugins.selections.in_feature_space:Herding",
            summary="images whose mean feature stays near the class's",
        ),
        Component(
            name="k-center",
            target="dcc_plugins.selections.in_feature_space:KCenter",
            summary="images that leave none of the class far away in feature space",
        ),
        Component(
            name="grand",
            target="dcc_plugins.selections.by_score:GraNd",
            summary="images with the smallest loss gradients under trained networks",
        ),
        Component(
            name="el2n",
            target="dcc_plugins.selections.by_score:EL2N",
            summary="images with the smallest errors under trained networks",
        ),
        Component(
            name="forgetting",
            target="dcc_plugins.selections.by_score:Forgetting",
            summary="images that training most often gets right and then wrong",
        ),
        Component(
            name="c-score",
            target="dcc_plugins.selections.by_score:CScore",
            summary="images with the highest consistency scores, from a file",
        ),
    ]


@hookimpl
def dcc_observers() -> list[Component]:
    return [
        Component(
            name="csv",
            target="dcc_plugins.observers:Csv",
            summary="steps.csv and scores.csv in the run's folder",
        ),
        Component(
            name="tensorboard",
            target="dcc_plugins.observers:TensorBoard",
            summary="losses and accuracies for TensorBoard, in the run's folder",
        ),
        Component(
            name="ntk-velocity",
            target="dcc_plugins.ntk:NtkVelocity",
            summary="how fast the kernel of the matching loss turns, ntk_velocity.csv in the run's folder",
        ),
    ]


@hookimpl
def dcc_formats() -> list[Component]:
    return FORMATS


@hookimpl
def dcc_studies() -> list[Component]:
    return STUDIES


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


@hookimpl
def dcc_tables() -> list[Component]:
    return TABLES


@hookimpl
def dcc_commands() -> list[Component]:
    return COMMANDS
