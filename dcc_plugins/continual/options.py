"""The options of a sequence of stages, the section `continual`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt


@dataclass(frozen=True, kw_only=True)
class ContinualOptions:
    """How a network learns stage after stage.

    Batches and epochs are those of experience replay (Chaudhry et al. 2019): one pass, ten images at a time, joined by
    ten of the memory.
    """

    stages: Annotated[
        tuple[str, ...], "stages in their order, each a data source with options: mnist,classes=0+1,cifar10"
    ] = ()
    split: Annotated[int | None, "cut the classes of every stage named into so many stages, in order", Ge(2)] = None
    memory: Annotated[
        tuple[str, ...],
        "memories to compare: ring-buffer, none, LOSS[+AUG], or a selection, each with options: "
        "collective+dsa,run.outer_loops=50",
    ] = ("ring-buffer",)
    head: Annotated[
        Literal["multi", "single"],
        "multi: an image's stage is known, and so is the head; single: class-incremental, all classes seen compete",
    ] = "multi"
    seeds: Annotated[int, "sequences to learn: with run.seed, the seed after it, and so on", Ge(1)] = 3
    epochs: Annotated[int, "passes over the images of a stage", Ge(1)] = 1
    batch: Annotated[int, "images of the present stage in a batch", Ge(1)] = 10
    replay_batch: Annotated[int, "images of the memory that join it", Ge(1)] = 10
    rate: Annotated[float, "learning rate of the network", Gt(0)] = 0.03
    momentum: Annotated[float, "momentum of the network; it begins anew with every stage", Ge(0), Lt(1)] = 0.0
    decay: Annotated[float, "weight decay of the network", Ge(0)] = 0.0
    aug: Annotated[
        tuple[str, ...],
        "augmentation of all batches, stage and memory alike, with options, e.g. dsa,strategy=crop; without any: none",
    ] = ()
    size: Annotated[int | None, "height and width that images are brought to; none: the largest stage's", Ge(1)] = None
    channels: Annotated[Literal[1, 3] | None, "channels that images are brought to; none: the most of any stage"] = None
    plot: Annotated[bool, "draw the average accuracy over the stages, which needs matplotlib"] = True
