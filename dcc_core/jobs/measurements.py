"""Run a protocol's measurements, for one set on one network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from dcc_core.compute import Randomness
from dcc_core.data import Batch
from dcc_core.engine import TrainingImages
from dcc_core.jobs.coreset import label_by_selection, random_set
from dcc_core.jobs.job import Job
from dcc_core.plugins import Score
from dcc_core.scoring import COMPOSITES, Measurement, Scorer, Watch, measurements
from dcc_core.sets import CROPS, CondensedSet, check_fits


@dataclass(frozen=True, kw_only=True)
class Work:
    """Train `nets` networks on some images and test them."""

    scorer: Scorer
    data: TrainingImages
    nets: int


def work_on_all_images(job: Job, network: str, training: str, nets: int) -> Work:
    """Training on all real images, for `score.full_epochs` epochs if given."""
    scorer = job.scorer(None, network, training)
    protocol = scorer.protocol.with_epochs(job.config.score.full_epochs)
    return Work(scorer=replace(scorer, protocol=protocol), data=job.real, nets=nets)


def work_for_curve(job: Job, s: CondensedSet) -> Work:
    """Training of the first network on a set during condensation, for its accuracy curve."""
    network = next(iter(job.config.networks))
    training = measurements(job.config.score.protocol or "dc")["condensed"].training
    part = "validation" if job.data.validation else ""
    return Work(scorer=job.scorer(s, network, training, part), data=job.decode(s), nets=job.config.score.curve)


class Measurer:
    """Takes the measurements of the configured protocol, one by one, for one set.

    network: one of `Config.networks`; by default the run's own. scores: finished measurements, by name. The
    measurement on all real images does not depend on the set: a job takes it once.
    Raises DccError if the set does not fit the data.
    """

    def __init__(self, job: Job, s: CondensedSet, network: str = "") -> None:
        check_fits(s, job.data)
        self._job = job
        self._set = s
        self._network = network
        self._given_accuracy = job.config.score.full_accuracy
        self.scores: dict[str, Score] = {}

    def work(self, m: Measurement) -> Work | None:
        """The work of a measurement; None if its accuracy is known without training."""
        options = self._job.config.score
        if m.subject == "full":
            is_teacher_needed = self._own_images.labels.is_floating_point()
            if self._given_accuracy is not None and not is_teacher_needed:
                return None
            return work_on_all_images(
                self._job, self._network, m.training, nets=options.nets if self._given_accuracy is None else 1
            )
        if m.labels == "selection":
            labelled = label_by_selection(self._job, self._random_set)
            return self._taught_work(labelled, m) if labelled.provenance.labels else None
        if m.subject == "random":
            return Work(scorer=self._scorer(self._random_set, m), data=self._random_images, nets=options.nets)
        if m.labels == "own":
            return self._taught_work(self._set, m)
        if not self._own_images.labels.is_floating_point():
            return None
        hard = Batch(self._own_images.images, self._image_classes(self._own_images))
        return Work(scorer=self._scorer(self._set, m), data=hard, nets=options.nets)

    def measure(self, name: str, m: Measurement, watch: Watch | None = None) -> Score | None:
        """Take a measurement, after all earlier ones of the protocol. Returns None if no network was trained for it."""
        work = self.work(m)
        if m.subject == "full":
            return self._measure_all(name, work, watch)
        if work is None:  # the set's own labels are hard, or nobody can label random images
            self.scores |= {} if m.labels == "selection" else {name: self.scores["condensed"]}
            return None
        data = work.data
        if m.subject == "random" and m.labels == "own" and self._own_images.labels.is_floating_point():
            data = self._label_softly(self._random_images, work.scorer)
        self.scores[name] = work.scorer.score(data, work.nets, watch)
        return self.scores[name]

    def result(self) -> Score:
        """The set's score; under a composite protocol with its robustness score. Call it after all measurements."""
        composite = COMPOSITES.get(self._job.config.score.protocol or "")
        if composite is None:
            return self.scores["condensed"]
        given = {} if self._given_accuracy is None else {"full": self._given_accuracy}
        return replace(self.scores["condensed"], robustness=composite.compute_score(self.scores, given))

    def _taught_work(self, s: CondensedSet, m: Measurement) -> Work:
        """Training on a set with its own labels; under `distilled`, with a teacher's labels of crops if it has any."""
        scorer, data, about = self._scorer(s, m), self._job.decode(s), s.provenance.labels
        if m.training == "distilled" and CROPS in s.stored:
            how = {name: about[name] for name in ("batch", "augmentation", "options")}
            protocol, crops = replace(scorer.protocol, **how), _crops_by_epoch(s, data)
            own = protocol.resolve_augmentation(self._job.registry, self._job.data, "", scorer.augmentation)
            how = {"protocol": protocol, "augmentation": own, "temperature": about["temperature"], "of_epoch": crops}
            scorer = replace(scorer, **how)
        return Work(scorer=scorer, data=data, nets=self._job.config.score.nets)

    def _measure_all(self, name: str, work: Work | None, watch: Watch | None) -> Score | None:
        if work is None:
            return None
        results = self._job.full_results
        known = self._label in results
        if not known:
            results[self._label] = work.scorer.score_and_first(work.data, work.nets, watch)
        score, _ = results[self._label]
        if self._given_accuracy is None:
            self.scores[name] = score
        return None if known else score

    def _label_softly(self, images: Batch, scorer: Scorer) -> Batch:
        """Soft labels for images, by the first network that was trained on all real images."""
        _, teacher = self._job.full_results[self._label]
        with torch.no_grad():
            logits = scorer.chunks.within_memory(
                lambda: torch.cat([teacher(x) for (x,) in scorer.chunks.split(images.images)])
            )
        return Batch(images.images, logits.softmax(dim=1).to(images.images.dtype))

    def _image_classes(self, decoded: Batch) -> torch.Tensor:
        """The class of each decoded image, that of its row."""
        owners = self._set.owners.to(decoded.device)
        return owners.repeat_interleave(len(decoded) // len(owners))

    def _scorer(self, s: CondensedSet, m: Measurement) -> Scorer:
        return self._job.scorer(s, self._network, m.training)

    @property
    def _label(self) -> str:
        return self._network or self._job.config.names["arch"]

    @functools.cached_property
    def _own_images(self) -> Batch:
        return self._job.decode(self._set)

    @functools.cached_property
    def _random_set(self) -> CondensedSet:
        return random_set(self._job, self._set)

    @functools.cached_property
    def _random_images(self) -> Batch:
        return self._job.decode(self._random_set)


def _crops_by_epoch(s: CondensedSet, images: Batch) -> Callable[[int], tuple[Batch, Randomness]]:
    """The images with the labels of their crops in an epoch, and the random numbers that make these crops again."""
    about, logits = s.provenance.labels, s.stored[CROPS]
    random = Randomness(about["seed"], tuple(about["address"]))

    def of_epoch(number: int) -> tuple[Batch, Randomness]:
        place = number % logits.shape[1]
        labels = (logits[:, place].to(images.images) / about["temperature"]).softmax(dim=1)
        return Batch(images.images, labels), random.at("epoch", place)

    return of_epoch


def score_set(job: Job, s: CondensedSet, network: str = "") -> Score:
    """The score of a set on one network; a simple protocol goes without the random baseline."""
    measurer = Measurer(job, s, network)
    for name, m in measurements(job.config.score.protocol or "dc", baseline=False).items():
        measurer.measure(name, m)
    return measurer.result()
