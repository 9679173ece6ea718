"""Rows of the manifest that are many: data sources, formats, tables, studies and commands. Strings only."""

from __future__ import annotations

from dcc_core import Component

DATASETS = [
    Component(
        name="digits",
        target="dcc_plugins.data.digits:Digits",
        summary="scikit-learn's 1,797 handwritten digits, 8x8 grey, no download",
    ),
    Component(
        name="mnist",
        target="dcc_plugins.data.torchvision_sets:Mnist",
        summary="MNIST, 28x28 grey digits",
    ),
    Component(
        name="fashion-mnist",
        target="dcc_plugins.data.torchvision_sets:FashionMnist",
        summary="Fashion-MNIST, 28x28 grey articles of clothing",
    ),
    Component(
        name="svhn",
        target="dcc_plugins.data.torchvision_sets:Svhn",
        summary="street view house numbers, 32x32",
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
        summary="German traffic signs, 43 classes, resized to 32x32",
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
        summary="two Gaussian classes that share a feature: section 3.2's data, generated",
    ),
    Component(
        name="shared-features",
        target="dcc_plugins.data.shared_features:SharedFeatures",
        summary="generated patterns, with a dial for what classes have in common",
    ),
    Component(
        name="folder:PATH",
        target="dcc_plugins.data.folder:ImageFolder",
        summary="your own images: a folder per class",
        family=True,
    ),
    Component(
        name="npz:PATH",
        target="dcc_plugins.data.npz:Npz",
        summary="your own images: arrays x_train, y_train, x_test, y_test",
        family=True,
    ),
]

FORMATS = [
    Component(
        name="vico",
        target="dcc_plugins.formats.vico:Vico",
        summary="res_*.pt of VICO's code (DC, DSA, DM) and of the official DCC code",
    ),
    Component(name="mtt", target="dcc_plugins.formats.tensors:Mtt", summary="images_best.pt and labels_best.pt of MTT"),
    Component(
        name="datm",
        target="dcc_plugins.formats.tensors:Datm",
        summary="MTT's files with soft labels and a learned rate, of DATM",
    ),
    Component(name="idc", target="dcc_plugins.formats.idc:Idc", summary="data.pt of IDC"),
    Component(name="kip", target="dcc_plugins.formats.kip:Kip", summary="npz files of Kernel Inducing Points"),
    Component(
        name="dd-ranking",
        target="dcc_plugins.formats.tensors:DDRanking",
        summary="images.pt and labels.pt for DD-Ranking",
    ),
    Component(name="png", target="dcc_plugins.formats.image_folder:Png", summary="PNGs in a folder per class"),
    Component(
        name="hf",
        target="dcc_plugins.formats.hugging_face:HuggingFace",
        summary="a folder for Hugging Face's datasets: Parquet with PNGs",
    ),
]

TABLES = [
    Component(
        name="overview",
        target="dcc_plugins.tables:overview.toml",
        summary="coresets and condensed sets on CIFAR-10 and insects, for small machines",
    ),
    Component(
        name="fine-grained",
        target="dcc_plugins.tables:fine_grained.toml",
        summary="table 1: fine-grained ImageNet32",
    ),
    Component(
        name="benchmarks",
        target="dcc_plugins.tables:benchmarks.toml",
        summary="table 2: SVHN, CIFAR-10 and CIFAR-100, with coresets, KIP and full data",
    ),
    Component(
        name="cross-architecture",
        target="dcc_plugins.tables:cross_architecture.toml",
        summary="table 3: sets condensed with ConvNet, scored on five networks",
    ),
    Component(
        name="warm-up",
        target="dcc_plugins.tables:warm_up.toml",
        summary="table 4: with and without the bi-level warm-up",
    ),
    Component(
        name="warm-up-design",
        target="dcc_plugins.tables:warm_up_design.toml",
        summary="table 5: no, simple and bi-level warm-up",
    ),
    Component(
        name="warm-ups",
        target="dcc_plugins.tables:warm_ups.toml",
        summary="no, simple and bi-level warm-up on any data: -o data=mnist",
    ),
    Component(
        name="full-length",
        target="dcc_plugins.tables:full_length.toml",
        summary="DC, DSA, DCC and DSAC for 1000 outer loops on narrow networks, one set a cell",
    ),
    Component(
        name="methods",
        target="dcc_plugins.tables:methods.toml",
        summary="losses of every kind at equal time, those of plugins_contrib among them",
    ),
]

STUDIES = [
    Component(
        name="contrast",
        target="dcc_plugins.studies.contrast:Contrast",
        summary="section 3.2, figure 2: what class-wise and collective matching keep of two Gaussian classes",
    ),
    Component(
        name="digits-3-8",
        target="dcc_plugins.studies.digits:Digits38",
        summary="figure 3: in which half condensed digits put what tells them apart",
    ),
    Component(
        name="ntk-velocity",
        target="dcc_plugins.studies.ntk_velocity:NtkVelocity",
        summary="figure 4: how fast the kernel of matching turns, over network initialisations",
    ),
    Component(
        name="alignment",
        target="dcc_plugins.studies.alignment:Alignment",
        summary="figure 6: alignment and uniformity of set files' features under networks trained on real images",
    ),
    Component(
        name="warm-up",
        target="dcc_plugins.studies.warm_up:WarmUp",
        summary="tables 4 and 5: no, simple and bi-level warm-up, on any data at any scale",
    ),
    Component(
        name="shared-features",
        target="dcc_plugins.studies.shared:SharedFeatures",
        summary="when contrast pays: random, class-wise and collective against what classes have in common",
    ),
]

COMMANDS = [
    Component(
        name="select",
        target="dcc_plugins.commands.select:select",
        summary="Select real images of every class, a coreset, and score them",
    ),
    Component(
        name="eval",
        target="dcc_plugins.commands.eval_set:evaluate",
        summary="Score the set in a file, on one architecture or many",
    ),
    Component(
        name="report",
        target="dcc_plugins.pages.commands:report",
        summary="Write one page about runs: images over time, curves, scores, options, cost",
    ),
    Component(
        name="watch",
        target="dcc_plugins.pages.commands:watch",
        summary="Show a run's page in the browser while it runs",
    ),
    Component(
        name="inspect",
        target="dcc_plugins.commands.inspect:inspect",
        summary="Print everything in a set file, and what is wrong with it",
    ),
    Component(
        name="convert",
        target="dcc_plugins.exchange.command:convert",
        summary="Read another tool's set as a set file, or write one as another tool reads it",
    ),
    Component(
        name="table",
        target="dcc_plugins.tables.commands:table",
        summary="Run the missing cells of a table and print it beside the paper's numbers",
    ),
    Component(
        name="sweep",
        target="dcc_plugins.tables.commands:sweep",
        summary="Run a grid of runs that a TOML file describes",
    ),
    Component(
        name="study",
        target="dcc_plugins.studies.command:study",
        summary="Conduct a study: figures, the numbers behind them, and a page",
    ),
    Component(
        name="continual",
        target="dcc_plugins.continual.command:continual",
        summary="Learn stages one after another with a memory, and compare memories",
        options="dcc_plugins.continual.options:ContinualOptions",
    ),
    Component(
        name="tune",
        target="dcc_plugins.commands.tune:tune",
        summary="Find the number of images per pass that is fastest on this machine",
    ),
    Component(
        name="new-plugin",
        target="dcc_plugins.commands.new_plugin:new_plugin",
        summary="Write a plugin package with one component, its test and its CI",
    ),
]
