"""Every line of the page "Bring your pictures" is executed."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcc_plugins.data.folder import ImageFolder
from dcc_plugins.data.npz import Npz

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
ROWS = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
FOLDERS = [row for row in ROWS if "/" in row]
ARRAYS = [row for row in ROWS if "/" not in row]
KINDS = {".gif": "GIF", ".tga": "TGA", ".jfif": "JPEG", "": "PNG", ".jpg": "JPEG"}


def load(source):
    return source.load(root=None, download=False, progress=False)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = KINDS.get(path.suffix)
    if kind is None or path.name.startswith("._"):
        path.write_bytes(b"something else")
    else:
        Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path, kind)


@pytest.mark.parametrize("row", FOLDERS)
def test_a_folder_is_read_as_the_page_says(row, tmp_path):
    """A second class, and images enough to split, stand beside what the row names."""
    for value, place in enumerate(row.split(", ")):
        if place.endswith("/"):
            (tmp_path / place).mkdir()
        else:
            write(tmp_path / place, value)
            if "/ant/" in f"/{place}" and "MACOSX" not in place:
                write(tmp_path / place.replace("ant/", "ant/more/"), value)
                bee = tmp_path / place.partition("ant/")[0] / "bee"
                write(bee / "0.jpg", 99)
                write(bee / "more" / "9.jpg", 98)
    data = load(ImageFolder(path=tmp_path))
    assert data.class_names == ("ant", "bee")
    assert (data.validation is not None) == ("val/" in row)
    assert "ant" in ImageFolder(path=tmp_path).describe()


@pytest.mark.parametrize("row", ARRAYS)
def test_arrays_are_read_as_the_page_says(row, tmp_path):
    labels = np.arange(10) % 2
    images = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)
    arrays = {key: labels if re.search("label|target|y", key, re.IGNORECASE) else images for key in row.split(", ")}
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(Npz(path=tmp_path / "mine.npz"))
    assert data.shape == (3, 4, 4) and data.num_classes == 2
    assert len(data.train.labels) == (10 if "train" in row.casefold() else 8)


def test_the_page_has_lines_of_both():
    assert len(FOLDERS) >= 10 and len(ARRAYS) >= 5
