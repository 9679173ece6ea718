"""Your own images by a CSV file: of competitions, of labelling tools, of ImageNet's validation part."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dcc_core import DccError
from dcc_plugins.data.csv_table import CsvTable
from dcc_plugins.data.folder import ImageFolder


def load(source):
    return source.load(root=None, download=False, progress=False)


@pytest.fixture
def pictures(tmp_path):
    """Ten pictures in a folder `train_images`; the first pixel is their number."""
    (tmp_path / "train_images").mkdir()
    for i in range(10):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(tmp_path / "train_images" / f"{i:02}.png")
    return tmp_path


def write(folder, lines, name="train.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def labels_by_number(data):
    """Class names by the number of the picture."""
    found = {}
    for part in (data.train, data.test, data.validation):
        if part:
            found |= {
                int(x[0, 0, 0]): data.class_names[y] for x, y in zip(part.images, part.labels.tolist(), strict=True)
            }
    return found


EXPECTED = {i: "ant" if i % 2 else "bee" for i in range(10)}
LAYOUTS = {
    "a competition's": ["id_code,diagnosis", *(f"{i:02},{EXPECTED[i]}" for i in range(10))],
    "a labelling tool's": [
        "id,image,annotator,choice",
        *(f"{i},train_images/{i:02}.png,me,{EXPECTED[i]}" for i in range(10)),
    ],
    "with tabs": ["file\tlabel", *(f"{i:02}.png\t{EXPECTED[i]}" for i in range(10))],
    "of ImageNet's validation": [f"{i:02}.png {EXPECTED[i]}" for i in range(10)],
    "with a byte order mark": ["\ufeffpath;class", *(f"{i:02}.png;{EXPECTED[i]}" for i in range(10))],
    "with quotes": ['"path","class"', *(f'"{i:02}.png","{EXPECTED[i]}"' for i in range(10))],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(pictures, layout):
    data = load(CsvTable(path=write(pictures, LAYOUTS[layout])))
    assert labels_by_number(data) == EXPECTED
    assert data.class_names == ("ant", "bee")
    assert len(data.test.labels) == 2


def test_parts_of_a_column(pictures):
    parts = ["Train"] * 6 + ["VAL"] * 2 + ["test"] + ["holdout"]
    lines = ["path,label,split", *(f"{i:02}.png,{i % 2},{part}" for i, part in enumerate(parts))]
    source = CsvTable(path=write(pictures, lines))
    data = load(source)
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [6, 2, 1]
    assert "rows left out: 1 of part 'holdout'" in source.describe()
    assert "column 'path' holds paths, 'label' labels" in source.describe()


def test_numbers_are_in_their_order(pictures):
    data = load(CsvTable(path=write(pictures, ["path,label", *(f"{i:02}.png,{5 * (i // 2)}" for i in range(10))])))
    assert data.class_names == ("0", "5", "10", "15", "20")


def test_one_image_of_each_class_leaves_none_to_test_with(pictures):
    with pytest.raises(DccError, match="'csv:train' has one image of each class, none to test with; give more, or"):
        load(CsvTable(path=write(pictures, ["path,label", *(f"{i:02}.png,{i}" for i in range(10))])))


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["a,b", "x.png,1", "y.png,2"], {}, "no column of .* holds paths of files beside it; its columns are a, b"),
        (
            ["path,a,b", "00.png,1,2", "01.png,1,2"],
            {},
            "which column .* the labels. One of a, b; -o data.label_column=a",
        ),
        (["path,a", "00.png,1", "01.png"], {}, "has 1 cells in row 3, in the first 2"),
        (["path"], {}, "has no two columns"),
        (["path,a", "00.png,", "01.png,"], {}, "has no training images with a label"),
        (["path,a", "00.png,1", "x,1", "y,2", "z,2"], {}, "3 of 4 images of .* are not there, 'x' first"),
        (["path,a,split", "00.png,1,train", "01.png,2,test"], {}, "has a class '2' that the training images lack"),
        (["path,a", "00.png,1"], {"label_column": "b"}, "data.label_column 'b' is no column of .*; it has path, a"),
    ],
)
def test_files_that_do_not_fit(pictures, lines, options, message):
    with pytest.raises(DccError, match=message):
        load(CsvTable(path=write(pictures, lines), **options))


def label_studio(i):
    """A task as Label Studio exports it, of an uploaded file and of one that it serves from a folder."""
    image = f"/data/upload/3/1f2e3d4c-{i:02}.png" if i < 5 else f"/data/local-files/?d=train_images/{i:02}.png"
    results = [{"result": [{"type": "choices", "value": {"choices": [EXPECTED[i]]}}]}]
    return {"id": i, "data": {"image": image}, "annotations": results}


def test_exports_of_label_studio(pictures):
    (pictures / "tasks.json").write_text(json.dumps([label_studio(i) for i in range(10)]))
    assert labels_by_number(load(CsvTable(path=pictures / "tasks.json"))) == EXPECTED
    short = [
        {"image": f"/data/upload/3/train_images/{i:02}.png", "choice": EXPECTED[i], "lead_time": 2.5} for i in range(10)
    ]
    (pictures / "short.json").write_text(json.dumps(short))
    assert labels_by_number(load(CsvTable(path=pictures / "short.json"))) == EXPECTED


def test_rows_without_a_label_are_left_out(pictures):
    """Tasks that nobody has looked at yet, cells that are empty, and whole numbers beside cells without a value."""
    pandas = pytest.importorskip("pandas")
    labels = [7 if i % 2 else 12 for i in range(8)] + [None, None]
    expected = {i: "7" if i % 2 else "12" for i in range(8)}
    frame = pandas.DataFrame({"path": [f"{i:02}.png" for i in range(10)], "label": labels})
    assert frame["label"].dtype == float
    frame.to_parquet(pictures / "frame.parquet")
    write(pictures, ["path,label", *(f"{i:02}.png,{expected.get(i, '')}" for i in range(10))])
    tasks = [{"data": {"image": f"{i:02}.png"}, "annotations": []} for i in range(10)]
    for i, name in expected.items():
        tasks[i]["annotations"] = [{"result": [{"value": {"choices": [name]}}]}]
    (pictures / "tasks.json").write_text(json.dumps(tasks))
    for file in ("frame.parquet", "train.csv", "tasks.json"):
        source = CsvTable(path=pictures / file)
        assert labels_by_number(load(source)) == expected
        assert load(source).class_names == ("7", "12")
        assert "rows left out: 2 without a label" in source.describe()


def test_json_lines(pictures):
    lines = [json.dumps({"file_name": f"{i:02}.png", "label": EXPECTED[i], "note": None}) for i in range(10)]
    assert labels_by_number(load(CsvTable(path=write(pictures, lines, "metadata.jsonl")))) == EXPECTED


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_data_frames(pictures, ending):
    """With names in columns, and with paths as the index."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"path": [f"{i:02}.png" for i in range(10)], "kind": list(EXPECTED.values()), "y": range(10)}
    )
    for one in (frame, frame.set_index("path") if ending == "parquet" else frame):
        getattr(one, f"to_{ending}")(pictures / f"frame.{ending}")
        source = CsvTable(path=pictures / f"frame.{ending}", label_column="kind")
        assert labels_by_number(load(source)) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json' cannot be read: Expecting property name"),
        ("a.json", '{"image": "00.png"}', "a.json' holds no list of objects; expected one per image"),
        ("a.jsonl", "[1]", "a.jsonl' holds no list of objects"),
        ("a.parquet", "x", "a.parquet' cannot be read"),
        ("a.json", '[{"image": "00.png", "data": {"image": "x"}}]', "no column of .* holds paths"),
    ],
)
def test_tables_that_are_none(pictures, name, text, message):
    with pytest.raises(DccError, match=message):
        load(CsvTable(path=write(pictures, [text], name)))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DccError, match=r"csv: '.*none.csv' cannot be read"):
        load(CsvTable(path=tmp_path / "none.csv"))


def test_options_of_pictures_hold_too(pictures):
    lines = ["path,label", *(f"{i:02}.png,{i % 2}" for i in range(10))]
    assert load(CsvTable(path=write(pictures, lines), size=(2, 3), channels=1)).shape == (1, 2, 3)


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_of_a_folder_is_read_as_the_folder(pictures, tmp_path, kind):
    for i, name in EXPECTED.items():
        (pictures / "made" / "photos" / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / "train_images" / f"{i:02}.png", pictures / "made" / "photos" / name)
    archive = shutil.make_archive(str(tmp_path / "photos"), kind, pictures / "made")
    packed, plain = load(ImageFolder(path=Path(archive))), load(ImageFolder(path=pictures / "made"))
    assert torch.equal(packed.train.images, plain.train.images) and packed.class_names == plain.class_names


def test_archives_that_are_damaged_or_reach_outside(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    with pytest.raises(DccError, match=r"bad.zip' cannot be unpacked"):
        load(ImageFolder(path=tmp_path / "bad.zip"))
    (tmp_path / "x.png").write_bytes(b"x")
    with tarfile.open(tmp_path / "out.tar", "w") as archive:
        archive.add(tmp_path / "x.png", "../outside.png")
    with pytest.raises(DccError, match=r"out.tar' cannot be unpacked: OutsideDestinationError"):
        load(ImageFolder(path=tmp_path / "out.tar"))
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../outside.png", b"x")
    with pytest.raises(DccError, match="no"):
        load(ImageFolder(path=tmp_path / "out.zip"))
    assert not (tmp_path.parent / "outside.png").exists()
