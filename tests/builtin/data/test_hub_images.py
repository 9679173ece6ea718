"""Images of the Hugging Face Hub: folders in its layout, written by `datasets` itself."""

import io

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hub_pictures import picture, write_split

from dcc_core import DccError, Registry
from dcc_core.cli.app import cli
from dcc_core.config import without_places
from dcc_core.testing import DataConformance
from dcc_plugins.data.hub import HubImages

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


def load(folder, root=None, **options):
    return HubImages(repo=str(folder), **options).load(root=root, download=False, progress=False)


def greys(part, names):
    return {int(x[0, 0, 0]): names[y] for x, y in zip(part.images, part.labels.tolist(), strict=True)}


class TestHubImages(DataConformance):
    component = "hf:./pictures"
    embedded = True

    @pytest.fixture(autouse=True)
    def pictures(self, tmp_path, monkeypatch):
        write_split(tmp_path / "pictures", "train", range(12))
        write_split(tmp_path / "pictures", "test", range(100, 106))
        monkeypatch.chdir(tmp_path)


LABELS = {
    "classes": ({"id": int}, {}, ("ant", "bee")),
    "texts": ({"label": None, "id": int, "species": lambda i: "ab"[i % 2]}, {}, ("a", "b")),
    "numbers": ({"label": None, "kind": lambda i: 9 + i % 2}, {}, ("9", "10")),
    "by name": ({"kind": lambda i: "ab"[i % 2]}, {"label_column": "kind"}, ("a", "b")),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels(tmp_path, case):
    written, options, names = LABELS[case]
    for split, numbers in {"train": range(12), "validation": range(20, 26), "test": range(30, 36)}.items():
        write_split(tmp_path, split, numbers, **written)
    data = load(tmp_path, **options)
    assert data.class_names == names
    named = {i: names[i % 2] for i in range(40)}
    assert greys(data.train, names) == {i: named[i] for i in range(12)}
    assert greys(data.validation, names) == {i: named[i] for i in range(20, 26)}
    assert greys(data.test, names) == {i: named[i] for i in range(30, 36)}
    assert data.name == f"hf:{tmp_path.name}"


def test_validation_is_for_testing_where_nothing_else_has_labels(tmp_path):
    write_split(tmp_path, "train", range(12))
    write_split(tmp_path, "validation", range(20, 26))
    write_split(tmp_path, "test", range(30, 36), label=lambda i: -1)
    data = load(tmp_path)
    assert set(greys(data.test, data.class_names)) == set(range(20, 26))
    assert data.validation is None
    named = load(tmp_path, train_split="validation", test_split="train")
    assert set(greys(named.train, named.class_names)) == set(range(20, 26))


def test_one_split_of_any_name_is_split_here(tmp_path):
    write_split(tmp_path, "everything", range(20))
    data = load(tmp_path)
    assert (len(data.train.labels), len(data.test.labels)) == (16, 4)


def test_sizes_go_through_the_options_of_folders(tmp_path):
    write_split(tmp_path, "train", range(12), image=lambda i: picture(i, (6, 4 + i % 2)))
    with pytest.raises(DccError, match=r"images differ in size .*-o data\.size=32"):
        load(tmp_path)
    assert load(tmp_path, size=(4,), fit="crop", channels=1).shape == (1, 4, 4)


def test_decoded_pictures_are_kept_and_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr("dcc_plugins.data.picture_cache.WORTHWHILE", 0)
    write_split(tmp_path / "d", "train", range(12), mask=picture)
    first = load(tmp_path / "d", root=tmp_path / "root", image_column="image")
    monkeypatch.setattr("dcc_plugins.data.picture_source.read_picture", None)  # it would be called to decode
    again = load(tmp_path / "d", root=tmp_path / "root", image_column="image")
    assert torch.equal(first.train.images, again.train.images)
    with pytest.raises(TypeError):  # another column of the same files
        load(tmp_path / "d", root=tmp_path / "root", image_column="mask")
    monkeypatch.undo()
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("dcc_plugins.data.picture_cache.WORTHWHILE", 0)
    write_split(tmp_path / "d", "train", range(50, 62))
    other = load(tmp_path / "d", root=tmp_path / "root")
    assert int(other.train.images.min()) >= 50


def test_a_stream_takes_so_many_of_every_split(tmp_path):
    write_split(tmp_path, "train", range(200), label=lambda i: i // 100)
    write_split(tmp_path, "test", range(30))
    data = load(tmp_path, stream=40)
    assert (len(data.train.labels), len(data.test.labels)) == (40, 30)
    assert 5 < int(data.train.labels.sum()) < 35  # shuffled: both classes, of a file that is sorted
    assert greys(data.train, (0, 1)) == {i: i // 100 for i in greys(data.train, (0, 1))}
    assert torch.equal(data.train.images, load(tmp_path, stream=40).train.images)
    assert not torch.equal(data.train.images, load(tmp_path, stream=40, split_seed=1).train.images)


def test_a_folder_of_files_is_read_as_such(tmp_path):
    """`datasets` keeps paths instead of contents there."""
    for name in ("ant", "bee"):
        for i in range(6):
            place = tmp_path / "train" / name / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            picture(i + 10 * (name == "bee")).save(place)
    data = load(tmp_path)
    both = {**greys(data.train, data.class_names), **greys(data.test, data.class_names)}
    assert both == dict.fromkeys(range(6), "ant") | dict.fromkeys(range(10, 16), "bee")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"label": None, "a": int, "b": str},
            {},
            r"2 columns .*label_column; its columns are image \(Image\), ",
        ),
        ({"label": None}, {}, r"no columns that may be data\.label_column; its columns are image \(Image\)\."),
        ({"image": None, "a": int}, {}, r"no columns that may be data\.image_column; .* a \(int64\)"),
        ({}, {"label_column": "kind"}, r"no column 'kind'; its columns are .*label \(ClassLabel\).*=NAME says which"),
        ({}, {"test_split": "nix"}, r"data\.test_split: .* has no split 'nix'; it has train"),
    ],
)
def test_columns_and_splits_that_are_not_there(tmp_path, columns, options, message):
    write_split(tmp_path, "train", range(12), **columns)
    with pytest.raises(DccError, match=message):
        load(tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./missing", "there is no folder './missing'"),
        ("a/b/c", "'a/b/c' names no data set: expected OWNER/NAME"),
        ("some/one", "'some/one' is not in the cache of this computer, and HF_HUB_OFFLINE"),
        ("some/one@v2", "'some/one' at revision 'v2' is not in the cache"),
    ],
)
def test_places_that_are_not_there(monkeypatch, tmp_path, name, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["show", "data", f"hf:{name}"])
    assert result.exit_code == 2
    assert message in result.stderr


def test_show_says_how_it_is_understood(tmp_path):
    write_split(tmp_path, "train", range(12))
    shown = HubImages(repo=str(tmp_path)).describe()
    assert "2 classes: ant, bee\ntrain: 12 images, 6 of each class" in shown
    assert "column 'image' holds images, 'label' labels" in shown


def test_a_set_file_holds_no_path_of_a_folder(tmp_path, configure):
    write_split(tmp_path / "mine", "train", range(12))
    config = configure({"data": f"hf:{tmp_path / 'mine'}"})
    options = without_places(config.entries, Registry.installed())
    assert options["data"] == "hf:mine"
    assert "data.repo" not in options
    kept = without_places(configure({"data": "hf:some/one:tiny@v2"}).entries, Registry.installed())
    assert kept["data"] == "hf:some/one:tiny@v2"


def test_a_broken_picture_is_named_by_its_row(tmp_path):
    write_split(tmp_path, "train", range(12), image=lambda i: {"bytes": b"nothing" if i == 3 else png(i), "path": None})
    with pytest.raises(DccError, match="1 of 12 images cannot be read, 'row 3 of split 'train''"):
        load(tmp_path)
    assert len(load(tmp_path, broken="skip").train.labels) < 12


def png(value):
    file = io.BytesIO()
    picture(value).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_those_that_were_written(tmp_path):
    write_split(tmp_path, "train", range(12))
    assert np.array_equal(load(tmp_path).train.images[0], np.asarray(picture(0)).transpose(2, 0, 1))
