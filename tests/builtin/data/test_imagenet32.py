"""Downsampled ImageNet: both forms of the release, damaged files, hostile pickles, and the cache."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from imagenet32_files import LIZARD, batches, write_imagenet32

from dcc_core import DccError
from dcc_core.data.source_options import apply_source_options
from dcc_plugins.data import imagenet32
from dcc_plugins.data.imagenet32 import ImageNet32


def load(root, group="lizard", **options):
    return ImageNet32(group=group, resolution=8, **options).load(root=root, download=True, progress=False)


def expected(part):
    """Images (N, 3, 8, 8) and class indices of the lizards, straight from the batches."""
    chosen = [(x, y) for name, x, y in batches() if name.startswith(part)]
    x, y = (np.concatenate(both) for both in zip(*chosen, strict=True))
    own = np.isin(y, LIZARD)
    return x[own].reshape(-1, 3, 8, 8), y[own] - 463


@pytest.mark.parametrize("form", ["npz", "pickle2", "pickle3", "pickle5"])
def test_both_forms_give_the_same_images(tmp_path, form):
    data = load(write_imagenet32(tmp_path / "deep" / "Imagenet8_x", form).parent.parent)
    for part, s in (("train", data.train), ("val", data.test)):
        x, y = expected(part)
        assert np.array_equal(s.images.numpy(), x)
        assert s.labels.tolist() == y.tolist()
    assert data.class_names[0] == "banded_gecko"
    assert data.class_names[-1] == "Komodo_dragon"
    assert data.computed


def test_rows_are_planes_of_red_green_and_blue(tmp_path):
    data = load(write_imagenet32(tmp_path))
    x, _ = expected("train")
    assert data.train.images[5, 1, 2, 3] == x.reshape(len(x), -1)[5, 64 + 2 * 8 + 3]


def test_reading_in_small_chunks_changes_nothing(tmp_path, monkeypatch):
    whole = load(write_imagenet32(tmp_path), cache=False)
    monkeypatch.setattr(imagenet32, "ROWS", 7)
    chunked = load(tmp_path, cache=False)
    assert torch.equal(whole.train.images, chunked.train.images)
    assert torch.equal(whole.test.labels, chunked.test.labels)


def test_the_cut_is_cached_by_files_and_classes(tmp_path, monkeypatch):
    first = load(write_imagenet32(tmp_path))
    monkeypatch.setattr(imagenet32, "_choose_rows", lambda *_: pytest.fail("the files were read again"))
    again = load(tmp_path)
    assert torch.equal(first.train.images, again.train.images)
    assert first.mean == again.mean
    with pytest.raises(pytest.fail.Exception):
        load(tmp_path, "n01674464 ".strip(), cache=False)
    with pytest.raises(pytest.fail.Exception):
        load(tmp_path, "agamid")
    os.utime(tmp_path / "val_data.npz", (1, 1))
    with pytest.raises(pytest.fail.Exception):
        load(tmp_path)


def test_a_damaged_cache_is_made_anew(tmp_path):
    first = load(write_imagenet32(tmp_path))
    (kept,) = (tmp_path / "dcc-cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert torch.equal(load(tmp_path).train.images, first.train.images)


def test_resolutions_side_by_side_are_told_apart(tmp_path):
    write_imagenet32(tmp_path / "a", side=16)
    write_imagenet32(tmp_path / "b", side=8)
    assert load(tmp_path).shape == (3, 8, 8)
    sixteen = ImageNet32(group="lizard", resolution=16).load(root=tmp_path, download=True, progress=False)
    assert sixteen.shape == (3, 16, 16)
    with pytest.raises(
        DccError, match=r"lacks train_data_batch_1, .* of 32×32 images \(there are images of 8, 16 pixels"
    ):
        ImageNet32(group="lizard").load(root=tmp_path, download=True, progress=False)


def test_pickles_of_two_resolutions_are_told_apart_by_their_folders(tmp_path):
    write_imagenet32(tmp_path / "Imagenet16_train", "pickle3", side=16)
    write_imagenet32(tmp_path / "Imagenet8_train", "pickle3", side=8)
    assert load(tmp_path).shape == (3, 8, 8)


@pytest.mark.parametrize("root", ["empty", "missing"])
def test_what_to_download_and_where_to_put_it(tmp_path, root):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DccError) as error:
        load(tmp_path / root)
    for word in (str(tmp_path / root), "Imagenet8_train_npz.zip", "https://image-net.org", "--data-root"):
        assert word in str(error.value)


def test_a_single_missing_file_is_named(tmp_path):
    (write_imagenet32(tmp_path) / "train_data_batch_7.npz").unlink()
    with pytest.raises(DccError, match="lacks train_data_batch_7 of"):
        load(tmp_path)


def damage(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "garbled":
        middle = len(content) // 2
        path.write_bytes(
            content[:middle] + bytes(255 - b for b in content[middle : middle + 64]) + content[middle + 64 :]
        )


@pytest.mark.parametrize("how", ["truncated", "emptied", "garbled"])
def test_a_damaged_npz_file_is_named(tmp_path, how):
    write_imagenet32(tmp_path)
    damage(tmp_path / "train_data_batch_3.npz", how)
    with pytest.raises(DccError, match=r"train_data_batch_3.npz' is truncated or damaged"):
        load(tmp_path)


@pytest.mark.parametrize("how", ["truncated", "emptied"])
def test_a_damaged_pickle_is_named(tmp_path, how):
    write_imagenet32(tmp_path, "pickle3")
    damage(tmp_path / "train_data_batch_3", how)
    with pytest.raises(DccError, match=r"train_data_batch_3' is truncated or damaged"):
        load(tmp_path)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Sneaky:
    """Through an attribute of something allowed."""

    def __reduce__(self):
        return getattr, (np.ndarray, "tofile")


@pytest.mark.parametrize("place", ["whole", "data", "labels", "key"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path, place, protocol):
    write_imagenet32(tmp_path, "pickle3")
    bait = tmp_path / "executed"
    hostile = Hostile(bait)
    good = {"data": np.zeros((1, 192), np.uint8), "labels": [1]}
    content = {
        "whole": hostile,
        "data": {**good, "data": hostile},
        "labels": {**good, "labels": [hostile]},
        "key": {**good, "x": Sneaky(), "y": hostile},
    }[place]
    (tmp_path / "train_data_batch_2").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(
        DccError, match=r"train_data_batch_2' is refused: it would run \S+\.(system|getattr|__builtin__)"
    ):
        load(tmp_path)
    assert not bait.exists()


class Raw:
    """Pickles as a call of something by name, and then a state for what it made."""

    def __init__(self, function, arguments, state=None):
        self.parts = (function, arguments, state)

    def __reduce__(self):
        return self.parts


def array_of(dtype, content):
    made = Raw(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, content))
    return made


@pytest.mark.parametrize(
    "labels",
    [
        [array_of(np.dtype("O"), b"12345678")] * 2,
        array_of(np.dtype("V8"), b"12345678"),
        array_of(np.dtype([("a", "O")]), b"12345678"),
        array_of(np.dtype("u1"), [1, 2]),
        Raw(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), "no state"),
        Raw(np.dtype, ("u1", False, True), (3, "|", None, ("a",), {"a": (np.dtype("u1"), 0)}, 8, 8, 0)),
        [True, 1.5],
        ["1"],
        None,
    ],
)
def test_pickles_that_bend_what_is_allowed_are_refused(tmp_path, labels):
    """Object arrays, types with fields, states that do not fit: no pointer is followed, no attribute is set."""
    write_imagenet32(tmp_path, "pickle3")
    content = {"data": np.zeros((2, 192), np.uint8), "labels": labels}
    (tmp_path / "train_data_batch_2").write_bytes(pickle.dumps(content, 3))
    with pytest.raises(DccError, match="train_data_batch_2' is truncated or damaged"):
        load(tmp_path)


def test_a_state_for_an_allowed_function_is_refused(tmp_path):
    write_imagenet32(tmp_path, "pickle3")
    build = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aK\x01sb."
    (tmp_path / "train_data_batch_2").write_bytes(build)
    with pytest.raises(DccError, match="damaged: ValueError: a state where none belongs"):
        load(tmp_path)


def test_folders_that_contain_themselves_end(tmp_path):
    write_imagenet32(tmp_path / "a")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "a")
    assert load(tmp_path).num_classes == 11


def test_a_damaged_file_of_another_resolution_is_not_in_the_way(tmp_path):
    write_imagenet32(tmp_path / "a", side=16)
    write_imagenet32(tmp_path / "b", side=8)
    damage(tmp_path / "a" / "train_data_batch_3.npz", "truncated")
    assert load(tmp_path).shape == (3, 8, 8)


def test_a_place_without_room_for_the_cache(tmp_path):
    write_imagenet32(tmp_path)
    (tmp_path / "dcc-cache").write_text("a file")
    assert load(tmp_path).num_classes == 11


def test_objects_in_an_npz_file_are_refused(tmp_path):
    write_imagenet32(tmp_path)
    bait = tmp_path / "executed"
    objects = np.empty(60, object)
    objects[:] = [Hostile(bait)] * 60
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, objects, allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "train_data_batch_2.npz", "a") as archive:
        original = archive.read("data.npy")
    with zipfile.ZipFile(tmp_path / "train_data_batch_2.npz", "w") as archive:
        archive.writestr("data.npy", original)
        archive.writestr("labels.npy", buffer.getvalue())
    with pytest.raises(DccError, match=r"train_data_batch_2.npz' is truncated or damaged: ValueError"):
        load(tmp_path)
    assert not bait.exists()


@pytest.mark.parametrize("labels", [[0] * 60, [1001] * 60, [-5] * 60, [1.5] * 60])
def test_labels_out_of_range_name_their_file(tmp_path, labels):
    write_imagenet32(tmp_path)
    np.savez(tmp_path / "train_data_batch_4.npz", data=np.zeros((60, 192), np.uint8), labels=np.array(labels))
    with pytest.raises(DccError, match=r"labels of '.*train_data_batch_4.npz' must be 60 whole numbers from 1 to 1000"):
        load(tmp_path)


def test_fewer_labels_than_images(tmp_path):
    write_imagenet32(tmp_path)
    np.savez(tmp_path / "val_data.npz", data=np.zeros((60, 192), np.uint8), labels=np.ones(59, int))
    with pytest.raises(DccError, match=r"val_data.npz' is truncated or damaged"):
        load(tmp_path)


def test_rows_of_another_size_are_named(tmp_path):
    write_imagenet32(tmp_path / "x", "pickle3", side=16)
    with pytest.raises(DccError, match=r"train_data_batch_1' holds uint8 rows of \(768,\); expected uint8 rows of 192"):
        load(tmp_path)


def test_classes_without_images(tmp_path):
    """Two lizards have no images: an error that names them, or they are left out."""
    write_imagenet32(tmp_path)
    for name, x, y in batches():
        np.savez(tmp_path / f"{name}.npz", data=x, labels=np.where(np.isin(y, (465, 470)), 1, y))
    source = ImageNet32(group="lizard", resolution=8)
    data = source.load(root=tmp_path, download=True, progress=False)
    with pytest.raises(DccError, match=r"no training images of American_chameleon, Gila_monster; -o data.missing=skip"):
        apply_source_options(source, data)
    nine = apply_source_options(ImageNet32(group="lizard", resolution=8, missing="skip"), data)
    assert nine.num_classes == 9
    assert "Gila_monster" not in nine.class_names
    x, y = expected("train")
    assert np.array_equal(nine.train.images.numpy(), x[~np.isin(y, (2, 7))])
    assert nine.train.labels.unique().tolist() == list(range(9))


def test_a_group_of_one_class_is_refused(tmp_path):
    with pytest.raises(DccError, match=r"'tractor' is a single class \(tractor.n.01"):
        load(write_imagenet32(tmp_path), "tractor")


def test_a_group_without_any_image_is_named(tmp_path):
    with pytest.raises(DccError, match=r"hold no images of snake\.n\.01"):
        load(write_imagenet32(tmp_path), "snake")


def test_classes_of_one_name_carry_their_id(tmp_path):
    names = load(write_imagenet32(tmp_path), "all").class_names
    assert len(set(names)) == 1000
    assert {n for n in names if "crane" in n} == {"crane (n02012849)", "crane (n03126707)"}
