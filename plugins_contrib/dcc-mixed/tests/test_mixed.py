"""Losses around losses: mixing across classes, groups of classes."""

from types import SimpleNamespace

import pytest
import torch
from dcc_mixed import Mixed, nearest
from torch.nn import functional as F

from dcc_core import DccError, Step
from dcc_core.testing import LossConformance, Moment, job_of, toys


class TestMixed(LossConformance):
    component, options = "mixed", {"inner": "collective", "probability": 1}


class TestGrouped(LossConformance):
    component, options = "grouped", {"inner": "collective", "size": 2}


def make_job(options=None):
    """A run on six classes of toy data in float64 unless asked otherwise."""
    return job_of({"data": "blobs-of:9,8,9,7,9,9", "run.ipc": 2, "run.precision": "float64", **(options or {})}, toys)


def objective(options):
    """Its value, and its gradient by all synthetic images."""
    moment = Moment.of(make_job({"run.init": "noise", **options}))
    return moment.objective(), moment.gradient()["images"]


def alike(first, second):
    return first[0] == pytest.approx(second[0], rel=1e-9) and torch.allclose(first[1], second[1], rtol=1e-7, atol=1e-12)


BARE = {"loss": "collective-bare", "loss.reduction": "sum"}
GROUPED = {"loss": "grouped", "loss.inner": "collective-bare", "loss.inner.reduction": "sum"}
MIXED = {"loss": "mixed", "loss.inner": "collective-bare", "loss.probability": 1}


def test_one_group_is_the_loss_itself_and_groups_of_one_are_class_wise():
    assert alike(objective({**GROUPED, "loss.size": 6}), objective(BARE))
    assert alike(objective({**GROUPED, "loss.size": 1}), objective({"loss": "class-wise"}))
    assert alike(
        objective({"loss": "grouped", "loss.inner": "class-wise", "loss.size": 2}), objective({"loss": "class-wise"})
    )


def test_a_group_matches_the_sums_over_its_classes():
    """Against weights of zero outside the group, which cost all classes."""
    value, gradient = objective({**GROUPED, "loss.given": "0,1,0,1,1,0", "loss.inner.distance": "mse", "aug": "dsa"})
    step = Moment.of(make_job({"run.init": "noise", "aug": "dsa"})).step
    leaves = step.synthetic.leaves()
    total = 0.0
    for weights in ([1, 0, 1, 0, 0, 1], [0, 1, 0, 1, 1, 0]):
        sums = step.summed_gradients(torch.tensor(weights))
        distance = sum((r - s).square().sum() for r, s in zip(sums.real, sums.synthetic, strict=True))
        torch.autograd.backward(distance, inputs=leaves)
        total += distance.item()
    assert alike((value, gradient), (total, torch.cat([leaf.grad for leaf in leaves])))


def groups_of(options, outer=0, inner=0):
    """The classes of each part of a step."""
    moment = Moment.of(make_job({"loss": "grouped", "loss.inner": "class-wise", **options}), outer, inner)
    seen, step = [], moment.step
    step.within = lambda group: seen.append(sorted(group)) or Step.within(step, group)
    list(moment.terms())
    return seen


@pytest.mark.parametrize(
    ("size", "sizes"), [(1, [1] * 6), (2, [2, 2, 2]), (4, [3, 3]), (5, [3, 3]), (6, [6]), (9, [6])]
)
def test_groups_are_few_and_equal(size, sizes):
    groups = groups_of({"loss.size": size})
    assert [len(g) for g in groups] == sizes
    assert sorted(k for g in groups for k in g) == list(range(6))


def test_when_groups_change():
    small = {"loss.size": 2}
    by_loop = [sorted(groups_of(small, outer, inner)) for outer in range(4) for inner in range(2)]
    assert by_loop[::2] == by_loop[1::2]
    assert any(g != by_loop[0] for g in by_loop)
    by_step = [sorted(groups_of({**small, "loss.by": "step"}, 0, inner)) for inner in range(4)]
    assert any(g != by_step[0] for g in by_step)
    by_features = [groups_of({**small, "loss.by": "features", "loss.epochs": 1}, o, o) for o in range(2)]
    assert by_features[0] == by_features[1]
    assert groups_of({"loss.given": "7,7,3,3,7,3"}) == [[0, 1, 4], [2, 3, 5]]
    with pytest.raises(DccError, match=r"loss.given: 2 groups are given for 6 classes"):
        groups_of({"loss.given": "1,2"})


def test_near_classes_come_together():
    points = torch.tensor([[0.0, 0], [9, 9], [0, 1], [8, 9], [9, 0], [1, 0], [9, 8], [9, 1], [8, 0]])
    assert sorted(nearest(points, [3, 3, 3])) == [[0, 2, 5], [1, 3, 6], [4, 7, 8]]


def mixed_step(options):
    """A step as the inner loss sees it, and as it is."""
    moment = Moment.of(make_job({**MIXED, **options}))
    caught, step = [], moment.step
    step.with_images = lambda change: caught.append(Step.with_images(step, change)) or caught[-1]
    list(moment.terms())
    return caught[0], step


@pytest.mark.parametrize("how", ["mixup", "cutmix"])
def test_a_class_is_mixed_alike_on_both_sides(how):
    """Every pixel is the stated share of a partner's; the labels say which partner, and how much of it."""
    mixed, step = mixed_step({"loss.how": how})
    partners = []
    for label in range(6):
        sides = [(mixed.real(label), step.real), (mixed.synthetic.batch(label), step.synthetic.batch)]
        assert torch.allclose(sides[0][0].labels[0], sides[1][0].labels[0])
        for found, of in sides:
            assert (found.labels == found.labels[0]).all()
            assert found.labels[0].sum().item() == pytest.approx(1)
            share = found.labels[0, label].item()
            (partner,) = [k for k in range(6) if k != label and found.labels[0, k] > 0] or [None]
            own = of(label).images
            if partner is None:
                assert torch.equal(found.images, own)
                continue
            other = of(partner).images
            other = other[torch.arange(len(own)) % len(other)]
            if how == "mixup":
                assert torch.allclose(found.images, share * own + (1 - share) * other)
            else:
                stays = (found.images == own).all(dim=1)
                assert ((found.images == other).all(dim=1) | stays).all()
                assert stays[0].double().mean().item() == pytest.approx(share)
                assert (stays == stays[0]).all()
        partners.append(partner)
    chosen = [p for p in partners if p is not None]
    assert len(chosen) > 3
    assert len(set(chosen)) == len(chosen)


def test_the_inner_loss_sees_the_mixed_images():
    """Restated: mean gradients of mixed batches with soft labels, summed over classes."""
    value, gradient = objective({**MIXED, "loss.inner.distance": "mse", "loss.inner.reduction": "sum"})
    mixed, step = mixed_step({"run.init": "noise"})
    weights = list(step.network.parameters())
    sides = []
    for of in (mixed.real, mixed.synthetic.batch):
        losses = [F.cross_entropy(step.network(of(k).images), of(k).labels) for k in range(6)]
        sides.append(torch.autograd.grad(sum(losses), weights, create_graph=True))
    expected = sum((r - s).square().sum() for r, s in zip(*sides, strict=True))
    leaves = step.synthetic.leaves()
    torch.autograd.backward(expected, inputs=leaves)
    assert alike((value, gradient), (expected.item(), torch.cat([leaf.grad for leaf in leaves])))


@pytest.mark.parametrize("inner", ["collective-bare", "class-wise"])
def test_mixing_does_not_hang_on_how_images_are_passed(inner):
    options = {**MIXED, "loss.inner": inner, "aug": "dsa"}
    whole, by_three = objective(options), objective({**options, "run.micro_batch": 3})
    assert alike(whole, by_three)
    assert not alike(whole, objective({"loss": inner, "aug": "dsa"}))


def test_how_often_classes_are_mixed():
    step = Moment.of(make_job()).step
    rates = []
    for probability in (0.3, 1):
        loss, count = Mixed(inner=make_job(MIXED).config.loss.inner, how="mixup", probability=probability), 0
        for inner in range(50):
            at = Step(step.run, step.synthetic, outer=0, inner=inner, network=lambda: step.network)
            seen = []
            at.with_images = lambda change, at=at, seen=seen: seen.append(Step.with_images(at, change)) or at
            loss.terms(at, None)
            count += sum((seen[0].real(k, 1).labels[0] > 0).sum().item() > 1 for k in range(6))
        rates.append(count / 300)
    assert rates[0] == pytest.approx(0.3, abs=0.09)
    assert rates[1] == 1


def test_both_stack():
    options = {"loss": "grouped", "loss.size": 3, "loss.inner": "mixed", "loss.inner.inner": "collective", "aug": "dsa"}
    small = {"run.outer_loops": 4, "run.inner_loops": 2, "run.network_steps": 1, "run.image_rate": 0.1}
    job = make_job({**options, **small})
    assert job.config.table()["loss.inner.inner.warmup"] == "bi-level"
    start = job.start()
    before = start.synthetic.stored["images"].clone()
    s = job.condense(start=start)
    assert (start.synthetic.stored["images"] != before).all()
    assert s.provenance.config["loss.inner"] == "mixed"


def test_what_is_refused():
    with pytest.raises(DccError, match=r"loss.inner: required; the loss inside"):
        make_job({"loss": "mixed"})
    with pytest.raises(DccError, match=r"there is one class"):
        make_job(MIXED).config.loss.setup(SimpleNamespace(num_classes=1), None)
