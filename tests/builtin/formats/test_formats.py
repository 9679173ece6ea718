"""Files in the field's layouts are read as they are meant, and written so that they come back."""

import field_files
import numpy as np
import pytest
import torch
from field_files import MEAN, STD, close, condensed, statistics, to_unit

from dcc_core import DccError
from dcc_core.sets.condensed_set import WHITENED
from dcc_core.sets.decoding import check_fits
from dcc_plugins.data.class_names import CIFAR10
from dcc_plugins.exchange.conversion import convert

CIFAR = {"stats": "cifar10", "data": "cifar10"}


def test_vico(tmp_path, import_set):
    sets = field_files.vico(tmp_path / "res.pt")
    s = import_set(tmp_path / "res.pt", "vico", **CIFAR)
    assert close(s.images, to_unit(sets[-1][0]))
    assert s.images.min() < 0
    assert s.images.max() > 1
    assert torch.equal(s.labels, sets[-1][1])
    p = s.provenance
    assert (p.method, p.data, p.class_names, p.mean, p.std, p.size) == (
        "imported from vico",
        "cifar10",
        CIFAR10,
        MEAN,
        STD,
        (32, 32),
    )
    assert [(r["architecture"], r["accuracies"]) for r in p.scores] == [("ConvNet", [0.28, 0.285]), ("MLP", [0.2])]
    assert p.scores[0]["mean"] == pytest.approx(0.2825)
    assert "experiment 2 of 3" in p.notes
    assert p.config["data"] == "cifar10"
    assert set(p.versions) == {"dcc", "torch"}


def test_accuracies_that_are_none_are_left_out(tmp_path, import_set):
    """A set file's metadata are JSON, which knows no NaN."""
    field_files.vico(tmp_path / "res.pt", size=4)
    content = torch.load(tmp_path / "res.pt", weights_only=False)
    content["accs_all_exps"] = {"a": [float("nan")], "b": [], "c": "x", "d": [0.5]}
    torch.save(content, tmp_path / "res.pt")
    assert [s["architecture"] for s in import_set(tmp_path / "res.pt", "vico", **CIFAR).provenance.scores] == ["d"]


def test_an_earlier_experiment_can_be_asked_for(tmp_path, import_set):
    sets = field_files.vico(tmp_path / "res.pt")
    s = import_set(tmp_path / "res.pt", "vico", options={"format.experiment": 0}, **CIFAR)
    assert close(s.images, to_unit(sets[0][0]))
    with pytest.raises(DccError, match=r"format.experiment: 3, and '.*res.pt' has 3 experiments, from 0"):
        import_set(tmp_path / "res.pt", "vico", options={"format.experiment": 3}, **CIFAR)


def test_mtt(tmp_path, import_set):
    images, labels = field_files.mtt(tmp_path / "run")
    s = import_set(tmp_path / "run", "mtt", **CIFAR)
    assert close(s.images, to_unit(images))
    assert torch.equal(s.labels, labels)
    assert s.provenance.learned == {}
    (tmp_path / "run" / "images_best.pt").rename(tmp_path / "run" / "images_500.pt")
    (tmp_path / "run" / "labels_best.pt").rename(tmp_path / "run" / "labels_500.pt")
    assert torch.equal(import_set(tmp_path / "run", "mtt", options={"format.version": "500"}, **CIFAR).images, s.images)
    with pytest.raises(DccError, match=r"there is no file '.*run/images_best.pt'"):
        import_set(tmp_path / "run", "mtt", **CIFAR)


def test_mtt_with_zca_is_told_apart(tmp_path, import_set):
    """The un-whitened images are in unit space; the whitened ones are kept as they are; nothing is assumed."""
    whitened, _ = field_files.mtt(tmp_path / "run")
    undone = torch.rand_like(whitened)
    torch.save(undone, tmp_path / "run" / "images_zca_best.pt")
    with pytest.raises(DccError, match=r"the run whitened its images. Say -o format.zca=undone .*format.zca=whitened"):
        import_set(tmp_path / "run", "mtt", **CIFAR)
    s = import_set(tmp_path / "run", "mtt", options={"format.zca": "undone"}, **CIFAR)
    assert close(s.images, undone)
    s = import_set(tmp_path / "run", "mtt", options={"format.zca": "whitened"}, data="cifar10")
    assert torch.equal(s.stored[WHITENED], whitened)
    assert "images" not in s.stored


def test_datm(tmp_path, import_set):
    images, logits = field_files.datm(tmp_path / "run")
    s = import_set(tmp_path / "run", "datm", **CIFAR)
    assert close(s.images, to_unit(images))
    assert torch.equal(s.stored["label_logits"], logits)
    assert torch.allclose(s.labels, logits.softmax(dim=1), atol=1e-7)
    assert torch.equal(s.owners, field_files.by_class(10, 2))
    assert s.provenance.learned == {"step_size": pytest.approx(0.0123)}
    assert "the largest label of 1 images is not their own class's" in s.provenance.notes
    torch.save(torch.tensor(torch.nan), tmp_path / "run" / "lr_best.pt")
    with pytest.raises(DccError, match=r"lr_best.pt' holds torch.float32 of shape \(\); expected one finite number"):
        import_set(tmp_path / "run", "datm", **CIFAR)
    (tmp_path / "run" / "lr_best.pt").unlink()
    assert import_set(tmp_path / "run", "datm", **CIFAR).provenance.learned == {}


def test_soft_labels_that_are_not_sorted_by_class_say_themselves_what_they_are(tmp_path, import_set):
    images, logits = field_files.datm(tmp_path / "run", classes=4, ipc=5)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.save(images[order], tmp_path / "run" / "images_best.pt")
    torch.save(logits[order], tmp_path / "run" / "labels_best.pt")
    s = import_set(tmp_path / "run", "datm", stats="cifar10")
    assert torch.equal(s.stored["label_logits"].argmax(dim=1), s.owners)
    assert s.owners.tolist() == sorted(s.owners.tolist())


def test_mtt_and_datm_point_at_each_other(tmp_path, import_set):
    field_files.mtt(tmp_path / "mtt")
    field_files.datm(tmp_path / "datm")
    with pytest.raises(DccError, match="holds soft labels; --from datm reads them"):
        import_set(tmp_path / "datm", "mtt", **CIFAR)
    with pytest.raises(DccError, match="holds hard labels; --from mtt reads them"):
        import_set(tmp_path / "mtt", "datm", **CIFAR)


@pytest.mark.parametrize("soft", [False, True])
def test_dd_ranking(tmp_path, import_set, soft):
    images, labels = field_files.dd_ranking(tmp_path / "run", soft=soft)
    s = import_set(tmp_path / "run", "dd-ranking", **CIFAR)
    assert close(s.images, to_unit(images))
    assert torch.equal(s.stored["label_logits"] if soft else s.labels, labels)
    assert s.provenance.learned == {"step_size": pytest.approx(0.02)}


def test_kip(tmp_path, import_set, make_job):
    """Targets of a regression become classes, and whitened images are never called images in unit space."""
    images, targets = field_files.kip(tmp_path / "kip.npz")
    s = import_set(tmp_path / "kip.npz", "kip", data="cifar10")
    assert torch.equal(s.stored[WHITENED], torch.from_numpy(images).permute(0, 3, 1, 2))
    assert torch.equal(s.stored["label_targets"], targets)
    assert torch.equal(s.labels, targets.argmax(dim=1))
    assert (s.provenance.mean, s.provenance.std) == ((0.0,) * 3, (1.0,) * 3)
    assert "images are ZCA-whitened; what was done to them cannot be undone from here" in s.provenance.notes
    with pytest.raises(DccError, match="images are whitened, not in unit space: they are the tensor 'whitened'"):
        _ = s.images
    own, labels = s.dataset().tensors
    assert torch.equal(own, s.stored[WHITENED])
    assert torch.equal(labels, s.labels)
    with pytest.raises(DccError, match="ZCA-whitened, and nothing in its file would undo that"):
        s.dataset(normalised=False)
    with pytest.raises(DccError, match=r"ZCA-whitened \(imported from kip\), those of data 'blobs' are not"):
        check_fits(s, make_job().data)


def test_whitened_images_are_handed_on_as_such_alone(tmp_path, import_set, round_trip):
    field_files.kip(tmp_path / "kip.npz")
    s = import_set(tmp_path / "kip.npz", "kip", data="cifar10")
    back, _ = round_trip(s, "kip", data="cifar10")
    assert all(torch.equal(back.stored[name], t) for name, t in s.stored.items())
    moved, notes = round_trip(s, "mtt", options={"format.zca": "whitened"}, data="cifar10")
    assert torch.equal(moved.stored[WHITENED], s.stored[WHITENED])
    assert notes == ("label_targets are left out: mtt files hold classes",)
    for name in ("png", "vico", "mtt"):
        with pytest.raises(
            DccError, match=f"images are whitened, but {name} files with these options hold (unit|normalised)"
        ):
            round_trip(s, name)
    with pytest.raises(DccError, match="undone is for reading"):
        round_trip(s, "mtt", options={"format.zca": "undone"})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vico", {}),
        ("mtt", {}),
        ("idc", {"format.factor": 1}),
        ("dd-ranking", {}),
        ("kip", {"format.zca": "none"}),
    ],
)
def test_a_condensed_set_comes_back(make_job, round_trip, name, options):
    s = condensed(make_job)
    back, _ = round_trip(s, name, options=options, stats=statistics(s), class_names=s.class_names)
    assert close(back.images, s.images)
    assert torch.equal(back.labels, s.labels)
    assert torch.equal(back.owners, s.owners)
    assert back.class_names == s.class_names


@pytest.mark.parametrize("name", ["datm", "dd-ranking"])
def test_soft_labels_come_back(make_job, round_trip, name):
    """Of logits exactly; probabilities without any as far as logarithms in float32 go."""
    s = condensed(make_job)
    logits = field_files.noise(6, 3) + 8 * torch.eye(3)[s.labels]
    known = {"stats": statistics(s), "class_names": s.class_names}
    for stored in (
        {"label_logits": logits, "labels": logits.double().softmax(dim=1).float()},
        {"labels": logits.softmax(1)},
    ):
        soft = type(s)({**s.stored, **stored}, s.provenance)
        back, _ = round_trip(soft, name, **known)
        assert torch.allclose(back.labels, soft.labels, rtol=0, atol=1e-6)
        if "label_logits" in stored:
            assert torch.equal(back.stored["label_logits"], logits)
            assert torch.equal(back.labels, soft.labels)
    for other, options in (("vico", {}), ("mtt", {}), ("idc", {"format.factor": 1}), ("kip", {"format.zca": "none"})):
        with pytest.raises(DccError, match=f"the set has soft labels, and {other} files hold"):
            round_trip(soft, other, options=options)


def test_a_learned_rate_goes_along(make_job, round_trip):
    s = condensed(make_job, loss="mtt")
    rate = s.provenance.learned["step_size"]
    back, _ = round_trip(s, "dd-ranking", stats=statistics(s))
    assert back.provenance.learned["step_size"] == pytest.approx(rate)
    _, notes = round_trip(s, "mtt", stats=statistics(s))
    assert notes == ("the learned rate is left out: mtt files hold none",)


def test_vico_files_can_be_read_by_everyone(make_job, round_trip, tmp_path):
    """No numpy in it: torch's default lets it through."""
    s = condensed(make_job).with_scores({"architecture": "convnet", "accuracies": [0.5, 0.25]})
    round_trip(s, "vico", stats=statistics(s))
    content = torch.load(tmp_path / "theirs", weights_only=True)
    assert content["accs_all_exps"] == {"convnet": [0.5, 0.25]}
    images, labels = content["data"][-1]
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert torch.allclose(images, s.dataset().tensors[0], atol=1e-6)


def test_other_statistics_for_writing(make_job, tmp_path, registry):
    """For a tool that normalises the same data by other numbers."""
    s = condensed(make_job)
    s.save(tmp_path / "s.safetensors")
    convert(tmp_path / "s.safetensors", tmp_path / "x", target_format="mtt", stats="cifar10", registry=registry)
    images = torch.load(tmp_path / "x" / "images_best.pt", weights_only=True)
    assert close(to_unit(images), s.images)


def decoded_as_published(images, labels, factor):
    """Fill up with 0.5, cut, enlarge; one image and one crop at a time."""
    _, _, h, w = images.shape
    made = []
    for image in images:
        whole = torch.full((image.shape[0], h + -h % factor, w + -w % factor), 0.5, dtype=image.dtype)
        whole[:, :h, :w] = image
        crop_h, crop_w = whole.shape[1] // factor, whole.shape[2] // factor
        for i in range(factor):
            for j in range(factor):
                crop = whole[None, :, i * crop_h : (i + 1) * crop_h, j * crop_w : (j + 1) * crop_w]
                made.append(torch.nn.Upsample(size=(h, w), mode="bilinear")(crop)[0])
    return torch.stack(made), labels.repeat_interleave(factor**2)


@pytest.mark.parametrize(("factor", "size"), [(2, 32), (3, 32), (2, 9)])
def test_idc_is_decoded_as_published(tmp_path, import_set, registry, factor, size):
    """By the parametrisation, and here without it: the same images, in the same order."""
    images, labels = field_files.idc(tmp_path / "data.pt", size=size)
    expected, repeated = decoded_as_published(images.double(), labels, factor)
    known = {"data": "cifar10", "registry": registry}
    s = import_set(tmp_path, "idc", options={"format.factor": factor}, **known)
    assert close(s.images, images)
    assert s.provenance.config["param"] == "multi-formation"
    found, targets = s.dataset(normalised=False, registry=registry).tensors
    assert close(found, expected)
    assert torch.equal(targets, repeated)
    plain = import_set(
        tmp_path / "data.pt", "idc", options={"format.factor": factor, "format.decoded": "true"}, **known
    )
    assert close(plain.images, expected)
    assert torch.equal(plain.labels, repeated)
    assert "param" not in plain.provenance.config


def test_a_factor_is_never_guessed(tmp_path, import_set):
    field_files.idc(tmp_path / "data.pt")
    with pytest.raises(DccError, match=r"format.factor: required; crops along each side"):
        import_set(tmp_path / "data.pt", "idc", **CIFAR)


def test_idc_is_written_as_it_was(tmp_path, round_trip, import_set, registry):
    images, _ = field_files.idc(tmp_path / "data.pt", size=8)
    known = {"data": "cifar10", "registry": registry}
    s = import_set(tmp_path / "data.pt", "idc", options={"format.factor": 2}, **known)
    path = tmp_path / "set.safetensors"
    s.save(path)
    done = convert(path, tmp_path / "out.pt", target_format="idc", options={"format.factor": 2}, registry=registry)
    assert done.notes == ("the factor 2 stands nowhere in the file: name it in the folder, or with the file",)
    assert close(torch.load(tmp_path / "out.pt", weights_only=True)[0], images)
    convert(path, tmp_path / "one.pt", target_format="idc", options={"format.factor": 1}, registry=registry)
    assert len(torch.load(tmp_path / "one.pt", weights_only=True)[0]) == 4 * len(images)
    with pytest.raises(
        DccError, match=r"format.factor: 3, and the set has the parametrisation 'multi-formation' with fac"
    ):
        convert(path, tmp_path / "no.pt", target_format="idc", options={"format.factor": 3}, registry=registry)
    assert not (tmp_path / "no.pt").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": []}, "has no list 'data'"),
        ([1, 2], "has no list 'data'"),
        ({"data": [[torch.zeros(2, 3, 4, 4)]]}, r"holds no list \[images, labels\] of two tensors"),
        ({"data": [["a", "b"]]}, r"holds no list \[images, labels\]"),
        (
            {"data": [[torch.zeros(2, 4, 4), torch.arange(2)]]},
            r"images are torch.float32 of shape \(2, 4, 4\); expected",
        ),
        ({"data": [[torch.zeros(2, 3, 4, 4).byte(), torch.arange(2)]]}, "images are torch.uint8"),
        ({"data": [[torch.zeros(0, 3, 4, 4), torch.arange(0)]]}, r"images are torch.float32 of shape \(0, 3, 4, 4\)"),
        (
            {"data": [[torch.zeros(2, 3, 4, 4), torch.arange(3)]]},
            r"labels are torch.int64 of shape \(3,\) for 2 images",
        ),
        (
            {"data": [[torch.zeros(2, 3, 4, 4), torch.zeros(2)]]},
            r"labels are torch.float32 of shape \(2,\) for 2 images",
        ),
        (
            {"data": [[torch.zeros(2, 3, 4, 4), torch.tensor([0, 10**12])]]},
            "labels go from 0 to 1000000000000; expected",
        ),
        (
            {"data": [[torch.zeros(2, 3, 4, 4), torch.tensor([-1, 0])]]},
            "labels go from -1 to 0; expected 0 to at most 1",
        ),
        (
            {"data": [[torch.zeros(3, 3, 4, 4), torch.tensor([0, 0, 2])]]},
            "every one of the 3 classes needs at least one",
        ),
        ({"data": [[torch.full((2, 3, 4, 4), torch.nan), torch.arange(2)]]}, "images hold NaN or infinite values"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_files_that_hold_something_else_are_one_message(tmp_path, import_set, content, message):
    torch.save(content, tmp_path / "res.pt")
    with pytest.raises(DccError, match=f"res.pt.*{message}"):
        import_set(tmp_path / "res.pt", "vico", stats="cifar10")
    assert not (tmp_path / "read.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("kip", {"images": np.zeros((2, 4, 4, 3))}, "has no array 'labels'; it has images"),
        (
            "kip",
            {"images": np.zeros((2, 48)), "labels": np.eye(2)},
            r"have the shape \(2, 48\); expected \(N, H, W, C\)",
        ),
        ("kip", {"images": np.zeros((2, 4, 4, 3)), "labels": np.full((2, 2), np.nan)}, "labels hold NaN"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, import_set, name, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DccError, match=message):
        import_set(tmp_path / "x.npz", name)
