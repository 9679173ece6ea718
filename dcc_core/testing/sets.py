"""The rules of parametrisations and of selections."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from dcc_core.engine import Rows, Selection, Synthetic
from dcc_core.errors import DccError
from dcc_core.jobs import Job
from dcc_core.sets import load_set
from dcc_core.testing.base import Conformance
from dcc_core.testing.randomness import generator, global_seeds, left_alone

BEYOND = 10
"""No image in unit space holds numbers as large as this."""


class ParametrisationConformance(Conformance):
    """Tests of a parametrisation. Some settings may suit it better, e.g. {"run.init": "real"}."""

    kind = "parametrisation"

    def test_it_decodes_to_images_and_labels(self) -> None:
        """Images (rows * images_per_row, C, H, W) in the run's precision, and labels that training understands."""
        job, synthetic = self._start()
        images, labels = self._decode(job, synthetic)
        expected = (self._rows(job) * job.config.param.images_per_row * job.data.num_classes, *job.data.shape)
        assert (tuple(images.shape), images.dtype) == (expected, job.dtype), (
            f"{self.title}: it decodes to images of the data's shape, images_per_row for each row; expected {expected} "
            f"{job.dtype}, got {tuple(images.shape)} {images.dtype}"
        )
        assert torch.isfinite(images).all(), f"{self.title}: it decodes to finite images"
        if labels.is_floating_point():
            good = labels.shape == (len(images), job.data.num_classes) and bool((labels >= 0).all())
            good = good and torch.allclose(labels.sum(dim=1), torch.ones_like(labels[:, 0]), atol=1e-5)
        else:
            good = labels.shape == (len(images),) and labels.dtype == torch.int64
            good = good and 0 <= int(labels.min()) <= int(labels.max()) < job.data.num_classes
        assert good, (
            f"{self.title}: labels are (images,) int64 or (images, classes) probabilities; got {labels.dtype} "
            f"{tuple(labels.shape)}"
        )

    def test_rows_are_decoded_one_by_one(self) -> None:
        """A class's images are the same whether they are decoded alone or among all: losses do both."""
        job, synthetic = self._start()
        whole, _ = self._decode(job, synthetic)
        parts = [synthetic.batch(k).images for k in range(job.data.num_classes)]
        counts = [self._rows(job) * job.config.param.images_per_row] * len(parts)
        assert [len(p) for p in parts] == counts, (
            f"{self.title}: every row is images_per_row images; classes of {counts[0]} gave {[len(p) for p in parts]}"
        )
        same = whole.shape == torch.cat(parts).shape and torch.allclose(whole, torch.cat(parts), rtol=1e-6, atol=1e-9)
        assert same, f"{self.title}: rows are decoded one by one; a class alone gives other images than among all"

    def test_every_number_that_requires_grad_is_learned(self) -> None:
        """A stored number without a gradient stays as it was."""
        job, synthetic = self._start()
        images, labels = self._decode(job, synthetic)
        outputs = [t for t in (images, labels) if t.requires_grad]
        assert outputs, f"{self.title}: every number that requires grad is learned; nothing decoded depends on them"
        synthetic.zero_gradients()
        weights = [torch.rand(t.shape, generator=generator(0), dtype=torch.float64).to(t) + 0.5 for t in outputs]
        total = torch.stack([(t * w).sum() for t, w in zip(outputs, weights, strict=True)]).sum()
        torch.autograd.backward(total, inputs=synthetic.leaves())
        for name, tensor in synthetic.tensors().items():
            without = tensor.numel() if tensor.grad is None else int(tensor.grad.eq(0).sum())
            assert not without, (
                f"{self.title}: every number that requires grad is learned; {without} of {tensor.numel()} in '{name}' "
                "have no gradient"
            )

    def test_a_file_gives_the_set_back(self, tmp_path: Path) -> None:
        """A set is scored as read back from its file, which holds the stored tensors and nothing else."""
        job, synthetic = self._start()
        images, labels = self._decode(job, synthetic)
        file = tmp_path / "set.safetensors"
        rule = f"{self.title}: a file gives the set back"
        try:
            job.freeze(synthetic, 0).save(file)
            read = self.job().decode(load_set(file))
        except DccError as error:
            raise AssertionError(f"{rule}; {error}") from error
        same = read.images.shape == images.shape and torch.allclose(read.images, images, rtol=1e-6, atol=1e-9)
        assert same, f"{rule}; the images that are decoded from it are others"
        same = read.labels.shape == labels.shape and torch.allclose(read.labels.double(), labels.double(), atol=1e-9)
        assert same, f"{rule}; the labels that are decoded from it are others"

    def test_global_randomness_is_left_alone(self) -> None:
        """Random numbers of `init` come from `run.random`."""
        with left_alone(self.title):
            self._decode(*self._start())

    def _start(self) -> tuple[Job, Synthetic]:
        """Not from `Job.start`, which refuses what other tests are for."""
        job = self.job()
        return job, job.initial(job.context())

    def _rows(self, job: Job) -> int:
        return job.config.run.ipc

    def _decode(self, job: Job, synthetic: Synthetic) -> tuple[Tensor, Tensor]:
        batch = synthetic.batch(*range(job.data.num_classes))
        return batch.images, batch.labels


class SelectionConformance(Conformance):
    """Tests of a selection. counts: images per class to ask for, of the six that a class has."""

    kind = "selection"
    counts: ClassVar[tuple[int, ...]] = (1, 3)

    def test_it_picks_as_many_as_are_asked_for(self) -> None:
        """For every class, ipc indices: they become the rows of a set."""
        for ipc in self._counts():
            picked = self._pick(ipc)
            classes = self.job().data.num_classes
            assert len(picked) == classes, (
                f"{self.title}: it picks for every class; of {classes} classes it gave {len(picked)}"
            )
            found = [len(indices) for indices in picked]
            assert found == [ipc] * classes, f"{self.title}: it picks {ipc} images of every class; it gave {found}"

    def test_no_image_is_picked_twice(self) -> None:
        """An image twice is one image less."""
        for ipc in self._counts():
            for indices in self._pick(ipc):
                listed = indices.tolist()
                assert len(set(listed)) == len(listed), f"{self.title}: no image is picked twice; it gave {listed}"

    def test_images_are_of_their_class(self) -> None:
        """Indices (int64) into the training part, of the class in whose place they stand."""
        labels = self.job().data.train.labels
        for ipc in self._counts():
            for label, indices in enumerate(self._pick(ipc)):
                assert indices.dtype == torch.int64, f"{self.title}: indices are int64; it gave {indices.dtype}"
                found = labels[indices].tolist()
                right = all(k == label for k in found)
                assert right, f"{self.title}: images are of their class; for class {label} it gave labels {found}"

    def test_the_same_seed_picks_the_same(self) -> None:
        """Whatever the global random states are: random numbers come from `run.random`."""
        for ipc in self._counts():
            twice = []
            for seed in (1, 2):
                with global_seeds(seed):
                    twice.append([indices.tolist() for indices in self._pick(ipc)])
            assert twice[0] == twice[1], (
                f"{self.title}: the same seed picks the same; it gave {twice[0]} and {twice[1]}"
            )

    def test_what_it_makes_becomes_a_set(self) -> None:
        """A maker gives finite images in unit space, ipc of every class, each with a label; the same each time."""
        if not self._makes():
            pytest.skip("it picks images")
        for ipc in self._counts():
            job, rows, again = self.job(), self._make(ipc), self._make(ipc)
            count, classes = ipc * job.data.num_classes, job.data.num_classes
            labels, soft = tuple(rows.labels.shape), rows.labels.is_floating_point()
            expected = (count, classes) if soft else (count,)
            right = (tuple(rows.images.shape), labels) == ((count, *job.data.shape), expected)
            right = right and torch.isfinite(rows.images).all() and (rows.images.abs() < BEYOND).all()
            right = right and torch.equal(rows.images, again.images) and torch.equal(rows.labels, again.labels)
            assert right, (
                f"{self.title}: what it makes becomes a set: {ipc} finite images of every class, in unit space, each "
                f"with a label, the same each time; it gave images {tuple(rows.images.shape)}, labels {labels}"
            )

    def test_global_randomness_is_left_alone(self) -> None:
        """A run inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title):
            self._make(1) if self._makes() else self._pick(1)

    def _counts(self) -> tuple[int, ...]:
        if self.built().whole:
            pytest.skip("it keeps every image")
        return self.counts

    def _pick(self, ipc: int) -> list[Tensor]:
        if self._makes():
            pytest.skip("it makes images")
        job = self.job()
        return list(job.config.selection.select(job.data, ipc, job.context()))

    def _makes(self) -> bool:
        return type(self.built()).make is not Selection.make

    def _make(self, ipc: int) -> Rows:
        job = self.job()
        return job.config.selection.make(ipc, job.context())
