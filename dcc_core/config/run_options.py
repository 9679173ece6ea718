"""The options the engine owns, in the sections `run` and `score` of a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to condense. The defaults are the paper's settings (section 4.1)."""

    ipc: Annotated[int, "images per class", Ge(1)] = 1
    seed: Annotated[int, "seed of every random number", Ge(0)] = 0
    sets: Annotated[int, "synthetic sets to learn, each from its own initial images", Ge(1)] = 5
    outer_loops: Annotated[int, "network initialisations, K_o", Ge(1)] = 1000
    budget: Annotated[str | None, "time for the whole run, e.g. 10m or 1h30m; it decides the outer loops"] = None
    budget_for: Annotated[
        Literal["run", "condensing"],
        "what the budget is for; condensing: what the loss sets up and all image updates, without loading and scoring",
    ] = "run"
    inner_loops: Annotated[int | None, "image updates per network, K_i; none: as the loss says", Ge(1)] = None
    network_steps: Annotated[
        int | None, "epochs of the network after each image update, T; none: as the loss says", Ge(0)
    ] = None
    image_rate: Annotated[
        float | None, "learning rate of the synthetic images, tau; none: as the loss says for the outer loops", Gt(0)
    ] = None
    image_momentum: Annotated[float, "momentum of the synthetic images; of Adam the first β", Ge(0), Lt(1)] = 0.5
    image_optimiser: Annotated[
        Literal["sgd", "normalised", "adam"],
        "optimiser of the synthetic images; normalised: SGD on gradients divided by their root mean square",
    ] = "sgd"
    network_rate: Annotated[float, "learning rate of the network, eta", Gt(0)] = 0.01
    network_momentum: Annotated[
        float, "momentum of the network, kept from one image update to the next", Ge(0), Lt(1)
    ] = 0.0
    network_decay: Annotated[float, "weight decay of the network", Ge(0)] = 0.0
    real_batch: Annotated[int, "real images per class in a matching step", Ge(1)] = 256
    network_batch: Annotated[int, "batch size of the network's training between image updates", Ge(1)] = 256
    network_data: Annotated[
        Literal["synthetic", "real"],
        "what the network trains on between image updates: the set as it stands, or real images",
    ] = "synthetic"
    network_images: Annotated[
        int | None, "images of an epoch of that training, drawn again for each; none: all", Ge(1)
    ] = None
    network_aug: Annotated[
        tuple[str, ...],
        "augmentation of that training alone, with options, e.g. idc,cutmix=1; without any: the run's",
    ] = ()
    norm_batch: Annotated[
        int,
        "real images per class that move BatchNorm's statistics before a step; 0: they stay as training left them",
        Ge(0),
    ] = 16
    norm_momentum: Annotated[
        float | None,
        "how far that forward moves the statistics; 1: all the way; none: the layer's own, usually 0.1",
        Gt(0),
        Le(1),
    ] = None
    criterion: Annotated[Literal["cross-entropy", "hinge"], "training criterion of the network"] = "cross-entropy"
    init: Annotated[
        str, "initial images: real (as `selection` picks them), a selection by name, noise, or the path of a set file"
    ] = "real"
    device: Annotated[str, "auto, cpu, cuda, cuda:N, or mps"] = "auto"
    precision: Annotated[
        Literal["float32", "float64", "bfloat16"],
        "floating-point type of images and networks; bfloat16: of the networks' maps only, by torch's autocast",
    ] = "float32"
    layout: Annotated[
        Literal["auto", "channels-first", "channels-last"],
        "how maps lie in memory; auto: with their channels last for bfloat16 on a GPU",
    ] = "auto"
    tf32: Annotated[
        Literal["torch", "off", "convolutions", "all"],
        "what a GPU computes in TF32, a rougher float32; all: matrix products too; torch: as torch is set, which is "
        "convolutions unless you said otherwise",
    ] = "torch"
    deterministic: Annotated[bool, "GPU kernels that give the same bytes every time, where torch has them"] = True
    memory: Annotated[str | None, "memory to keep to, e.g. 8G, of the computer or of the GPU where one is used"] = None
    micro_batch: Annotated[int | None, "images in one pass through a network; none: by shapes and device", Ge(1)] = None
    compile: Annotated[
        Literal["auto", "on", "off"],
        "compile networks where they are differentiated once; auto: on a GPU, where there are enough passes",
    ] = "off"
    graphs: Annotated[bool, "capture work on a GPU once for its shapes, and replay it as CUDA graphs"] = True
    checkpoint: Annotated[str, "time between checkpoints, e.g. 5m; 0s: one after every step"] = "5m"
    snapshots: Annotated[
        tuple[Annotated[int, Ge(0)], ...],
        "moments at which the first set's images are kept, for dcc report: how many, or a list of outer loops to keep "
        "them after, e.g. 10,30,100; 0: none",
    ] = (12,)
    log: Annotated[tuple[str, ...], "observers of the run, with options, e.g. csv,tensorboard,every=10"] = ()
    download: Annotated[bool, "fetch data sets that are not below data_root"] = True
    data_root: Annotated[Path | None, "folder for data sets; none: the user's cache folder"] = None


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """How to score a set. The defaults are the paper's (section 4.1)."""

    arch: Annotated[
        tuple[str, ...], "networks to score on, e.g. convnet,resnet18,norm=batch; without any: the run's"
    ] = ()
    protocol: Annotated[
        Literal["dc", "dsa", "idc", "distilled", "lrs", "ars"] | None,
        "scoring protocol; distilled: for soft labels; lrs and ars: label- and augmentation-robust scores; "
        "none: dsa where the run augments, dc otherwise",
    ] = None
    part: Annotated[
        Literal["test", "validation"], "images to score on; validation is for every choice before the last score"
    ] = "test"
    nets: Annotated[int, "networks trained from scratch on each set", Ge(1)] = 20
    curve: Annotated[
        int, "networks that score the first set at each of run.snapshots, on the validation part if any; 0: none", Ge(0)
    ] = 0
    baseline: Annotated[bool, "score random real images beside the set, by the same protocol"] = True
    full_accuracy: Annotated[
        float | None,
        "for lrs: accuracy of networks trained on all real images, 0 to 1, where it is known; none: trained here",
        Gt(0),
        Le(1),
    ] = None
    full_epochs: Annotated[
        int | None, "for lrs: epochs of the training on all real images; none: the protocol's", Ge(1)
    ] = None

    def __post_init__(self) -> None:
        networks = [word for word in ",".join(self.arch).split(",") if word and "=" not in word]
        if self.protocol == "lrs" and self.full_accuracy is not None and len(networks) > 1:
            raise ValueError(
                f"full_accuracy is that of one network, and arch names {len(networks)}: {', '.join(networks)}; "
                "leave it out, or score on one at a time"
            )
        if self.protocol in ("lrs", "ars") and not self.baseline:
            raise ValueError(
                f"protocol {self.protocol} compares with random real images, and baseline is off; "
                "leave out baseline=false, or choose another protocol"
            )
