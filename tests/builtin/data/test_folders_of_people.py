"""Folders as people have them: phones, archives, scrapers; every file is used or said to be left out."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageOps

from dcc_core import DccError
from dcc_core.cli.app import cli
from dcc_plugins.data.folder import ImageFolder
from dcc_plugins.data.pictures import read_header
from dcc_plugins.data.tree import understand

UPRIGHT = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3) * 3


def load(path, **options):
    return ImageFolder(path=path, **options).load(root=None, download=False, progress=False)


def encode(kind, array=UPRIGHT, **how):
    """The bytes of a picture in one of Pillow's formats."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **how)
    return file.getvalue()


def put(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode("PNG") if content is None else content)


def classes(folder, names=("ant", "bee"), count=3):
    for name in names:
        for i in range(count):
            put(folder / name / f"{i}.png")


def as_held(orientation):
    """What the sensor saw where a picture is stored with this EXIF orientation, lossless."""
    methods = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    image = Image.fromarray(UPRIGHT)
    for method in methods.get(orientation, []):
        image = image.transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return file.getvalue()


def test_all_eight_orientations_are_upright(tmp_path):
    for name in ("ant", "bee"):
        for orientation in range(1, 9):
            put(tmp_path / name / f"{orientation}.png", as_held(orientation))
    data = load(tmp_path, per_class=None)
    assert data.shape == (3, 6, 4)
    every = torch.cat([data.train.images, data.test.images])
    assert (every == torch.from_numpy(UPRIGHT).permute(2, 0, 1)).all()
    assert read_header(tmp_path / "ant" / "6.png").size == (6, 4)
    assert "14 turned upright by their EXIF orientation" in ImageFolder(path=tmp_path).describe()


@pytest.mark.parametrize("train", ["Train", "training", "TRAINING_SET"])
@pytest.mark.parametrize("test", ["Test", "testing", "EVAL", "valid", "Validation", "val"])
def test_parts_are_recognised_in_any_case(tmp_path, train, test):
    classes(tmp_path / train)
    classes(tmp_path / test, count=2)
    data = load(tmp_path)
    assert (data.class_names, len(data.train.labels), len(data.test.labels)) == (("ant", "bee"), 6, 4)


def test_a_validation_folder_beside_a_test_folder_is_the_validation_part(tmp_path):
    for part, count in (("train", 4), ("test", 2), ("val", 3)):
        classes(tmp_path / part, count=count)
    data = load(tmp_path)
    assert [len(part.labels) for part in (data.train, data.test, data.validation)] == [8, 4, 6]


def test_parts_beside_classes_are_said(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path, names=("cat",))
    tree = understand(tmp_path)
    assert tree.class_names == ("ant", "bee")
    assert "'train' is the training part, so 'cat' beside it are left out" in tree.notes
    assert set(tree.left_out.values()) == {"beside 'train'"}


def test_a_part_without_training_is_a_class_and_said(tmp_path):
    classes(tmp_path, names=("cat", "test"))
    assert understand(tmp_path).class_names == ("cat", "test")
    assert "'test' counts as a class, since there is no folder of classes for training" in understand(tmp_path).notes


def test_two_folders_for_one_part_are_refused(tmp_path):
    classes(tmp_path / "train")
    classes(tmp_path / "Training")
    with pytest.raises(DccError, match=r"has two folders for the train part, '.rain.*' and '.rain.*'"):
        understand(tmp_path)


def test_test_images_without_classes_are_left_out(tmp_path):
    """As competitions have them."""
    classes(tmp_path / "train")
    put(tmp_path / "test" / "0001.png")
    tree = understand(tmp_path)
    assert (len(tree.parts["train"]), tree.parts["test"]) == (6, [])
    assert tree.left_out == {tmp_path / "test" / "0001.png": "beside 'train'"}


def test_the_folder_around_an_archive_is_entered(tmp_path):
    classes(tmp_path / "photos-1.0" / "photos")
    tree = understand(tmp_path)
    assert tree.class_names == ("ant", "bee")
    assert tree.notes[0] == "everything is in 'photos-1.0/photos'"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("0.jfif", "JPEG"), ("0.gif", "GIF"), ("0.JP2", "JPEG2000"), ("0.tga", "TGA"), ("0", "PNG"), ("0.txt", "PNG")],
)
def test_what_pillow_reads_is_read_by_its_content(tmp_path, name, kind):
    classes(tmp_path)
    put(tmp_path / "ant" / "x" / name, encode(kind))
    assert len(understand(tmp_path).parts["train"]) == 7
    load(tmp_path)


def test_of_an_animation_the_first_frame_is_taken_and_said(tmp_path):
    classes(tmp_path)
    frames = [Image.fromarray(np.full((6, 4, 3), value, np.uint8)) for value in (250, 10)]
    frames[0].save(tmp_path / "ant" / "9.gif", save_all=True, append_images=frames[1:])
    data = load(tmp_path)
    every = torch.cat([data.train.images, data.test.images])
    assert any((image == 250).all() for image in every) and not any((image == 10).all() for image in every)
    assert "1 animations, of which the first frame is taken" in ImageFolder(path=tmp_path).describe()


def test_files_without_a_reader_are_counted_by_kind(tmp_path, caplog):
    classes(tmp_path)
    put(tmp_path / "ant" / "9.svg", b"<svg/>")
    put(tmp_path / "ant" / "8.cr2", b"raw")
    put(tmp_path / "ant" / "notes.txt", b"words")
    with caplog.at_level("INFO", "dcc"):
        load(tmp_path)
    for words in ("left out: ", "1 no reader for .svg", "1 no reader for .cr2", "1 no picture (.txt)"):
        assert words in caplog.text


@pytest.mark.parametrize("name", ["bee", "cat"])
def test_a_class_that_would_lose_most_of_its_files_is_refused(tmp_path, name):
    classes(tmp_path)
    for i in range(4):
        put(tmp_path / name / f"{10 + i}.heic", b"not for Pillow")
    match = rf"class '{name}' loses 4 of . images \(4 no reader for .heic\); convert them"
    with pytest.raises(DccError, match=match):
        load(tmp_path)


def test_broken_images_that_are_left_out_count_as_lost(tmp_path):
    classes(tmp_path)
    for i in range(2):
        put(tmp_path / "bee" / f"{i}.png", b"")
    with pytest.raises(DccError, match=r"class 'bee' loses 2 of 3 images \(2 UnidentifiedImageError\)"):
        load(tmp_path, broken="skip")


@pytest.mark.parametrize("name", ["__MACOSX", ".ipynb_checkpoints", "@eaDir", "$RECYCLE.BIN"])
def test_folders_of_systems_are_no_classes(tmp_path, name):
    classes(tmp_path)
    put(tmp_path / name / "ant" / "0.png")
    put(tmp_path / "ant" / name / "0.png")
    tree = understand(tmp_path)
    assert tree.class_names == ("ant", "bee")
    assert tree.left_out == dict.fromkeys(
        [tmp_path / name / "ant" / "0.png", tmp_path / "ant" / name / "0.png"], f"in '{name}'"
    )


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("squash", lambda image: image.resize((4, 4), Image.Resampling.BICUBIC)),
        ("crop", lambda image: ImageOps.fit(image, (4, 4), Image.Resampling.BICUBIC)),
        ("pad", lambda image: ImageOps.pad(image, (4, 4), Image.Resampling.BICUBIC)),
    ],
)
def test_other_proportions_are_squashed_cropped_or_padded(tmp_path, fit, expected):
    classes(tmp_path)
    data = load(tmp_path, size=(4,), fit=fit, resample="bicubic")
    wanted = torch.from_numpy(np.array(expected(Image.fromarray(UPRIGHT)))).permute(2, 0, 1)
    assert (data.train.images == wanted).all()


def test_damage_is_named(tmp_path):
    """A truncated JPEG, a text named .png, no bytes; a CMYK JPEG and transparent palettes are read."""
    classes(tmp_path, count=9)
    jpeg = encode("JPEG", np.zeros((60, 40, 3), np.uint8))
    put(tmp_path / "ant" / "a.jpg", jpeg[: len(jpeg) // 2])
    put(tmp_path / "ant" / "b.png", b"text")
    put(tmp_path / "ant" / "c.png", b"")
    cmyk = io.BytesIO()
    Image.new("CMYK", (4, 6)).save(cmyk, "JPEG")
    put(tmp_path / "ant" / "d.jpg", cmyk.getvalue())
    palette = io.BytesIO()
    Image.new("P", (4, 6)).save(palette, "PNG", transparency=0)
    put(tmp_path / "ant" / "e.png", palette.getvalue())
    with pytest.raises(DccError, match=r"3 of 23 images cannot be read, '.*a.jpg' first: OSError"):
        load(tmp_path, size=(6, 4))
    data = load(tmp_path, size=(6, 4), broken="skip")
    assert len(data.train.labels) + len(data.test.labels) == 20


def test_a_bomb_is_broken(tmp_path, monkeypatch):
    classes(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DccError, match=r"none of the images can be read"):
        load(tmp_path)


def test_a_hostile_class_name_is_about_the_folder(tmp_path):
    classes(tmp_path, names=("ant", "b\x1b[31m"))
    with pytest.raises(
        DccError, match=r"folder: the class folder 'b\\x1b\[31m' of .* cannot be written as text; rename"
    ):
        load(tmp_path)


def test_show_and_inspect_explain_a_folder_before_anything_runs(tmp_path):
    classes(tmp_path)
    classes(tmp_path / "__MACOSX")
    for words in (["show", "data", f"folder:{tmp_path}"], ["inspect", str(tmp_path)]):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.stderr
        for line in (
            "2 classes: ant, bee",
            "train: 6 images, 3 of each class",
            "height×width: 6×4 (6)",
            "left out: 6 in '__MACOSX'",
        ):
            assert line in result.stdout


names = st.sampled_from(
    [
        "ant",
        "bee",
        "Train",
        "test",
        "VAL",
        "x",
        "__MACOSX",
        ".git",
        "deep",
        "0.png",
        "1.JPG",
        "2.gif",
        "3.txt",
        "4",
        ".5.png",
    ]
)
contents = st.sampled_from([encode("PNG"), encode("JPEG"), encode("GIF"), b"", b"text", encode("PNG")[:40]])


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(st.lists(names, min_size=1, max_size=4).map(tuple), contents, max_size=14))
def test_every_file_is_in_one_class_or_left_out(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("tree")
    for place, content in tree.items():
        path = folder.joinpath(*place)
        try:
            put(path, content)
        except OSError:  # a file where a folder is wanted, or the other way round
            continue
    there = {Path(where) / name for where, _, found in os.walk(folder) for name in found}
    try:
        understood = understand(folder)
    except DccError as error:
        assert str(folder) in str(error)
        return
    used = [path for own in understood.parts.values() for path, _ in own]
    assert len(used) == len(set(used))
    assert set(used) | set(understood.left_out) == there
    assert not set(used) & set(understood.left_out)
    assert all(name in path.parts for own in understood.parts.values() for path, name in own)


def test_an_unpacked_archive_of_a_mac_is_read(tmp_path):
    classes(tmp_path / "made" / "photos")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted((tmp_path / "made").rglob("*.png")):
            inner = path.relative_to(tmp_path / "made")
            archive.write(path, inner)
            archive.writestr(f"__MACOSX/{inner.parent}/._{inner.name}", b"metadata")
    with zipfile.ZipFile(tmp_path / "photos.zip") as archive:
        archive.extractall(tmp_path / "got")
    assert load(tmp_path / "got").class_names == ("ant", "bee")
