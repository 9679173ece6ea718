"""DD-Ranking's own evaluators (package ddranking) on a set and on this toolkit's data.

Version 0.2.0 trains and tests as it should, but none of its evaluators ends by itself. So it is handed what it lacks:
the data in place of its downloads, random real images (its call forgets an argument), two attributes that the
augmentation-robust evaluator never sets for hard labels, and a place for its results (its table has columns of
different lengths). Its accuracies are percents, and its formula is for fractions: the score is computed again from
what it measured. Its evaluators for soft labels need networks that it does not come with.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dcc_core.jobs import Job
from dcc_core.scoring import COMPOSITES
from dcc_core.sets import CondensedSet

DISTRIBUTION, VERSION = "ddranking", "0.2.0"
NETWORK = "ConvNet-3"
DATA = "CIFAR10"
"""The data set that it believes to have: of another name it would expect folders of pictures."""
EVALUATIONS, EPOCHS = 5, 300
"""Its defaults."""
DSA: Mapping[str, Any] = {"brightness": 1.0, "contrast": 0.5, "crop": 0.125, "cutout": 0.5, "flip": 0.5}
DSA = {**DSA, "rotate": 15.0, "saturation": 2.0, "scale": 1.2, "prob_flip": 0.5, "ratio_rotate": 15.0}
MODULES = {"lrs": "ddranking.metrics.hard_label", "ars": "ddranking.metrics.aug_robust"}


class _Real(Dataset):
    """Normalised images with their classes as plain numbers, as torchvision's data sets have them."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.targets = images, labels.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.targets[index]


def explain_absence(job: Job, s: CondensedSet) -> str:
    """Why its evaluators cannot judge a set here; empty if they can."""
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return f"the package {DISTRIBUTION} is not installed (pip install 'dataset-condensation[dd-ranking]')"
    counts = torch.bincount(s.owners, minlength=len(s.class_names))
    channels, *size = job.data.shape
    reasons = {
        f"of the package {DISTRIBUTION}, version {VERSION} is known, and {version} is here": version != VERSION,
        "its evaluators for soft labels need networks that it does not come with": s.labels.is_floating_point(),
        f"its networks take three channels, and these images have {channels}": channels != 3,
        "its networks halve images three times": min(size) < 8,
        "it ranks five classes, and there are fewer": len(s.class_names) < 5,
        "it takes equally many images of each class": len(counts.unique()) > 1,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def evaluate(
    job: Job, s: CondensedSet, name: str, *, evaluations: int = EVALUATIONS, epochs: int = EPOCHS
) -> list[float]:
    """The scores (0..1) of a set by its evaluator for `lrs` or `ars`, one for each evaluation.

    evaluations: how often it trains everything. epochs: of every training, at each of its five rates.
    """
    batch, kept = job.decode(s), []
    images, labels = batch.images.float().cpu(), batch.labels.cpu()
    with _handed_over(job, MODULES[name], len(images) // len(s.class_names), kept.append) as how:
        evaluator = _evaluator(job, name, {**how, "num_eval": evaluations, "num_epochs": epochs})
        hard = {"hard_labels": labels} if name == "lrs" else {}
        evaluator.compute_metrics(image_tensor=images, **hard)
    (found,) = kept
    return [_score(name, found, i) for i in range(evaluations)]


def _score(name: str, found: Mapping[str, list[float]], i: int) -> float:
    """The published formula on fractions, from the differences that it measured in percent."""
    if name == "lrs":
        lost, gained = (found[key][i] / 100 for key in ("hard_label_recovery", "improvement_over_random"))
        parts = {"full": lost, "hard": 0.0, "condensed": gained, "random": 0.0}
    else:
        augmented, plain = (found[key][i] / 100 for key in ("with_aug_scores", "without_aug_scores"))
        parts = {"condensed": augmented, "random": 0.0, "condensed_plain": plain, "random_plain": 0.0}
    return COMPOSITES[name].combine(parts)


def _evaluator(job: Job, name: str, how: Mapping[str, Any]) -> Any:
    package = importlib.import_module(DISTRIBUTION)
    if name == "lrs":
        return package.LabelRobustScoreHard(**how, eval_full_data=job.config.score.full_accuracy is None)
    evaluator = package.AugmentationRobustScore(**how, label_type="hard")
    evaluator.test_loader_real, evaluator.teacher_models = evaluator.test_loader_syn, None
    return evaluator


@contextlib.contextmanager
def _handed_over(job: Job, module: str, ipc: int, keep: Callable[[Any], None]) -> Iterator[dict[str, Any]]:
    """Hand a module of it what it lacks, while the context lasts; gives the arguments of its evaluators.

    What it prints goes to no terminal, and what it writes to a folder that is removed.
    """
    real, classes, size = job.data, job.data.num_classes, tuple(job.data.shape[1:])
    normalise = job.real.normalisation.from_bytes
    train, test = (_Real(normalise(p.images).float().cpu(), p.labels) for p in (real.train, real.test))
    same = {k: k for k in range(classes)}
    draws = random.Random(job.config.run.seed)

    def get_dataset(*_: Any) -> tuple[Any, ...]:
        return 3, size, real.mean, real.std, classes, train, test, test, same, same

    def draw_real(name: str, data: _Real, by_class: list[list[int]], *_: Any) -> tuple[Tensor, Tensor]:
        rows = [row for own in by_class for row in draws.sample(own, ipc)]
        return data.images[rows], torch.tensor([data.targets[row] for row in rows])

    known = {} if (full := job.config.score.full_accuracy) is None else {f"{DATA}-{NETWORK}": 100 * full}
    target = importlib.import_module(module)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        patch = {"get_dataset": get_dataset, "get_random_data_tensors": draw_real, "set_seed": lambda: None}
        patch |= {"save_results": lambda results, path: keep(results)}
        stack.enter_context(mock.patch.multiple(target, **patch))
        if hasattr(target, "REAL_DATA_ACC_CACHE"):
            stack.enter_context(mock.patch.dict(target.REAL_DATA_ACC_CACHE, known))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.manual_seed(job.config.run.seed)
        yield {
            **{"dataset": DATA, "ipc": ipc, "model_name": NETWORK, "im_size": size, "device": str(job.device)},
            **{"data_aug_func": "dsa", "aug_params": dict(DSA), "lr_scheduler": "cosine", "num_workers": 0},
            **{"random_data_format": "tensor", "save_path": str(Path(place) / "results.csv")},
        }
