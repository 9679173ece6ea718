"""Options of a sequence of stages: the section `continual`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt


@dataclass(frozen=True, kw_only=True)
class ContinualOptions:
    """How a network learns stages in sequence.

    Defaults are those of experience replay (Chaudhry et al. 2019): one pass over the data, batches of ten images plus
    ten from the memory.
    """

    stages: Annotated[
        tuple[str, ...], "stages in order, each a data source with options: mnist,classes=0+1,cifar10"
    ] = ()
    split: Annotated[int | None, "split the classes of each given stage into n stages, in order", Ge(2)] = None
    memory: Annotated[
        tuple[str, ...],
        "memories to compare: ring-buffer, none, LOSS[+AUG], or a selection, each with options: "
        "collective+dsa,run.outer_loops=50",
    ] = ("ring-buffer",)
    head: Annotated[
        Literal["multi", "single"],
        "multi: an image's stage, and so its head, is known; single: class-incremental, all classes seen compete",
    ] = "multi"
    seeds: Annotated[int, "number of sequences: their seeds are run.seed, run.seed + 1, and so on", Ge(1)] = 3
    epochs: Annotated[int, "passes over the images of a stage", Ge(1)] = 1
    batch: Annotated[int, "images of the current stage in a batch", Ge(1)] = 10
    replay_batch: Annotated[int, "images of the memory added to each batch", Ge(1)] = 10
    rate: Annotated[float, "learning rate of the network", Gt(0)] = 0.03
    momentum: Annotated[float, "momentum of the network; starts again with each stage", Ge(0), Lt(1)] = 0.0
    decay: Annotated[float, "weight decay of the network", Ge(0)] = 0.0
    aug: Annotated[
        tuple[str, ...],
        "augmentation of images of stage and memory, with options, e.g. dsa,strategy=crop; default: none",
    ] = ()
    size: Annotated[int | None, "height and width of all images; none: those of the largest stage", Ge(1)] = None
    channels: Annotated[Literal[1, 3] | None, "channels of all images; none: the most of any stage"] = None
    plot: Annotated[bool, "draw the average accuracy over the stages"] = True
