"""Rows of the manifest: the parts that a run is made of, by kind. Strings only."""

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
        target="dcc_plugins.warmup:Warmup",
        summary="one loss in the first inner loops of the first outer loops, another loss otherwise",
    ),
    Component(
        name="by-ipc",
        target="dcc_plugins.by_ipc:ByImagesPerClass",
        summary="one loss for few images per class, another one for more",
    ),
    Component(
        name="penalised",
        target="dcc_plugins.penalty:Penalised",
        summary="any loss plus a penalty on the norms of the images (eq. 4)",
    ),
    Component(
        name="dm",
        target="dcc_plugins.distribution:DistributionMatching",
        summary="match the mean features of each class under untrained networks (DM)",
    ),
    Component(
        name="frepo",
        target="dcc_plugins.feature_regression:FeatureRegression",
        summary="ridge regression on features of the set predicts the labels of real images (FRePo)",
    ),
    Component(
        name="early",
        target="dcc_plugins.early:Early",
        summary="any loss, on a pool of networks that real images have trained for a little",
    ),
    Component(
        name="representative",
        target="dcc_plugins.representative:Representative",
        summary="any loss, on real images near the centres of k-means (DREAM)",
    ),
    Component(
        name="upper",
        target="dcc_plugins.upper:Upper",
        summary="any loss of gradients, on those of the network's upper layers",
    ),
    Component(
        name="inversion",
        target="dcc_plugins.inversion:Inversion",
        summary="images that a trained teacher takes for their class, with the statistics it knows (SRe2L)",
    ),
]

AUGMENTATIONS = [
    Component(name="none", target="dcc_plugins.augmentation:NoAugmentation", summary="no augmentation"),
    Component(
        name="dsa",
        target="dcc_plugins.dsa:DSA",
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
    Component(
        name="crops",
        target="dcc_plugins.crops:Crops",
        summary="augmentation of the distilled protocol: random crops enlarged to the image's size, flip; CutMix",
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

PARAMETRISATIONS = [
    Component(
        name="identity",
        target="dcc_plugins.parametrisations:Identity",
        summary="the stored images are the training images",
    ),
    Component(
        name="multi-formation",
        target="dcc_plugins.multi_formation:MultiFormation",
        summary="several training images in every stored one, as its enlarged crops (IDC)",
    ),
    Component(
        name="upsampled",
        target="dcc_plugins.parametrisations:Upsampled",
        summary="images stored at a lower resolution and enlarged",
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
        name="k-means",
        target="dcc_plugins.selections.in_feature_space:KMeans",
        summary="the image nearest to each centre of k-means",
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
    Component(
        name="composed",
        target="dcc_plugins.selections.composed:Composed",
        summary="crops whose class a teacher sees most clearly, composed 2x2 into images (RDED)",
    ),
    Component(
        name="soft",
        target="dcc_plugins.selections.soft:Soft",
        summary="soft labels of a teacher, for images and crops, of what another selection picks or makes",
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
        name="wandb",
        target="dcc_plugins.trackers:WandB",
        summary="send losses, accuracies, pictures and set files to Weights & Biases",
    ),
    Component(
        name="mlflow",
        target="dcc_plugins.trackers:MLflow",
        summary="send losses, accuracies, pictures and set files to an MLflow server",
    ),
    Component(
        name="trackio",
        target="dcc_plugins.trackers:Trackio",
        summary="write losses, accuracies, pictures and set files for Trackio",
    ),
    Component(
        name="ntk-velocity",
        target="dcc_plugins.ntk:NtkVelocity",
        summary="write how fast the kernel of the matching loss changes to ntk_velocity.csv",
    ),
    Component(
        name="preview",
        target="dcc_plugins.terminal.preview:Preview",
        summary="show the images of the first set on the terminal when the run is over",
    ),
]
