"""The options that every data source has."""

import pytest
import torch
import toys

from dcc_core import DataSource, DccError, ImageSet, RealData
from dcc_core.data.images import channel_statistics
from dcc_core.data.source_options import apply_source_options


def load(**options):
    source = toys.Blobs(**{"counts": (12, 9, 5, 8), **options})
    data = source.load(root=None, download=False, progress=False)
    return data, apply_source_options(source, data)


def images_of(data, label, part="train"):
    s = getattr(data, part)
    return s.images[s.labels == label]


def test_without_options_nothing_changes():
    raw, data = load()
    assert torch.equal(raw.train.images, data.train.images)
    assert torch.equal(raw.train.labels, data.train.labels)
    assert (data.mean, data.std) == (raw.mean, raw.std)
    assert data.validation is None


@pytest.mark.parametrize("classes", [("blob 1", "blob 3"), ("3", "1"), ("blob 3", "1", "1")])
def test_choosing_classes_by_name_or_index(classes):
    raw, data = load(classes=classes)
    assert data.class_names == ("blob 1", "blob 3")
    for new, old in enumerate((1, 3)):
        for part in ("train", "test"):
            assert torch.equal(images_of(data, new, part), images_of(raw, old, part))
    assert len(data.train.labels) == 17


@pytest.mark.parametrize(("word", "hint"), [("blob 7", "Did you mean 'blob"), ("4", "Names: blob 0"), ("-1", "Names")])
def test_unknown_classes(word, hint):
    with pytest.raises(DccError, match=rf"data.classes: '{word}' is no class of 'blobs' \(0 to 3\).*{hint}"):
        load(classes=("0", word))


def test_one_class_is_too_few():
    with pytest.raises(DccError, match="1 class with images is left; at least two are needed"):
        load(classes=("2",))


def test_mirroring_some_classes():
    raw, data = load(mirrored=("blob 2",), classes=("0", "2"))
    for part in ("train", "test"):
        assert torch.equal(images_of(data, 0, part), images_of(raw, 0, part))
        assert torch.equal(images_of(data, 1, part), images_of(raw, 2, part).flip(-1))
        assert not torch.equal(images_of(data, 1, part), images_of(raw, 2, part))


def test_limiting_images_is_seeded_and_leaves_the_test_part():
    raw, data = load(per_class=6)
    assert torch.bincount(data.train.labels).tolist() == [6, 6, 5, 6]
    assert torch.equal(raw.test.images, data.test.images)
    again, other = load(per_class=6)[1], load(per_class=6, split_seed=1)[1]
    assert torch.equal(again.train.images, data.train.images)
    assert not torch.equal(other.train.images, data.train.images)
    fewer = load(per_class=3)[1]
    inside = {t.numpy().tobytes() for t in data.train.images}
    assert all(t.numpy().tobytes() in inside for t in fewer.train.images)


def test_a_validation_part_is_stratified_and_apart():
    raw, data = load(validation=0.25)
    assert torch.bincount(data.validation.labels).tolist() == [3, 2, 1, 2]
    assert torch.bincount(data.train.labels).tolist() == [9, 7, 4, 6]
    whole = {t.numpy().tobytes() for t in raw.train.images}
    train, held = ({t.numpy().tobytes() for t in s.images} for s in (data.train, data.validation))
    assert not train & held
    assert train | held == whole
    tiny = load(validation=0.01)[1]
    assert torch.bincount(tiny.validation.labels).tolist() == [1, 1, 1, 1]
    most = load(validation=0.99)[1]
    assert torch.bincount(most.train.labels).tolist() == [1, 1, 1, 1]


def test_scores_on_the_validation_part(make_job):
    job = make_job({"data.validation": "0.25", "score.part": "validation"})
    s = job.condense()
    test = job.scorer(s).test
    assert len(test.labels) == len(job.data.validation.labels) == 6
    with pytest.raises(DccError, match=r"there is no validation part; set one apart with -o data.validation=0.1"):
        make_job({"score.part": "validation"})


class Bare(DataSource):
    """Two classes with images and one without; statistics not given."""

    def load(self, *, root, download, progress):
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(256, (6, 2, 4, 4), generator=generator, dtype=torch.uint8)
        part = ImageSet(images, torch.tensor([0, 0, 0, 2, 2, 2]))
        return RealData(name="bare", train=part, test=part, class_names=("a", "b", "c"))


def arranged_bare(**options):
    source = Bare(**options)
    return apply_source_options(source, source.load(root=None, download=False, progress=False))


def test_classes_without_images_are_named_or_skipped():
    with pytest.raises(DccError, match=r"data 'bare': no training images of b; -o data.missing=skip"):
        arranged_bare()
    data = arranged_bare(missing="skip")
    assert data.class_names == ("a", "c")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_statistics_are_of_the_training_images_that_remain():
    data = arranged_bare(missing="skip", per_class=2)
    unit = data.train.images.double() / 255
    assert data.mean == pytest.approx(unit.mean(dim=(0, 2, 3)).tolist())
    assert data.std == pytest.approx(unit.transpose(0, 1).flatten(1).std(dim=1, correction=0).tolist())
    assert data.computed


def test_statistics_take_little_memory(monkeypatch):
    """Chunk by chunk or whole, the numbers are the same."""
    images = torch.randint(256, (9, 2, 5, 5), dtype=torch.uint8)
    whole = channel_statistics(images)
    monkeypatch.setattr("dcc_core.data.images.CHUNK", 60)
    assert channel_statistics(images)[0] == pytest.approx(whole[0])
    assert channel_statistics(images)[1] == pytest.approx(whole[1])


def test_published_statistics_are_kept_unless_computed_ones_are_wanted():
    assert load(classes=("0", "1"))[1].mean == (0.45, 0.45)
    computed = load(statistics="computed")[1]
    unit = computed.train.images.double() / 255
    assert computed.mean == pytest.approx(unit.mean(dim=(0, 2, 3)).tolist())
    with pytest.raises(DccError, match="no published mean and std for 'bare'; use computed"):
        arranged_bare(statistics="published", missing="skip")
