"""Your own images in WebDataset's shards, written by the webdataset package itself."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from dcc_core import DccError
from dcc_plugins.data.shards import Shards

webdataset = pytest.importorskip("webdataset")


def load(source):
    return source.load(root=None, download=False, progress=False)


def picture(value):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def write(place, numbers, **fields):
    """A shard of one sample a number, its picture of that grey; fields: functions of the number."""
    with webdataset.TarWriter(str(place)) as shard:
        for i in numbers:
            sample = {name.replace("_", "."): make(i) for name, make in fields.items()}
            shard.write({"__key__": f"{i:04}", "png": picture(i), **sample})


def labels_by_number(part, names):
    return {int(x[0, 0, 0]): names[y] for x, y in zip(part.images, part.labels.tolist(), strict=True)}


FIELDS = {
    "cls": ({"cls": lambda i: i % 3}, {}),
    "JSON": ({"json": lambda i: {"label": i % 3, "width": 4}}, {}),
    "JSON by name": ({"json": lambda i: {"label": "x", "kind": str(i % 3)}}, {"label": "json.kind"}),
    "text": ({"cls_txt": lambda i: f"{i % 3}\n".encode()}, {"label": "cls.txt"}),
}


@pytest.mark.parametrize("fields", FIELDS)
def test_labels(tmp_path, fields):
    written, options = FIELDS[fields]
    write(tmp_path / "train-000.tar", range(8), **written)
    write(tmp_path / "train-001.tar", range(8, 12), **written)
    write(tmp_path / "val-000.tar", range(20, 26), **written)
    write(tmp_path / "test-000.tar", range(30, 36), **written)
    for path in (tmp_path, tmp_path / "{train,val,test}-00*.tar"):
        source = Shards(path=path, **options)
        data = load(source)
        assert data.class_names == ("0", "1", "2")
        assert labels_by_number(data.train, data.class_names) == {i: str(i % 3) for i in range(12)}
        assert labels_by_number(data.validation, data.class_names) == {i: str(i % 3) for i in range(20, 26)}
        assert labels_by_number(data.test, data.class_names) == {i: str(i % 3) for i in range(30, 36)}
        assert "train: 12 images, 4 of each class" in source.describe()


def test_one_shard_is_split_and_numbers_are_in_their_order(tmp_path):
    write(tmp_path / "all.tar", range(24), cls=lambda i: i % 12)
    data = load(Shards(path=tmp_path / "all.tar"))
    assert data.class_names == tuple(map(str, range(12)))
    assert (len(data.train.labels), len(data.test.labels)) == (12, 12)


def test_samples_that_lack_something_are_left_out(tmp_path):
    write(tmp_path / "a.tar", range(12), cls=lambda i: i % 2)
    with webdataset.TarWriter(str(tmp_path / "b.tar")) as shard:
        shard.write({"__key__": "x", "cls": 1})
        shard.write({"__key__": "y", "png": picture(1), "json": {"width": 4}})
    source = Shards(path=tmp_path)
    assert "samples left out: 1 without a picture, 1 without a label" in source.describe()
    assert len(load(source).train.labels) + len(load(source).test.labels) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "kind"}, r"12 of 12 samples of .* are without a label; -o data.label=FIELD says where it is"),
        ({"image": "jpg"}, r"12 of 12 samples of .* are without a picture; -o data.image=FIELD"),
        ({"label": "png.x"}, "field 'png' of sample '0000' is no JSON"),
    ],
)
def test_fields_that_are_not_there(tmp_path, options, message):
    write(tmp_path / "a.tar", range(12), cls=lambda i: i % 2)
    with pytest.raises(DccError, match=message):
        load(Shards(path=tmp_path / "a.tar", **options))


def test_shards_that_are_none(tmp_path):
    with pytest.raises(DccError, match=r"shards: there is no '.*none-\*.tar'; expected tar files, a folder of them"):
        load(Shards(path=tmp_path / "none-*.tar"))
    (tmp_path / "bad.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(DccError, match=r"bad.tar' cannot be read"):
        load(Shards(path=tmp_path / "bad.tar"))
    write(tmp_path / "train-0.tar", range(4), cls=lambda i: i % 2)
    write(tmp_path / "test-0.tar", range(4), cls=lambda i: i)
    with pytest.raises(DccError, match="has a class '2' that the training images lack"):
        load(Shards(path=tmp_path / "t*.tar"))


def test_no_command_in_a_name_is_run(tmp_path, monkeypatch):
    """webdataset itself opens `pipe:` names with a shell; a source reads files alone."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DccError, match="there is no"):
        load(Shards(path="pipe:touch ran"))
    write(tmp_path / "pipe:touch ran", range(4), cls=lambda i: i % 2)
    assert len(load(Shards(path="pipe:touch ran")).train.labels) == 2
    assert not (tmp_path / "ran").exists()


def test_a_sample_of_json_text(tmp_path):
    write(tmp_path / "a.tar", range(6), json=lambda i: json.loads(json.dumps({"class": ["a", "b"][i % 2]})))
    assert load(Shards(path=tmp_path / "a.tar")).class_names == ("a", "b")
