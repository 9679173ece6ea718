"""Composed images, soft labels and teachers: against plain restatements, and through `dcc select`."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

import dcc_core
from dcc_core import Rows, load_set
from dcc_core.cli.app import cli
from dcc_core.errors import DccError
from dcc_plugins.crops import draw_crops
from dcc_plugins.data.kept_files import FOLDER
from dcc_plugins.selections.composed import Composed, crops_of, order_of_crops
from dcc_plugins.selections.soft import Soft, whole_batches
from dcc_plugins.teachers import checksum
from dcc_plugins.warping import warp

LABELLED = {"selection": "soft", "selection.of": "first", "selection.teacher_epochs": 2, "selection.epochs": 3}


@pytest.fixture
def run(make_job, tmp_path):
    return make_job({"arch": "linear", "run.ipc": 2, "run.data_root": tmp_path}).context()


def test_a_crop_is_enlarged_to_the_whole():
    """A quarter of the area with no room to move is the picture's middle, by torch's own interpolation."""
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    matrix = torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]], dtype=torch.float64)
    whole = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)[:, :, 4:12, 4:12]
    assert torch.allclose(warp(image, matrix), whole)


def test_crops_stay_inside_and_cover_the_shares_of_the_area():
    matrices = draw_crops(2000, 0.25, torch.Generator().manual_seed(0), flip=0.5)
    sides, middles = matrices.diagonal(dim1=1, dim2=2), matrices[:, :, 2]
    assert (sides.abs() + middles.abs() <= 1 + 1e-12).all()
    assert 0.45 < (sides[:, 0] < 0).double().mean() < 0.55
    area = sides.prod(dim=1).abs()
    assert 0.2 < area.min() < 0.3 and area.max() > 0.9
    square = draw_crops(100, 0.25, torch.Generator().manual_seed(0), square=True).diagonal(dim1=1, dim2=2)
    assert torch.equal(square[:, 0], square[:, 1])


def test_every_images_best_crop_comes_before_any_second_best_one():
    losses = torch.tensor([[3.0, 1.0], [0.5, 0.1], [2.0, 4.0]])
    assert order_of_crops(losses).tolist() == [3, 1, 4, 2, 0, 5]


def test_the_crops_that_the_teacher_sees_most_clearly_are_composed(run):
    """Every tile of an image is one of the candidates, shrunk, and no candidate left out has a lower loss."""
    selection = Composed(factor=2, crops=1, candidates=6, teacher_epochs=3)
    rows, teacher = selection.make(1, run), selection.find_teacher(run)
    side = run.data.shape[1] // 2
    for label, image in enumerate(rows.images):
        random, own = run.random.at("selection", label), run.real.by_class[label]
        own = own[torch.randperm(len(own), generator=random.generator("candidates"))[:6]]
        crops = crops_of(run, own, draw_crops(len(own), 0.08, random.generator("crops"), square=True))
        logits = teacher.network(run.real.normalisation.normalise(crops))
        order = F.cross_entropy(logits.cpu(), torch.full((len(own),), label), reduction="none").argsort()
        small = F.interpolate(crops[order[:4]], size=(side, side), mode="bilinear", antialias=True)
        tiles = [image[:, i : i + side, j : j + side] for i in (0, side) for j in (0, side)]
        assert torch.allclose(torch.stack(tiles), small)
    assert rows.labels.tolist() == [0, 1, 2]


def test_too_few_crops_are_one_error(run):
    with pytest.raises(
        DccError, match=r"selection.crops: 5 images of class .* take 20 crops; there are 1 of each of 6"
    ):
        Composed(factor=2, crops=1, candidates=6, teacher_epochs=0).make(5, run)


@pytest.mark.parametrize(("side", "factor"), [(64, 1), (65, 2)])
def test_small_images_hold_one_crop(make_job, tmp_path, side, factor):
    job = make_job({"arch": "linear", "data.size": side, "run.data_root": tmp_path})
    how = {"crops": 1, "candidates": 4, "teacher_epochs": 1}
    images = [Composed(factor=f, **how).make(1, job.context()).images for f in (None, factor, 3 - factor)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_a_teacher_is_kept_and_another_run_trains_none(make_job, tmp_path, caplog):
    options = {"arch": "linear", "run.data_root": tmp_path}
    first = Composed(teacher_epochs=2).find_teacher(make_job(options).context())
    (kept,) = (tmp_path / FOLDER).glob("teacher-*.safetensors")
    caplog.clear()
    with caplog.at_level("INFO", "dcc"):
        again = Composed(teacher_epochs=2).find_teacher(make_job({**options, "run.seed": 7}).context())
    assert str(kept) in caplog.text and "training the teacher" not in caplog.text
    assert checksum(again.network) == checksum(first.network) == first.about["weights"]
    assert again.about == first.about and 0 <= first.about["accuracy"] <= 1


@pytest.mark.parametrize(
    "change", [{"selection.teacher_rate": 0.5}, {"data.split_seed": 3, "data.per_class": 4}, {"arch": "convnet"}]
)
def test_another_teacher_has_another_file(make_job, tmp_path, change):
    for options in ({}, change):
        job = make_job(
            {
                "arch": "linear",
                "selection": "composed",
                "selection.teacher_epochs": 1,
                **options,
                "run.data_root": tmp_path,
            }
        )
        job.config.selection.find_teacher(job.context())
    assert len(list((tmp_path / FOLDER).glob("teacher-*"))) == 2


def test_a_teacher_learns(run):
    assert Composed(teacher_epochs=20).find_teacher(run).about["accuracy"] > 0.6, "chance is a third"


def test_labels_are_the_teachers_and_the_file_says_so(make_job, tmp_path):
    job = make_job({**LABELLED, "arch": "linear", "run.ipc": 2, "run.data_root": tmp_path})
    run, selection = job.context(), job.config.selection
    rows = selection.make(2, run)
    teacher = selection.find_teacher(run)
    logits = teacher.network(run.real.normalisation.normalise(rows.images))
    assert torch.allclose(rows.labels, logits.softmax(dim=1))
    assert rows.more["crop_logits"].shape == (6, 3, 3) and rows.more["crop_logits"].dtype == torch.float16
    assert rows.about["teacher"]["weights"] == checksum(teacher.network)


def test_labels_of_images_alone_are_softened(make_job, tmp_path):
    options = {**LABELLED, "selection.labels": "images", "selection.temperature": 4.0}
    job = make_job({**options, "arch": "linear", "run.data_root": tmp_path})
    run = job.context()
    rows = job.config.selection.make(1, run)
    logits = job.config.selection.find_teacher(run).network(run.real.normalisation.normalise(rows.images))
    assert torch.allclose(rows.labels, (logits / 4).softmax(dim=1)) and list(rows.more) == ["label_logits"]


@pytest.mark.parametrize(("count", "batch", "expected"), [(100, 50, 50), (101, 50, 51), (11, 10, 11), (3, 2, 3)])
def test_no_batch_has_a_single_image(count, batch, expected):
    assert whole_batches(count, batch) == expected and count % expected != 1


def test_the_teacher_of_the_other_selection_is_this_one():
    Soft(of=Composed(), teacher_epochs=3)
    Soft(of=Composed(teacher_epochs=3), teacher_epochs=3)
    with pytest.raises(ValueError, match=r"of\.teacher_epochs is not its own"):
        Soft(of=Composed(teacher_epochs=4), teacher_epochs=3)


def test_other_images_get_labels_by_the_same_crops(make_job, tmp_path):
    job = make_job({**LABELLED, "arch": "linear", "run.ipc": 2, "run.data_root": tmp_path})
    run, selection = job.context(), job.config.selection
    made = selection.make(2, run)
    again = selection.label(Rows(images=made.images, labels=torch.arange(3).repeat_interleave(2)), run)
    assert torch.equal(made.more["crop_logits"], again.more["crop_logits"]) and made.about == again.about


def test_a_soft_set_is_scored_in_four_ways(registry, tmp_path, monkeypatch):
    """By its labels, by hard ones, and beside random images with hard labels and with the same teacher's."""
    words = ["--data", "digits", "--ipc", "2", "--sets", "1", "--eval-nets", "1", "--protocol", "distilled", "--json"]
    options = [
        "arch.width=4",
        "selection.of=random",
        "selection.teacher_epochs=1",
        "selection.epochs=2",
        "run.device=cpu",
    ]
    words += ["--data-root", str(tmp_path), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(
        cli, ["select", "--method", "soft", *words, *(w for o in options for w in ("-o", o))], obj=registry
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    assert {"condensed", "hard", "random", "random_soft"} <= set(report["accuracy"])
    s = load_set(tmp_path / "run" / "set.safetensors")
    assert s.labels.shape == (20, 10) and s.stored["crop_logits"].shape == (20, 2, 10)
    about = s.provenance.labels
    assert about["kind"] == "crops" and about["teacher"]["accuracy"] > 0 and about["temperature"] == 20
    kept = len(list((Path(tmp_path) / FOLDER).glob("teacher-*")))
    again = dcc_core.score(s, nets=1, registry=registry, options={"run.data_root": tmp_path, "run.device": "cpu"})
    assert again.mean == report["accuracy"]["condensed"]["mean"]
    assert len(list((Path(tmp_path) / FOLDER).glob("teacher-*"))) == kept == 1


def test_matching_begins_from_composed_images(make_job, tmp_path):
    options = {"selection": "composed", "selection.teacher_epochs": 1, "arch": "linear", "run.data_root": tmp_path}
    job = make_job(options)
    start = job.start()
    made = job.config.selection.make(1, job.context())
    assert torch.allclose(start.synthetic.stored["images"], job.real.normalisation.normalise(made.images))
