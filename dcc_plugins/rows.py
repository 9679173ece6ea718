"""The rows of the manifest: every component that ships with dcc, by kind. Strings only."""

from __future__ import annotations

from dcc_core import Component

LOSSES = [
    Component(
        name="class-wise",
        target="dcc_plugins.losses:ClassWise",
        summary="match the gradient of each class separately (DC, eq. 2)",
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
        summary="one loss in the first inner loops of the first outer loops, another loss otherwise",
    ),
    Component(
        name="penalised",
        target="dcc_plugins.penalty:Penalised",
        summary="any loss plus a penalty on the norms of the images (eq. 4)",
    ),
]

AUGMENTATIONS = [
    Component(name="none", target="dcc_plugins.augmentation:NoAugmentation", summary="no augmentation"),
    Component(
        name="dsa",
        target="dcc_plugins.augmentation:DSA",
        summary="differentiable Siamese augmentation: colour, crop, cutout, flip, scale, rotate",
    ),
    Component(
        name="jitter",
        target="dcc_plugins.augmentation:Jitter",
        summary="mild augmentation of the dc protocol: crop, scale, rotate, noise",
    ),
    Component(
        name="idc",
        target="dcc_plugins.idc:IDC",
        summary="augmentation of the idc protocol: flip, colour, one of crop, scale, rotate; CutMix",
    ),
]

ARCHITECTURES = [
    Component(
        name="convnet",
        target="dcc_plugins.networks.convnet:ConvNet",
        summary="the paper's network: blocks of convolution, norm, activation and pooling",
    ),
    Component(
        name="lenet", target="dcc_plugins.networks.small:LeNet", summary="two 5x5 convolutions, three linear layers"
    ),
    Component(
        name="alexnet", target="dcc_plugins.networks.small:AlexNet", summary="five convolutions, one linear layer"
    ),
    Component(name="vgg11", target="dcc_plugins.networks.vgg:VGG11", summary="eight convolutions, one linear layer"),
    Component(name="vgg13", target="dcc_plugins.networks.vgg:VGG13", summary="ten convolutions, one linear layer"),
    Component(name="vgg16", target="dcc_plugins.networks.vgg:VGG16", summary="thirteen convolutions, one linear layer"),
    Component(name="vgg19", target="dcc_plugins.networks.vgg:VGG19", summary="sixteen convolutions, one linear layer"),
    Component(
        name="resnet18",
        target="dcc_plugins.networks.resnet:ResNet18",
        summary="four stages of 2 residual blocks, for small images",
    ),
    Component(
        name="resnet34",
        target="dcc_plugins.networks.resnet:ResNet34",
        summary="four stages of 3, 4, 6 and 3 residual blocks, for small images",
    ),
    Component(
        name="resnet18-ap",
        target="dcc_plugins.networks.resnet:ResNet18AP",
        summary="resnet18 with average pooling instead of strides, and without the global average",
    ),
    Component(name="mlp", target="dcc_plugins.networks.small:MLP", summary="two hidden layers of 128 units"),
    Component(
        name="along",
        target="dcc_plugins.networks.fixed:Along",
        summary="untrained two-class classifier of section 3.2: the sign of the image's first value",
    ),
    Component(
        name="timm/<model>",
        target="dcc_plugins.networks.timm_models:TimmModel",
        summary="any classifier of timm, with random initial weights",
        family=True,
        members="dcc_plugins.networks.timm_models:names",
    ),
]

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
        name="npz:PATH",
        target="dcc_plugins.data.npz:Npz",
        summary="your own images: arrays x_train, y_train, x_test, y_test",
        family=True,
    ),
]

PARAMETRISATIONS = [
    Component(
        name="identity",
        target="dcc_plugins.parametrisations:Identity",
        summary="the stored images are the training images",
    ),
]

SELECTIONS = [
    Component(
        name="random",
        target="dcc_plugins.selections.at_random:RandomSelection",
        summary="images drawn uniformly from each class",
    ),
    Component(
        name="full",
        target="dcc_plugins.selections.at_random:Full",
        summary="all real images: the upper bound, scored without writing a set",
    ),
    Component(
        name="herding",
        target="dcc_plugins.selections.in_feature_space:Herding",
        summary="images whose mean feature stays close to the class mean",
    ),
    Component(
        name="k-center",
        target="dcc_plugins.selections.in_feature_space:KCenter",
        summary="images that cover the class in feature space (greedy k-center)",
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
        summary="images that training most often classifies correctly and later wrongly",
    ),
    Component(
        name="c-score",
        target="dcc_plugins.selections.by_score:CScore",
        summary="images with the highest consistency scores, read from a file",
    ),
]

OBSERVERS = [
    Component(
        name="csv", target="dcc_plugins.observers:Csv", summary="write steps.csv and scores.csv to the run folder"
    ),
    Component(
        name="tensorboard",
        target="dcc_plugins.observers:TensorBoard",
        summary="write losses and accuracies for TensorBoard to the run folder",
    ),
    Component(
        name="ntk-velocity",
        target="dcc_plugins.ntk:NtkVelocity",
        summary="write how fast the kernel of the matching loss changes to ntk_velocity.csv",
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
        summary="files of DATM: those of MTT, with soft labels and a learned rate",
    ),
    Component(name="idc", target="dcc_plugins.formats.idc:Idc", summary="data.pt of IDC"),
    Component(name="kip", target="dcc_plugins.formats.kip:Kip", summary="npz files of Kernel Inducing Points"),
    Component(
        name="dd-ranking",
        target="dcc_plugins.formats.tensors:DDRanking",
        summary="images.pt and labels.pt for DD-Ranking",
    ),
    Component(name="png", target="dcc_plugins.formats.image_folder:Png", summary="PNG files, one folder per class"),
    Component(
        name="hf",
        target="dcc_plugins.formats.hugging_face:HuggingFace",
        summary="folder for Hugging Face's datasets: Parquet files with PNG images",
    ),
]

STUDIES = [
    Component(
        name="contrast",
        target="dcc_plugins.studies.contrast:Contrast",
        summary="figure 2: what class-wise and collective matching keep of two Gaussian classes",
    ),
    Component(
        name="digits-3-8",
        target="dcc_plugins.studies.digits:Digits38",
        summary="figure 3: which half of a condensed digit tells 3 and 8 apart",
    ),
    Component(
        name="ntk-velocity",
        target="dcc_plugins.studies.ntk_velocity:NtkVelocity",
        summary="figure 4: how fast the kernel of the matching loss changes, over network initialisations",
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
        summary="when contrast pays: random, class-wise and collective sets against what classes have in common",
    ),
]

RECIPES = [
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

TABLES = [
    Component(
        name="overview",
        target="dcc_plugins.tables:overview.toml",
        summary="coresets and condensed sets on CIFAR-10 and insects, for small machines",
    ),
    Component(
        name="fine-grained",
        target="dcc_plugins.tables:fine_grained.toml",
        summary="table 1: fine-grained groups of ImageNet32",
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
        summary="no, simple and bi-level warm-up on any data, e.g. -o data=mnist",
    ),
    Component(
        name="full-length",
        target="dcc_plugins.tables:full_length.toml",
        summary="DC, DSA, DCC and DSAC for 1000 outer loops on narrow networks, one set per cell",
    ),
    Component(
        name="methods",
        target="dcc_plugins.tables:methods.toml",
        summary="all losses at equal time, including those of plugins_contrib",
    ),
]

COMMANDS = [
    Component(
        name="select",
        target="dcc_plugins.commands.select:select",
        summary="Select a coreset of real images and score it",
    ),
    Component(
        name="eval",
        target="dcc_plugins.commands.eval_set:evaluate",
        summary="Score a set file on one or more architectures",
    ),
    Component(
        name="report",
        target="dcc_plugins.pages.commands:report",
        summary="Write a page about runs: images, curves, scores, cost",
    ),
    Component(
        name="watch",
        target="dcc_plugins.pages.commands:watch",
        summary="Show a run's page in the browser while it runs",
    ),
    Component(
        name="inspect",
        target="dcc_plugins.commands.inspect:inspect",
        summary="Print the contents of a set file and check it",
    ),
    Component(
        name="convert",
        target="dcc_plugins.exchange.command:convert",
        summary="Convert a set from or to another tool's format",
    ),
    Component(
        name="table",
        target="dcc_plugins.tables.commands:table",
        summary="Run a table's missing cells and compare it with the paper",
    ),
    Component(
        name="sweep",
        target="dcc_plugins.tables.commands:sweep",
        summary="Run the grid of runs that a TOML file describes",
    ),
    Component(
        name="study",
        target="dcc_plugins.studies.command:study",
        summary="Run a study: figures, their numbers, and a page",
    ),
    Component(
        name="continual",
        target="dcc_plugins.continual.command:continual",
        summary="Learn stages one by one with a memory; compare memories",
        options="dcc_plugins.continual.options:ContinualOptions",
    ),
    Component(
        name="tune",
        target="dcc_plugins.commands.tune:tune",
        summary="Find the fastest number of images per pass on this machine",
    ),
    Component(
        name="new-plugin",
        target="dcc_plugins.commands.new_plugin:new_plugin",
        summary="Write a plugin package with a component, its test and CI",
    ),
]
