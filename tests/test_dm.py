"""dcc-dm, a package of its own, on the public interface: the objective, its schedule, its draws."""

import ast
import sys
from pathlib import Path

import pytest
import torch
import toys

import dcc_plugins.manifest
from dcc_core import Registry, Step
from dcc_core.config import resolve
from dcc_core.engine import Network, optimise
from dcc_core.job import Job
from dcc_core.registry import Origin
from dcc_core.settings import Rank, Settings

PACKAGE = Path(__file__).parent.parent / "plugins_contrib" / "dcc-dm"
sys.path.insert(0, str(PACKAGE))

import dcc_dm_manifest  # noqa: E402

REGISTRY = Registry(
    [dcc_plugins.manifest, toys, dcc_dm_manifest], [Origin("builtin"), Origin("toys"), Origin("dm", "dcc-dm", "0.1.0")]
)

# The toys have a `dm` too: a name claimed twice is named in a warning, and each is found by its provider.
pytestmark = pytest.mark.filterwarnings("ignore:plugin dm:UserWarning")


def make_job(options=None, **flags) -> Job:
    """A run of the package's loss on toy data in float64 unless asked otherwise."""
    settings = Settings()
    settings.add({"data": "blobs", "loss": "dm:dm", "run.precision": "float64"}, "test data", Rank.FILE)
    settings.add({**(options or {}), **flags}, "test", Rank.OPTION)
    return Job(resolve(REGISTRY, settings), REGISTRY)


def make_step(job, outer=0):
    run, synthetic, state = job.start()
    return Step(run, synthetic, outer=outer, inner=0, network=Network(run, outer).matching), synthetic, state


def restated(step, synthetic):
    """The objective image by image, in loops."""
    total = 0.0
    for label in range(step.num_classes):
        means = []
        for batch in (step.real(label), synthetic.batch(label)):
            images = step.augment(batch, label).images.detach()
            features = [step.network.embed(image.unsqueeze(0))[0].tolist() for image in images]
            means.append([sum(column) / len(features) for column in zip(*features, strict=True)])
        total += sum((a - b) ** 2 for a, b in zip(*means, strict=True))
    return total


@pytest.mark.parametrize(
    "options", [{}, {"aug": "dsa"}, {"arch": "linear"}, {"param": "half", "run.real_batch": 4}], ids=str
)
def test_the_objective_is_the_distance_of_feature_means(options):
    job = make_job({"run.ipc": 2, "run.init": "noise", **options})
    step, synthetic, state = make_step(job)
    parts = [part.value.item() for part in job.config.loss.terms(step, state)]
    assert len(parts) == 3
    assert sum(parts) == pytest.approx(restated(step, synthetic), rel=1e-9)


def test_images_at_once_do_not_change_it():
    values, gradients = [], []
    for size in (1, 5, 1000):
        job = make_job({"run.ipc": 3, "run.micro_batch": size, "run.init": "noise"})
        step, synthetic, state = make_step(job)
        terms = [part.value for part in job.config.loss.terms(step, state)]
        torch.autograd.backward(terms, inputs=synthetic.leaves())
        values.append(sum(t.item() for t in terms))
        gradients.append(torch.cat([leaf.grad for leaf in synthetic.leaves()]))
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-9, atol=1e-14)
    assert torch.allclose(gradients[0], gradients[2], rtol=1e-9, atol=1e-14)
    assert (gradients[0].flatten(1).abs().amax(dim=1) > 0).all()


def test_the_published_schedule_and_rate():
    """One update per network, which is never trained; a rate of 1, whatever the loops, unless another is given."""
    config = make_job({"run.ipc": 10, "run.outer_loops": 20000}, data="blobs-of:12,12,12").config
    assert (config.schedule.inner_loops, config.schedule.network_steps) == (1, 0)
    assert (config.image_rate, config.run.image_momentum, config.run.real_batch) == (1.0, 0.5, 256)
    assert make_job({"run.image_rate": 0.3}).config.image_rate == 0.3


def test_every_update_has_a_network_of_its_own():
    job = make_job()
    weights = [next(make_step(job, outer)[0].network.parameters()) for outer in (0, 1)]
    assert not torch.equal(*weights)


def test_one_draw_serves_the_real_and_the_synthetic_images_of_a_class():
    """Real images as synthetic ones, all of them: alike under any augmentation, if the draws are."""
    job = make_job({"aug": "dsa", "run.ipc": 5}, data="blobs-of:5,5,5")
    step, _, state = make_step(job)
    assert [part.value.item() for part in job.config.loss.terms(step, state)] == pytest.approx([0, 0, 0], abs=1e-20)
    apart = Step.augment
    step.augment = lambda batch, owners, draw=0: apart(step, batch, owners, int(batch.images.requires_grad))
    assert min(part.value.item() for part in job.config.loss.terms(step, state)) > 1e-6


def test_a_run_lowers_the_objective():
    """On networks that the run has not seen."""
    job = make_job({"run.outer_loops": 30, "data": "digits", "run.precision": "float32", "run.init": "noise"})

    def unseen():
        steps = [Step(run, synthetic, outer=k, inner=0, network=Network(run, k).matching) for k in range(1000, 1003)]
        return sum(part.value.item() for step in steps for part in job.config.loss.terms(step, state))

    run, synthetic, state = job.start()
    before = unseen()
    optimise(run, job.config.loss, synthetic, state)
    assert unseen() < 0.7 * before


@pytest.mark.parametrize(("module", "torch_too"), [("dcc_dm", True), ("dcc_dm_manifest", False)])
def test_the_package_imports_the_public_interface_alone(module, torch_too):
    """And no torch where it is listed."""
    text = (PACKAGE / f"{module}.py").read_text()
    nodes = list(ast.walk(ast.parse(text)))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert {name for name in imported if name.startswith("dcc")} == {"dcc_core"}
    assert ("torch" in imported) == torch_too
    assert len(text.splitlines()) <= 40
