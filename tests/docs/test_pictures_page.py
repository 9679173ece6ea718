"""Every line of the page "Bring your pictures" is executed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcc_plugins.data.csv_table import CsvTable
from dcc_plugins.data.folder import ImageFolder
from dcc_plugins.data.npz import Npz
from dcc_plugins.data.shards import Shards

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.read_text().split("\n## ")}


def rows(section):
    return re.findall(r"^\| `([^`]+)` \|", SECTIONS[section], re.MULTILINE)


FOLDERS, TABLES, SHARDS, ARRAYS = map(rows, ("Folders", "Tables", "Shards", "Array files"))
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


@pytest.mark.parametrize("row", TABLES)
def test_tables_are_read_as_the_page_says(row, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": [f"{i}.jpg" for i in range(10)], "label": ["ant", "bee"] * 5})
    for i, path in enumerate(frame["path"]):
        write(tmp_path / "images" / path, 20 * i)
    place = tmp_path / row
    match place.suffix:
        case ".csv":
            frame.to_csv(place, index=False)
        case ".txt":
            frame.to_csv(place, index=False, header=False, sep=" ")
        case ".jsonl":
            frame.to_json(place, orient="records", lines=True)
        case ".parquet":
            frame.to_parquet(place)
        case ".json":
            tasks = [
                {
                    "data": {"image": f"/data/upload/1/{p}"},
                    "annotations": [{"result": [{"value": {"choices": [name]}}]}],
                }
                for p, name in zip(frame["path"], frame["label"], strict=True)
            ]
            place.write_text(json.dumps(tasks))
    data = load(CsvTable(path=place))
    assert data.class_names == ("ant", "bee")
    assert (len(data.train.labels), len(data.test.labels)) == (8, 2)


@pytest.mark.parametrize("row", SHARDS)
def test_shards_are_read_as_the_page_says(row, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    write(tmp_path / "one.jpg", 5)
    for name in row.split(", "):
        with webdataset.TarWriter(str(tmp_path / name)) as shard:
            for i in range(10):
                shard.write({"__key__": f"{i}", "jpg": (tmp_path / "one.jpg").read_bytes(), "cls": i % 2})
    data = load(Shards(path=tmp_path))
    many = "," in row
    assert (len(data.train.labels), len(data.test.labels)) == ((20, 10) if many else (8, 2))
    assert (data.validation is not None) == many


def test_the_page_has_lines_of_all_kinds():
    assert len(FOLDERS) >= 10 and len(ARRAYS) >= 5 and len(TABLES) == 5 and len(SHARDS) == 2
