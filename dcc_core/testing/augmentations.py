"""The rules of augmentations."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from dcc_core.engine import Augmentation
from dcc_core.testing.base import Conformance
from dcc_core.testing.randomness import generator, global_seeds, left_alone

CLASSES = 3


class AugmentationConformance(Conformance):
    """Tests of an augmentation.

    shape: (C, H, W) of the images it is tried on; traits: of their data. alone: whether every image is transformed on
    its own; False for one that looks at the whole batch by design, which is then none for Siamese matching.
    """

    kind = "augmentation"
    shape: ClassVar[tuple[int, int, int]] = (3, 12, 12)
    traits: ClassVar[frozenset[str]] = frozenset()
    alone: ClassVar[bool] = True

    def test_draws_have_one_row_each(self) -> None:
        """Tensors on the CPU, leading dimension n, be they of a batch or independent."""
        for n in (1, 5):
            for name, draw in self._draws(n).items():
                assert isinstance(draw, Tensor), f"{self.title}: draws are tensors; '{name}' is {type(draw).__name__}"
                good = draw.device.type == "cpu" and draw.shape[:1] == (n,)
                assert good, (
                    f"{self.title}: draws lie on the CPU, with one row each; of {n} draws '{name}' has the shape "
                    f"{tuple(draw.shape)} on {draw.device}"
                )

    def test_draws_come_from_the_generator(self) -> None:
        """The same generator gives the same result, whatever the global random states are."""
        twice = []
        for seed in (1, 2):
            with global_seeds(seed):
                twice.append(self._apply(self._images(4), draws=self._draws(4)))
        same = torch.equal(twice[0][0], twice[1][0]) and torch.equal(twice[0][1], twice[1][1])
        assert same, f"{self.title}: the same generator gives the same result; two runs from one seed differ"

    def test_one_draw_serves_batches_of_any_size(self) -> None:
        """Siamese matching applies a class's draw to 256 real images and to one synthetic one."""
        if not self.alone or self._augmentation.mixes_labels:
            pytest.skip("it looks at the whole batch")
        images, draws, index = self._images(8), self._draws(4), torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
        some = torch.tensor([6, 1, 4])
        whole, _ = self._apply(images, draws=draws, index=index)
        part, _ = self._apply(images[some], draws=draws, index=index[some])
        same = torch.allclose(part, whole[some], rtol=0, atol=1e-9)
        assert same, (
            f"{self.title}: one draw acts the same in batches of every size; in one of 3 and in one of 8 it differs"
        )

    def test_shape_and_type_are_kept(self) -> None:
        """Images go to a network that was built for them, in the run's precision."""
        for dtype in (torch.float32, torch.float64):
            images = self._images(4).to(dtype)
            labels = self._labels(4, dtype)
            after, mixed = self._apply(images, labels=labels, draws=self._draws(4))
            for what, a, b in (("images", images, after), ("labels", labels, mixed)):
                kept = (a.shape, a.dtype) == (b.shape, b.dtype)
                assert kept, (
                    f"{self.title}: shape and type are kept; of {what} {a.dtype} {tuple(a.shape)} it made "
                    f"{b.dtype} {tuple(b.shape)}"
                )
            if mixed.is_floating_point():
                sums = mixed.double().sum(dim=1)
                good = bool((mixed >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-5)
                assert good, f"{self.title}: labels stay probabilities; a row sums to {sums.max().item():.3g}"

    def test_results_are_finite(self) -> None:
        """Of noise under many draws, and of images of one colour."""
        many = self._images(64)
        for what, images in {"noise": many, "zeros": torch.zeros_like(many), "ones": torch.ones_like(many)}.items():
            after, _ = self._apply(images, draws=self._draws(64))
            finite = bool(torch.isfinite(after).all())
            assert finite, f"{self.title}: results are finite; of {what} some are not"

    def test_it_is_differentiable(self) -> None:
        """The gradient of what it makes is right by finite differences: the synthetic images learn through it."""
        images, draws = self._images(4).requires_grad_(), self._draws(4)
        after, _ = self._apply(images, draws=draws)
        assert after.requires_grad, f"{self.title}: it is differentiable; its images do not depend on the given ones"
        gradient = torch.autograd.grad(after.square().sum(), images)[0]
        reached = gradient.flatten(1).abs().amax(dim=1)
        assert reached.gt(0).all(), f"{self.title}: it is differentiable; the gradient is zero at whole images"
        try:
            torch.autograd.gradcheck(lambda x: self._apply(x, draws=draws)[0], (images,), fast_mode=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise AssertionError(f"{self.title}: it is differentiable; its gradient is wrong: {reason}") from error

    def test_images_are_left_alone(self) -> None:
        """What is given is not changed in place: the real images are the data set's."""
        images = self._images(4)
        before = images.clone()
        self._apply(images, draws=self._draws(4))
        assert torch.equal(images, before), f"{self.title}: images are not changed in place"

    def test_global_randomness_is_left_alone(self) -> None:
        """A run inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title):
            self._apply(self._images(4), draws=self._draws(4))

    @property
    def _augmentation(self) -> Augmentation:
        return self.built().adapt(self.traits)

    def _images(self, n: int) -> Tensor:
        return torch.randn((n, *self.shape), generator=generator(n), dtype=torch.float64)

    def _labels(self, n: int, dtype: torch.dtype) -> Tensor:
        labels = torch.arange(n) % CLASSES
        return torch.eye(CLASSES, dtype=dtype)[labels] if self._augmentation.mixes_labels else labels

    def _draws(self, n: int) -> dict[str, Tensor]:
        """Independent draws, or those of one batch where its images are mixed."""
        augmentation = self._augmentation
        return dict(augmentation.draw(n, self.shape, generator(0), per_batch=augmentation.mixes_labels))

    def _apply(
        self, images: Tensor, *, draws: dict[str, Tensor], labels: Tensor | None = None, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        labels = self._labels(len(images), images.dtype) if labels is None else labels
        index = torch.arange(len(images)) if index is None else index
        return self._augmentation.apply(images, labels, draws, index)
