"""Carrying out what a protocol measures, for one set on one network."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch

from dcc_core.data import Batch
from dcc_core.engine import TrainingImages
from dcc_core.jobs.coreset import random_set
from dcc_core.jobs.job import Job
from dcc_core.plugins import Score
from dcc_core.scoring import COMPOSITES, Measurement, Scorer, Watch, measurements
from dcc_core.sets import CondensedSet, check_fits


@dataclass(frozen=True, kw_only=True)
class Work:
    """Training and testing `nets` networks on some images."""

    scorer: Scorer
    data: TrainingImages
    nets: int


def work_on_all_images(job: Job, network: str, training: str, nets: int) -> Work:
    """Training on all real images, in `score.full_epochs` if that is given."""
    scorer = job.scorer(None, network, training)
    protocol = scorer.protocol.shortened(job.config.score.full_epochs)
    return Work(scorer=replace(scorer, protocol=protocol), data=job.real, nets=nets)


def work_at_moment(job: Job, s: CondensedSet) -> Work:
    """Training on a set as it stands, on the first network, for the curve of its accuracy."""
    network = next(iter(job.config.networks))
    training = measurements(job.config.score.protocol or "dc")["condensed"].training
    return Work(scorer=job.scorer(s, network, training), data=job.decode(s), nets=job.config.score.curve)


class Measurer:
    """Takes the measurements of the configured protocol for one set, one after the other.

    network: one of `Config.networks`; by default the run's own. scores: of what has been measured, by name. What all
    real images give does not depend on the set, and is measured once in a job.
    Raises DccError if the set does not fit the data.
    """

    def __init__(self, job: Job, s: CondensedSet, network: str = "") -> None:
        check_fits(s, job.data)
        self._job = job
        self._set = s
        self._network = network
        self._given = job.config.score.full_accuracy
        self.scores: dict[str, Score] = {}

    def work(self, m: Measurement) -> Work | None:
        """What a measurement takes; none where its accuracy is known without."""
        options = self._job.config.score
        if m.subject == "full":
            teaches = self._own.labels.is_floating_point()
            if self._given is not None and not teaches:
                return None
            return work_on_all_images(
                self._job, self._network, m.training, nets=options.nets if self._given is None else 1
            )
        if m.subject == "random":
            return Work(scorer=self._scorer(self._random_set, m), data=self._random, nets=options.nets)
        if m.labels == "own":
            return Work(scorer=self._scorer(self._set, m), data=self._own, nets=options.nets)
        if not self._own.labels.is_floating_point():
            return None
        hard = Batch(self._own.images, self._classes(self._own))
        return Work(scorer=self._scorer(self._set, m), data=hard, nets=options.nets)

    def measure(self, name: str, m: Measurement, watch: Watch | None = None) -> Score | None:
        """Take a measurement, after those named before it; none if nothing was trained for it now."""
        work = self.work(m)
        if m.subject == "full":
            return self._measure_all(name, work, watch)
        if work is None:  # the set's own labels are hard ones
            self.scores[name] = self.scores["condensed"]
            return None
        data = work.data
        if m.subject == "random" and m.labels == "own" and self._own.labels.is_floating_point():
            data = self._taught(self._random, work.scorer)
        self.scores[name] = work.scorer.score(data, work.nets, watch)
        return self.scores[name]

    def result(self) -> Score:
        """The score of the set, with that of a composite protocol once everything is measured."""
        composite = COMPOSITES.get(self._job.config.score.protocol or "")
        if composite is None:
            return self.scores["condensed"]
        given = {} if self._given is None else {"full": self._given}
        return replace(self.scores["condensed"], robustness=composite.of(self.scores, given))

    def _measure_all(self, name: str, work: Work | None, watch: Watch | None) -> Score | None:
        if work is None:
            return None
        done = self._job.on_all_images
        known = self._label in done
        if not known:
            done[self._label] = work.scorer.score_and_first(work.data, work.nets, watch)
        score, _ = done[self._label]
        if self._given is None:
            self.scores[name] = score
        return None if known else score

    def _taught(self, images: Batch, scorer: Scorer) -> Batch:
        """Images with soft labels: what the first network says of them that was trained on all real images."""
        _, teacher = self._job.on_all_images[self._label]
        with torch.no_grad():
            logits = scorer.chunks.within_memory(
                lambda: torch.cat([teacher(x) for (x,) in scorer.chunks.split(images.images)])
            )
        return Batch(images.images, logits.softmax(dim=1).to(images.images.dtype))

    def _classes(self, decoded: Batch) -> torch.Tensor:
        """The class of every decoded image: that of the row it comes from."""
        owners = self._set.owners.to(decoded.device)
        return owners.repeat_interleave(len(decoded) // len(owners))

    def _scorer(self, s: CondensedSet, m: Measurement) -> Scorer:
        return self._job.scorer(s, self._network, m.training)

    @property
    def _label(self) -> str:
        return self._network or self._job.config.names["arch"]

    @functools.cached_property
    def _own(self) -> Batch:
        return self._job.decode(self._set)

    @functools.cached_property
    def _random_set(self) -> CondensedSet:
        return random_set(self._job, self._set)

    @functools.cached_property
    def _random(self) -> Batch:
        return self._job.decode(self._random_set)


def score_set(job: Job, s: CondensedSet, network: str = "") -> Score:
    """The score of a set on one network: simple protocols without random real images, composite ones with all parts."""
    measurer = Measurer(job, s, network)
    for name, m in measurements(job.config.score.protocol or "dc", baseline=False).items():
        measurer.measure(name, m)
    return measurer.result()
