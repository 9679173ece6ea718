"""Whether image gradients of matching agree between networks: what they have in common is what updates can add up.

    python benchmarks/gradient_agreement.py --data-root DIR [-o KEY=VALUE ...] [--nets 4] [--trained 0]

DIR holds CIFAR-10. For each architecture, freshly initialised networks (with --trained N, trained N times as between
image updates) give the gradient of the loss with respect to the same real images, one per class. Printed as Markdown:
the cosine between the gradients that two networks give of an image, mean over images and pairs; the same of averages
over 4×4 pixels; and the share of the squared gradient that lies in the image's top left quarter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn import functional as F

from dcc_core.config.settings import Rank, Settings
from dcc_core.engine.algorithm import Network
from dcc_core.engine.step import Step
from dcc_core.jobs.configuration import resolve
from dcc_core.jobs.job import Job
from dcc_core.plugins.registry import Registry

CASES = (
    ("convnet",),
    ("timm/resnet18",),
    ("timm/resnet18", "arch.zero_init_last=false"),
    ("timm/resnet18", "arch.avg_down=true"),
    ("timm/resnet18", "arch.avg_down=true", "run.norm_momentum=1"),
    ("timm/resnet18", "arch.avg_down=true", "arch.zero_init_last=false"),
)


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path), required=True)
@click.option("-o", "pairs", multiple=True)
@click.option("--nets", default=4)
@click.option("--trained", default=0)
def main(data_root: Path, pairs: tuple[str, ...], nets: int, trained: int) -> None:
    registry = Registry.installed()
    click.echo("| network | cosine | of 4×4 averages | top left quarter |\n|---|---|---|---|")
    for arch, *options in CASES:
        settings = Settings()
        settings.add_options((*options, *pairs))
        settings.add({"data": "cifar10", "arch": arch, "run.data_root": data_root}, "benchmark", Rank.FLAG)
        gradients = torch.stack(list(image_gradients(Job(resolve(registry, settings), registry), nets, trained)))
        averages = F.avg_pool2d(gradients.flatten(0, 1), 4).unflatten(0, gradients.shape[:2])
        height, width = (side // 2 for side in gradients.shape[-2:])
        corner = gradients[..., :height, :width].square().sum() / gradients.square().sum()
        words = ", ".join((arch, *options))
        click.echo(f"| {words} | {agreement(gradients):.2f} | {agreement(averages):.2f} | {corner:.2f} |")


def image_gradients(job: Job, nets: int, trained: int) -> Iterator[Tensor]:
    """For each of `nets` networks the gradient with respect to the initial images, (N, C, H, W)."""
    run, synthetic, state = job.start()
    for outer in range(nets):
        network = Network(run, outer)
        for inner in range(trained):
            network.train(synthetic, inner)
        step = Step(run, synthetic, outer=outer, inner=trained, network=network.module)
        synthetic.zero_gradients()
        for term in job.config.loss.terms(step, state):
            torch.autograd.backward(term.value, inputs=synthetic.leaves())
        yield torch.cat([leaf.grad for leaf in synthetic.leaves()]).clone()


def agreement(gradients: Tensor) -> float:
    """Mean cosine between the gradients (networks, N, C, H, W) of an image that two networks give."""
    directions = F.normalize(gradients.flatten(2), dim=2)
    pairs = [(a * b).sum(dim=1) for a, b in itertools.combinations(directions, 2)]
    return torch.cat(pairs).mean().item()


if __name__ == "__main__":
    main()
