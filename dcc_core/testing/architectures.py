"""The rules of architectures."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dcc_core.compute import PlainOperations, missing_derivative, refuse_hidden_errors
from dcc_core.errors import DccError
from dcc_core.testing.base import Conformance
from dcc_core.testing.randomness import generator, global_seeds, left_alone


class ArchitectureConformance(Conformance):
    """Tests of an architecture.

    shape: (C, H, W) of the images it is built for; classes: how many. twice_differentiable: whether it can be used for
    matching gradients; False for one that is only trained and scored.
    """

    kind = "architecture"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 4
    twice_differentiable: ClassVar[bool] = True

    def test_logits_and_features_have_their_shapes(self) -> None:
        """Logits (B, K), and features (B, D) before the head."""
        network = self._network().eval()
        for n in (1, 3):
            with torch.no_grad():
                logits, features = network(self._images(n)), self._embed(network, self._images(n))
            shape = tuple(logits.shape)
            assert shape == (n, self.classes), (
                f"{self.title}: logits have the shape {(n, self.classes)}; it gave {shape}"
            )
            shape = tuple(features.shape)
            assert features.ndim == 2, f"{self.title}: features have the shape (images, D); embed gave {shape}"
            assert len(features) == n, (
                f"{self.title}: features have one row per image; of {n} images embed gave {shape}"
            )

    def test_images_are_seen_one_by_one(self) -> None:
        """In evaluation mode: the engine passes images in chunks, whose size depends on the machine."""
        network = self._network().eval()
        images = self._images(3)
        with torch.no_grad():
            together, alone = network(images), torch.cat([network(image.unsqueeze(0)) for image in images])
        same = torch.allclose(together, alone, rtol=1e-6, atol=1e-9)
        assert same, f"{self.title}: images are seen one by one in evaluation mode; in a batch they give other logits"

    def test_it_can_be_differentiated_twice(self) -> None:
        """Matching differentiates the gradient of the weights with respect to the images."""
        if not self.twice_differentiable:
            pytest.skip("twice_differentiable = False")
        rule = f"{self.title}: it can be differentiated twice"
        network = self._network().eval()
        images = self._images(2).requires_grad_()
        weights = [p for p in network.parameters() if p.requires_grad]
        try:
            with PlainOperations():
                loss = F.cross_entropy(network(images), torch.arange(2) % self.classes)
                gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
            refuse_hidden_errors(gradients)
            objective = torch.stack([g.square().sum() for g in gradients]).sum()
            (second,) = torch.autograd.grad(objective, [images])
        except DccError as error:
            raise AssertionError(f"{rule}; {error}") from error
        except RuntimeError as error:
            raise AssertionError(f"{rule}; {missing_derivative(error) or error}") from error
        assert torch.isfinite(second).all(), f"{rule}; the second derivative is not finite"
        assert second.abs().amax() > 0, f"{rule}; the second derivative is zero"

    def test_initial_weights_come_from_the_generator(self) -> None:
        """The same generator gives the same weights, another one others, whatever the global random states are."""
        states = []
        for own, others in ((0, 1), (0, 2), (1, 1)):
            with global_seeds(others):
                states.append(torch.cat([p.detach().flatten() for p in self._network(own).parameters()]))
        first, same, other = states
        assert torch.equal(first, same), (
            f"{self.title}: initial weights come from the generator; the same one gave different weights. Build inside "
            "`with seeded(generator):`"
        )
        assert not torch.equal(first, other), (
            f"{self.title}: initial weights come from the generator; another one gave the same weights"
        )

    def test_global_randomness_is_left_alone(self) -> None:
        """A run inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title):
            self._network().eval()(self._images(2))

    def _network(self, seed: int = 0) -> nn.Module:
        channels, height, width = self.shape
        network = self.built().build(
            channels=channels, classes=self.classes, size=(height, width), generator=generator(seed)
        )
        return network.double()

    def _images(self, n: int) -> Tensor:
        return torch.randn((n, *self.shape), generator=generator(0), dtype=torch.float64)

    def _embed(self, network: nn.Module, images: Tensor) -> Tensor:
        return network.embed(images)  # pyright: ignore[reportCallIssue]
