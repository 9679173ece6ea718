"""Rows of the manifest: commands, and what they read by name. Strings only."""

from __future__ import annotations

from dcc_core import Component

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
    Component(
        name="fast",
        target="dcc_plugins.recipes:fast.toml",
        summary="the most accuracy for minutes on a CPU: features in place of gradients, four images in each",
    ),
    Component(
        name="rded",
        target="dcc_plugins.recipes:rded.toml",
        summary="for dcc select: composed images, soft labels for crops, the distilled protocol (RDED)",
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
        name="frontier",
        target="dcc_plugins.tables:frontier.toml",
        summary="accuracy for the time of condensing: methods and combinations at 1, 3, 10 and 30 minutes",
    ),
    Component(
        name="methods",
        target="dcc_plugins.tables:methods.toml",
        summary="all losses at equal time, including those of plugins_contrib",
    ),
]

COMMANDS = [
    Component(
        name="run",
        target="dcc_plugins.commands.run:run",
        summary="Condense a data set into a few images per class, and score the result",
    ),
    Component(
        name="plugins",
        target="dcc_plugins.commands.plugins:plugins",
        summary="List all components, and the plugins that are broken",
    ),
    Component(
        name="show",
        target="dcc_plugins.commands.show:show",
        summary="Show what a component is, and its options",
    ),
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
        name="compare",
        target="dcc_plugins.compare.command:compare",
        summary="Compare runs: tables and pictures, for papers too",
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
        name="push",
        target="dcc_plugins.commands.push:push",
        summary="Upload a run's set to the Hugging Face Hub, with a card",
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
        name="cache",
        target="dcc_plugins.commands.cache:cache",
        summary="Show or remove the files that runs keep for the next one",
    ),
    Component(
        name="doctor",
        target="dcc_plugins.commands.doctor:doctor",
        summary="Say what is here and what a run would use, for a bug report",
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
