"""Rows of the manifest: data sources. Strings only."""

from __future__ import annotations

from dcc_core import Component

DATASETS = [
    Component(
        name="digits",
        target="dcc_plugins.data.digits:Digits",
        summary="scikit-learn's 1,797 handwritten digits, 8x8 grey, no download",
    ),
    Component(name="mnist", target="dcc_plugins.data.torchvision_sets:Mnist", summary="MNIST, 28x28 grey digits"),
    Component(
        name="fashion-mnist",
        target="dcc_plugins.data.torchvision_sets:FashionMnist",
        summary="Fashion-MNIST, 28x28 grey articles of clothing",
    ),
    Component(
        name="svhn", target="dcc_plugins.data.torchvision_sets:Svhn", summary="SVHN, 32x32 street view house numbers"
    ),
    Component(
        name="cifar10",
        target="dcc_plugins.data.torchvision_sets:Cifar10",
        summary="CIFAR-10, 32x32 photographs of 10 classes",
    ),
    Component(
        name="cifar100",
        target="dcc_plugins.data.torchvision_sets:Cifar100",
        summary="CIFAR-100, 32x32 photographs of 100 classes",
    ),
    Component(
        name="gtsrb",
        target="dcc_plugins.data.torchvision_sets:Gtsrb",
        summary="GTSRB, German traffic signs of 43 classes, resized to 32x32",
    ),
    Component(
        name="imagenet32:GROUP",
        target="dcc_plugins.data.imagenet32:ImageNet32",
        summary="downsampled ImageNet: automobile, terrier, fish, lizard, truck, insect, or any synset",
        family=True,
        members="dcc_plugins.data.wordnet:names",
    ),
    Component(
        name="gaussians",
        target="dcc_plugins.data.gaussians:Gaussians",
        summary="generated data of section 3.2: two Gaussian classes that share a feature",
    ),
    Component(
        name="shared-features",
        target="dcc_plugins.data.shared_features:SharedFeatures",
        summary="generated patterns; an option sets how much the classes have in common",
    ),
    Component(
        name="folder:PATH",
        target="dcc_plugins.data.folder:ImageFolder",
        summary="your own images: one folder per class",
        family=True,
    ),
    Component(
        name="csv:PATH",
        target="dcc_plugins.data.csv_table:CsvTable",
        summary="your own images: a table (CSV, JSON, Parquet, ...) of paths and labels",
        family=True,
    ),
    Component(
        name="shards:PATH",
        target="dcc_plugins.data.shards:Shards",
        summary="your own images: shards of WebDataset",
        family=True,
    ),
    Component(
        name="hf:REPO",
        target="dcc_plugins.data.hub:HubImages",
        summary="images of the Hugging Face Hub: owner/name, or a folder in its layout",
        family=True,
    ),
    Component(
        name="npz:PATH",
        target="dcc_plugins.data.npz:Npz",
        summary="your own images: arrays x_train, y_train, x_test, y_test",
        family=True,
    ),
]
