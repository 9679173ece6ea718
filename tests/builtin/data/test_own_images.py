"""Your own images: folders and npz files."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from dcc_core import DccError, condense
from dcc_plugins.data.folder import ImageFolder
from dcc_plugins.data.npz import Npz


def pixels(seed, height=6, width=5, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path, array, mode=None, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array.squeeze())
    (image.convert(mode) if mode else image).save(path, **how)


@pytest.fixture
def photos(tmp_path):
    """Three classes of 6, 5 and 4 colour images for training, two of each for testing."""
    for name, count in (("ant", 6), ("bee", 5), ("cat", 4)):
        for i in range(count):
            save(tmp_path / "train" / name / f"{i}.png", pixels(hash_of(name, i)))
        for i in range(2):
            save(tmp_path / "val" / name / "deep" / f"{i}.PNG", pixels(hash_of(name, 100 + i)))
    (tmp_path / "train" / "ant" / "notes.txt").write_text("no image")
    return tmp_path


def hash_of(name, i):
    return sum(map(ord, name)) * 1000 + i


def load(source):
    return source.load(root=None, download=False, progress=False)


def folder(path, **options):
    return load(ImageFolder(path=path, **options))


def test_a_folder_with_train_and_val(photos):
    data = folder(photos)
    assert data.class_names == ("ant", "bee", "cat")
    assert torch.bincount(data.train.labels).tolist() == [6, 5, 4]
    assert torch.bincount(data.test.labels).tolist() == [2, 2, 2]
    expected = torch.from_numpy(pixels(hash_of("bee", 1))).permute(2, 0, 1)
    assert torch.equal(data.train.images[7], expected)
    assert data.name == f"folder:{photos.name}"
    assert data.computed


def test_one_folder_is_split_by_class_and_seed(photos):
    data, again = folder(photos / "train"), folder(photos / "train")
    other = folder(photos / "train", split_seed=1)
    assert torch.bincount(data.train.labels).tolist() == [5, 4, 3]
    assert torch.bincount(data.test.labels).tolist() == [1, 1, 1]
    assert torch.equal(data.test.images, again.test.images)
    assert not torch.equal(data.test.images, other.test.images)
    every = torch.cat([data.train.images, data.test.images])
    assert len(torch.unique(every, dim=0)) == 15


@pytest.mark.parametrize(("size", "shape"), [((8,), (3, 8, 8)), ((4, 9), (3, 4, 9))])
def test_resizing(photos, size, shape):
    save(photos / "train" / "ant" / "large.jpg", pixels(1, 50, 40))
    assert folder(photos, size=size).shape == shape


def test_images_of_different_sizes_need_one(photos):
    save(photos / "train" / "ant" / "large.png", pixels(1, 50, 40))
    with pytest.raises(
        DccError, match=r"images differ in size \(21 of 6×5, 1 of 50×40, ...\); name one: -o data.size=32"
    ):
        folder(photos)


def test_resizing_matches_pil(photos):
    data = folder(photos, size=(3, 4))
    image = Image.fromarray(pixels(hash_of("ant", 0))).resize((4, 3), Image.Resampling.BILINEAR)
    assert torch.equal(data.train.images[0], torch.from_numpy(np.array(image)).permute(2, 0, 1))


def test_grey_images_have_one_channel(tmp_path):
    for name in ("a", "b"):
        for i in range(3):
            save(tmp_path / name / f"{i}.png", pixels(hash_of(name, i), channels=1))
    assert folder(tmp_path).shape == (1, 6, 5)
    assert folder(tmp_path, channels=3).shape == (3, 6, 5)


def test_every_mode_becomes_colour(tmp_path):
    """Grey, palette, RGBA over white, one bit, 16 bits and CMYK beside RGB."""
    rgb = pixels(3)
    for name in ("a", "b"):
        save(tmp_path / "train" / name / "0.png", rgb)
        save(tmp_path / "train" / name / "1.png", rgb, "L")
        save(tmp_path / "train" / name / "2.png", np.repeat(rgb[..., :1] // 128 * 255, 3, axis=2), "P")
        alpha = np.concatenate([rgb, np.zeros((6, 5, 1), np.uint8)], axis=2)
        alpha[0, :, 3] = 255
        save(tmp_path / "train" / name / "3.png", alpha)
        save(tmp_path / "train" / name / "4.png", rgb, "1")
        Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / "train" / name / "5.png")
        save(tmp_path / "train" / name / "6.jpg", rgb, "CMYK")
        save(tmp_path / "test" / name / "0.png", rgb)
    images = folder(tmp_path).train.images
    colour = torch.from_numpy(rgb).permute(2, 0, 1)
    assert images.shape == (14, 3, 6, 5)
    assert torch.equal(images[0], colour)
    assert torch.equal(images[1], images[1][:1].expand(3, -1, -1))
    assert torch.equal(images[2], (colour[:1] // 128 * 255).expand(3, -1, -1))
    assert torch.equal(images[3][:, 0], colour[:, 0])
    assert (images[3][:, 1:] == 255).all()
    assert set(images[4].unique().tolist()) <= {0, 255}
    assert torch.equal(images[5], colour[:1].expand(3, -1, -1))


def test_thousands_of_classes(tmp_path):
    for k in range(1500):
        for i in range(2):
            save(tmp_path / f"{k:04d}" / f"{i}.png", np.full((2, 2, 1), k % 256, np.uint8))
    data = folder(tmp_path)
    assert data.num_classes == 1500
    assert torch.equal(data.train.labels, torch.arange(1500))
    assert data.train.images[300].unique().tolist() == [300 % 256]


@pytest.mark.parametrize("content", [b"", b"no image at all", "truncated"])
def test_broken_images_are_named_or_left_out(photos, content):
    path = photos / "train" / "bee" / "1.png"
    path.write_bytes(path.read_bytes()[:60] if content == "truncated" else content)
    with pytest.raises(
        DccError, match=rf"1 of 21 images cannot be read, '{re.escape(str(path))}' first: .*data.broken=skip"
    ):
        folder(photos)
    data = folder(photos, broken="skip")
    assert torch.bincount(data.train.labels).tolist() == [6, 4, 4]
    assert torch.bincount(data.test.labels).tolist() == [2, 2, 2]


def test_no_readable_image_at_all(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.png").write_bytes(b"x")
    with pytest.raises(DccError, match=r"none of the images can be read"):
        folder(tmp_path, broken="skip")


def test_large_images_are_read_by_several_threads_to_the_same_end(photos, monkeypatch):
    alone = folder(photos)
    monkeypatch.setattr("dcc_plugins.data.picture_source.LARGE", 1)
    assert torch.equal(folder(photos).train.images, alone.train.images)


def test_hidden_files_and_folders_are_passed_over(photos):
    expected = folder(photos)
    for place in (".git", "train/.ipynb_checkpoints", "val/.cache", "train/ant/.ipynb_checkpoints"):
        save(photos / place / "0.png", pixels(1))
    (photos / "train" / "ant" / "._0.png").write_bytes(b"metadata")
    assert torch.equal(folder(photos).train.images, expected.train.images)
    assert folder(photos).class_names == expected.class_names


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train"):
        for i in range(3):
            save(tmp_path / name / f"{i}.png", pixels(hash_of(name, i)))
    assert folder(tmp_path).class_names == ("bus", "train")


def test_a_single_image_of_a_class_is_for_training(photos):
    save(photos / "train" / "dog" / "0.png", pixels(1))
    data = folder(photos / "train")
    assert torch.bincount(data.train.labels).tolist() == [5, 4, 3, 1]


def test_pixels_whose_white_nobody_knows_are_refused(photos):
    Image.fromarray(np.full((6, 5), 0.5, np.float32)).save(photos / "train" / "ant" / "x.tiff")
    with pytest.raises(DccError, match=r"x.tiff' first: ValueError: floating-point pixels; expected 8 or 16 bits"):
        folder(photos)
    Image.fromarray(np.full((6, 5), 200, np.int32)).save(photos / "train" / "ant" / "x.tiff")
    assert (folder(photos).train.images[6] == 200).all()


def test_names_that_are_no_text_are_refused(tmp_path):
    for name in ("a", "caf\udce9"):
        for i in range(2):
            save(tmp_path / "x.png", pixels(i))
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / "x.png").rename(tmp_path / name / f"{i}.png")
    with pytest.raises(DccError, match="cannot be written as text"):
        folder(tmp_path)


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}//", "{}/../{name}", "{}/./"])
def test_no_path_reaches_a_set_file(photos, spelling):
    path = spelling.format(photos, name=photos.name)
    options = {"outer_loops": 1, "inner_loops": 1, "options": {"arch.width": 2}}
    provenance = condense(data=f"folder:{path}", **options).provenance
    assert provenance.config["data"] == provenance.data == f"folder:{photos.name}"
    assert str(photos.parent) not in str(provenance)


def test_folders_that_hold_nothing_of_use(photos, tmp_path):
    for path, message in [
        (tmp_path / "missing", "is not a folder"),
        (tmp_path / "train" / "ant" / "notes.txt", "is not a folder"),
        (tmp_path / "train" / "ant", "are in no class folders; expected a folder of images per class"),
    ]:
        with pytest.raises(DccError, match=message):
            folder(path)
    (tmp_path / "bare" / "a").mkdir(parents=True)
    with pytest.raises(DccError, match=r"no images in the class folders of '.*bare'; expected a folder of images per"):
        folder(tmp_path / "bare")
    save(photos / "val" / "dog" / "0.png", pixels(1))
    with pytest.raises(DccError, match="has a class 'dog' that the training images lack"):
        folder(photos)


def test_a_class_folder_without_images_is_left_out_and_said(photos, caplog):
    (photos / "train" / "dog").mkdir()
    with caplog.at_level("INFO", "dcc"):
        assert folder(photos).class_names == ("ant", "bee", "cat")
    assert "no images in 'dog', left out as a class" in caplog.text


def test_sizes_that_make_no_sense(photos):
    with pytest.raises(ValueError, match="size 1,2,3: expected one side, or height,width"):
        ImageFolder(path=photos, size=(1, 2, 3))


X, Y = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3), np.array([0, 1])


def npz(tmp_path, **arrays):
    path = tmp_path / "mine.npz"
    np.savez(path, **{"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, **arrays})
    return load(Npz(path=path))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "float", "float64"])
def test_npz_layouts_and_types(tmp_path, layout):
    x = {"NHWC": X, "NCHW": X.transpose(0, 3, 1, 2), "float": (X / 255).astype(np.float32), "float64": X / 255}[layout]
    data = npz(tmp_path, x_train=x)
    assert torch.equal(data.train.images, torch.from_numpy(X).permute(0, 3, 1, 2))
    assert data.class_names == ("0", "1")
    assert data.name == "npz:mine"


def test_npz_grey_and_named(tmp_path):
    data = npz(tmp_path, x_train=X[..., 0], x_test=X[..., :1], class_names=np.array(["ant", "bee", "cat"]))
    assert data.train.images.shape == data.test.images.shape == (2, 1, 4, 5)
    assert data.class_names == ("ant", "bee", "cat")


def test_npz_without_a_test_part_is_split(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=np.repeat(X, 5, axis=0), y_train=np.repeat(Y, 5))
    data = load(Npz(path=path))
    assert torch.bincount(data.train.labels).tolist() == [4, 4]
    assert torch.bincount(data.test.labels).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": X / 15},
            r"spans 0 to 7.9.*: bytes of dark images, or not; say -o data.range=0..255 or 0..1",
        ),
        (
            {"x_train": X / 64 - 1},
            r"spans -1 to 0.8.*: -1..1, or normalised by some mean; -o data.range=-1..1",
        ),
        ({"x_train": X.astype(np.uint16) * 90}, r"spans 0 to 10710: 16 bits, or fewer; say -o data.range=0..65535"),
        (
            {"x_train": X.astype(np.int64) // 118},
            r"spans 0 to 1: bytes of dark images, or not; say -o data.range",
        ),
        ({"x_train": np.full(X.shape, np.nan)}, "spans nan"),
        ({"x_train": X.astype(complex)}, "is complex128 .* expected finite numbers"),
        ({"x_train": X[..., :2]}, r"has shape \(2, 4, 5, 2\); expected \(N, H, W\)"),
        ({"x_train": np.zeros((2, 3, 5, 3), np.uint8)}, r"has shape \(2, 3, 5, 3\)"),
        ({"y_train": np.array([0, -1])}, "expected 2 whole numbers from 0"),
        ({"y_train": np.array([0.0, 1.5])}, "y_train of .* is float64"),
        (
            {"y_train": np.array([[0, 1], [1, 1]])},
            r"is int64 \(2, 2\); expected 2 whole numbers from 0, texts, or",
        ),
        (
            {"images_train": X},
            r"'x_train' and 'images_train' of .* may both be the train images; say which",
        ),
        ({"y_train": np.array([0])}, r"y_train of .* is int64 \(1,\); expected 2"),
        ({"class_names": np.array(["a"])}, "expected at least 2 different texts"),
        ({"class_names": np.array([b"a", b"b"])}, "expected at least 2 different texts"),
        ({"class_names": np.array(["a", "a"])}, "expected at least 2 different texts"),
        ({"y_train": np.array([0, 10**9])}, "labels up to 1000000000, and 2 training images"),
        ({"x_test": np.zeros((2, 4, 4, 3), np.uint8)}, "they must agree"),
    ],
)
def test_npz_files_that_do_not_fit(tmp_path, arrays, message):
    with pytest.raises(DccError, match=message):
        npz(tmp_path, **arrays)


def test_npz_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "mine.npz"
    with pytest.raises(DccError, match=r"mine.npz' cannot be read: FileNotFoundError"):
        load(Npz(path=path))
    for content in (b"", b"garbage"):
        path.write_bytes(content)
        with pytest.raises(DccError, match="cannot be read"):
            load(Npz(path=path))
    np.savez(path, x_train=X)
    with pytest.raises(DccError, match="lacks train labels; of its keys, x_train can be told by name"):
        load(Npz(path=path))
    np.savez(path, x_train=X, y_train=Y, x_test=X)
    with pytest.raises(DccError, match="lacks test labels"):
        load(Npz(path=path))
    np.savez(path, x_train=np.array([{}], dtype=object), y_train=Y)
    with pytest.raises(DccError, match="cannot be read: ValueError: Object arrays cannot be loaded"):
        load(Npz(path=path))
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DccError, match="cannot be read"):
        load(Npz(path=tmp_path / "one.npy"))


def test_a_picture_starts_no_other_program(tmp_path, monkeypatch):
    """PostScript under the name of a PNG is no image."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((4, 4), 9, np.uint8)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "0.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    )
    for name in ("Popen", "check_call"):
        monkeypatch.setattr(f"subprocess.{name}", lambda *_, **__: pytest.fail("something was started"))
    with pytest.raises(DccError, match=r"1 of 6 images cannot be read, '.*a/0.png' first: UnidentifiedImageError"):
        load(ImageFolder(path=tmp_path))


LAYOUTS = {
    "keras": {"x_train": X, "y_train": Y[:, None], "x_test": X, "y_test": Y[:, None]},
    "medmnist": {
        f"{part}_{what}": v for part in ("train", "val", "test") for what, v in (("images", X), ("labels", Y[:, None]))
    },
    "scikit-learn": {"X_train": X, "Y_train": Y, "X_test": X, "Y_test": Y},
    "hugging face": {"train_image": X, "train_label": Y, "validation_image": X, "validation_label": Y},
    "one part": {"images": np.repeat(X, 5, axis=0), "labels": np.repeat(Y, 5)},
    "data and targets": {"data": np.repeat(X, 5, axis=0), "targets": np.repeat(Y, 5)},
    "one-hot": {"x_train": X, "y_train": np.eye(2)[Y], "x_test": X, "y_test": np.eye(2, dtype=np.uint8)[Y]},
    "texts": {"x_train": X, "y_train": np.array(["ant", "bee"]), "x_test": X[:1], "y_test": np.array(["ant"])},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_npz_layouts_of_other_tools(tmp_path, layout):
    np.savez(tmp_path / "mine.npz", **LAYOUTS[layout])
    data = load(Npz(path=tmp_path / "mine.npz"))
    pixels = {tuple(image.flatten().tolist()) for image in data.train.images}
    assert pixels == {tuple(x.transpose(2, 0, 1).ravel().tolist()) for x in X}
    assert data.class_names == (("ant", "bee") if layout == "texts" else ("0", "1"))
    assert (data.validation is not None) == (layout == "medmnist")


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X.astype(np.int64), {}),
        (X.astype(np.float32), {}),
        (X.astype(np.uint16) * 257, {"range": "0..65535"}),
        (X / 127.5 - 1, {"range": "-1..1"}),
        (X / 255, {"range": "0..1"}),
        (X // 2 * 2, {"range": "0..255"}),
    ],
)
def test_npz_numbers_by_their_range(tmp_path, x, options):
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=Y, x_test=x, y_test=Y)
    found = load(Npz(path=tmp_path / "mine.npz", **options)).train.images
    assert (found.int() - torch.from_numpy(X).permute(0, 3, 1, 2).int()).abs().max() <= 1


def test_npz_keys_and_order_that_are_named(tmp_path):
    square = np.arange(2 * 3 * 6 * 3, dtype=np.uint8).reshape(2, 3, 6, 3)
    np.savez(tmp_path / "mine.npz", photos=square, kinds=Y, x_test=square, y_test=Y)
    keys = ("train_images=photos", "train_labels=kinds", "test_images=x_test", "test_labels=y_test")
    with pytest.raises(DccError, match=r"channels at either end; say which: -o data.order=channels-first or"):
        load(Npz(path=tmp_path / "mine.npz", keys=keys))
    for order, shape in (("channels-first", (3, 6, 3)), ("channels-last", (3, 3, 6))):
        assert load(Npz(path=tmp_path / "mine.npz", keys=keys, order=order)).shape == shape
    with pytest.raises(DccError, match=r"data.keys 'train_images=photo': expected e.g. train_images=KEY, with a key"):
        load(Npz(path=tmp_path / "mine.npz", keys=("train_images=photo",)))
