"""The protocol `distilled`, and a teacher's labels of crops: against plain loops."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from dcc_core import CondensedSet, DccError, Randomness, epoch_order, load_set, shuffled_batches
from dcc_core.jobs.coreset import select_coreset
from dcc_core.jobs.measurements import Measurer
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_core.scoring.robustness import measurements
from dcc_plugins.crops import Crops

OPTIONS = {
    "selection": "soft",
    "selection.of": "first",
    "selection.teacher_epochs": 2,
    "selection.epochs": 3,
    "selection.batch": 4,
    "selection.precision": "float32",
    "score.protocol": "distilled",
    "score.nets": 1,
    "arch": "linear",
    "run.ipc": 2,
}


@pytest.fixture
def job(make_job, tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "distilled", replace(PROTOCOLS["distilled"], epochs=5, batch=4))
    return make_job({**OPTIONS, "run.data_root": tmp_path})


def measured(job, s, name):
    measurer = Measurer(job, s)
    return measurer.work(measurements("distilled", taught=True)[name])


def restated(job, s, work):
    """RDED's loop: AdamW, half a cosine, KL of softened logits, on crops made from the recorded numbers alone."""
    about, images = s.provenance.labels, job.decode(s)
    crops = Crops(**about["options"])
    logits = s.stored["crop_logits"].to(images.device, torch.float64)
    network = work.scorer.build(job.random(0).at("score", "net", 0).generator("network"))
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.001, betas=(0.9, 0.999), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda e: 0.5 * (1 + math.cos(math.pi * e / 5 / 2)))
    for epoch in range(5):
        random = Randomness(about["seed"], (*about["address"], "epoch", epoch % 3))
        order = torch.randperm(len(images), generator=random.generator("order"))
        for number, chosen in enumerate(order.split(about["batch"])):
            draws = crops.draw(len(chosen), job.data.shape, random.generator("augment", number), per_batch=True)
            mixed, _ = crops.apply(images.images[chosen], images.labels[chosen], draws, torch.arange(len(chosen)))
            target = (logits[chosen, epoch % 3] / 20).softmax(dim=1)
            loss = F.kl_div((network(mixed) / 20).log_softmax(dim=1), target, reduction="batchmean")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    return network


def test_training_on_crops_equals_the_published_loop(job):
    s = select_coreset(job)
    work = measured(job, s, "condensed")
    found, shown = work.scorer._train_alone(work.data, work.scorer.random.at("net", 0))
    expected = restated(job, s, work)
    assert shown == 5 * 6
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-8)


def test_the_labels_are_those_of_the_crops_that_come_again(job):
    """The teacher sees, in training, what it saw when it labelled."""
    s = select_coreset(job)
    work, teacher = measured(job, s, "condensed"), job.config.selection.find_teacher(job.context())
    for epoch in range(3):
        images, random = work.scorer.of_epoch(epoch)
        how = {"num_classes": 3, "augmentation": work.scorer.augmentation, "random": random}
        batches = shuffled_batches(images, work.scorer.protocol.batch, **how)
        for chosen, batch in zip(epoch_order(6, random).split(4), batches, strict=True):
            logits = teacher.logits(batch.images)
            assert torch.allclose(logits.cpu(), s.stored["crop_logits"][chosen, epoch].double(), atol=1e-5)
            assert torch.allclose(batch.labels, (logits / 20).softmax(dim=1), atol=1e-5)


def test_epochs_beyond_the_recorded_ones_repeat_them(job):
    of_epoch = measured(job, select_coreset(job), "condensed").scorer.of_epoch
    assert torch.equal(of_epoch(4)[0].labels, of_epoch(1)[0].labels) and of_epoch(4)[1] == of_epoch(1)[1]


def test_hard_labels_and_other_protocols_know_no_crops(job):
    s = select_coreset(job)
    hard = measured(job, s, "hard")
    assert hard.scorer.of_epoch is None and hard.scorer.temperature == 1
    assert hard.data.labels.tolist() == [0, 0, 1, 1, 2, 2]
    own = Measurer(job, s).work(measurements("dc", taught=True)["condensed"])
    assert own.scorer.of_epoch is None and torch.allclose(own.data.labels.cpu(), s.labels.double())


def test_random_images_get_labels_by_the_same_teacher(job):
    work, s = measured(job, select_coreset(job), "random_soft"), select_coreset(job)
    assert work.scorer.temperature == 20 and not torch.equal(work.data.images, job.decode(s).images)
    teacher = job.config.selection.find_teacher(job.context())
    images, random = work.scorer.of_epoch(0)
    how = {"num_classes": 3, "augmentation": work.scorer.augmentation, "random": random}
    batch = next(iter(shuffled_batches(images, 4, **how)))
    assert torch.allclose(batch.labels, (teacher.logits(batch.images) / 20).softmax(dim=1), atol=1e-5)


def test_a_set_of_hard_labels_has_two_measurements(job):
    assert list(measurements("distilled")) == ["condensed", "random"]
    assert list(measurements("dsa", taught=True)) == ["condensed", "hard", "random", "random_soft"]
    assert list(measurements("dsa", taught=True, baseline=False)) == ["condensed", "hard"]


def test_where_nobody_labels_random_images_there_is_no_measurement(job, make_job, tmp_path):
    """A selection that gives no labels but classes: the set's own was not installed, say."""
    plain = {key: value for key, value in OPTIONS.items() if not key.startswith("selection.")}
    other = make_job({**plain, "selection": "random", "run.data_root": tmp_path})
    measurer, m = Measurer(other, select_coreset(job)), measurements("distilled", taught=True)["random_soft"]
    assert measurer.measure("random_soft", m) is None and measurer.scores == {}


def test_files_without_a_teacher_say_nothing_of_labels(job, make_job):
    plain = select_coreset(make_job({"arch": "linear"}))
    assert b'"labels"' not in plain.to_bytes().replace(b'"labels":{"dtype"', b"")
    taught = select_coreset(job)
    assert isinstance(taught, CondensedSet) and taught.provenance.labels["teacher"]["accuracy"] >= 0
    assert b'"labels": {' in taught.to_bytes() or b'\\"labels\\": {' in taught.to_bytes()


@pytest.mark.parametrize("missing", ["temperature", "address"])
def test_labels_of_crops_that_nobody_can_make_are_refused(job, tmp_path, missing):
    s = select_coreset(job)
    about = {name: value for name, value in s.provenance.labels.items() if name != missing}
    replace(s, provenance=replace(s.provenance, labels=about)).save(tmp_path / "set.safetensors")
    with pytest.raises(DccError, match=f"crop_logits are of crops that nobody can make: labels lack {missing}"):
        load_set(tmp_path / "set.safetensors")


def test_labels_of_crops_of_another_shape_are_refused(job, tmp_path):
    s = select_coreset(job)
    replace(s, stored={**s.stored, "crop_logits": s.stored["crop_logits"][:, :, :2].contiguous()}).save(tmp_path / "s")
    with pytest.raises(DccError, match=r"crop_logits have shape \(6, 3, 2\); expected \(6, epochs, 3\)"):
        load_set(tmp_path / "s")
