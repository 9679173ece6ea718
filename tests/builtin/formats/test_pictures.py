"""Sets as folders of PNGs, and as Hugging Face's `datasets` has them."""

import io
import json

import field_files
import numpy as np
import pytest
import torch
from field_files import condensed
from PIL import Image

from dcc_core import DccError
from dcc_plugins.data.class_names import CIFAR10


@pytest.mark.parametrize("name", ["png", "hf"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_come_back_rounded(make_job, round_trip, name, channels):
    s = make_job({"run.ipc": 2, "run.precision": "float32"}, **{"data.channels": channels}).condense()
    s.stored["images"].copy_(torch.rand(s.images.shape, generator=torch.Generator().manual_seed(0)))
    s = s.with_scores({"architecture": "convnet", "protocol": "dc", "accuracies": [0.5], "mean": 0.5})
    back, notes = round_trip(s, name)
    assert float((back.images - s.images).abs().max()) <= 1 / 510 + 1e-7
    assert torch.equal(back.labels, s.labels)
    assert notes == (f"values are rounded to 8 bits, and 0 of {s.images.numel():,} lay outside 0..1 and are clipped",)
    p = s.provenance
    kept = {k: v for k, v in p.config.items() if not k.startswith("param")}
    assert back.provenance == type(p)(**{**vars(p), "config": kept, "notes": notes})


def test_what_is_clipped_is_counted(make_job, round_trip):
    s = condensed(make_job)
    s.stored["images"].fill_(0.5)
    s.stored["images"][0, 0, 0, :3] = torch.tensor([-1.0, 1.5, 1.0])
    back, notes = round_trip(s, "png")
    assert "2 of 1,152 lay outside 0..1 and are clipped" in notes[0]
    assert back.images[0, 0, 0, :3].tolist() == [0, 1, 1]
    assert back.provenance.notes == notes


@pytest.mark.parametrize("name", ["png", "hf"])
def test_soft_labels_stand_beside_pictures(tmp_path, import_set, round_trip, name):
    field_files.datm(tmp_path / "run")
    s = import_set(tmp_path / "run", "datm", stats="cifar10", data="cifar10")
    back, _ = round_trip(s, name)
    assert torch.equal(back.stored["label_logits"], s.stored["label_logits"])
    assert torch.equal(back.labels, s.labels)
    assert torch.equal(back.owners, s.owners)
    assert back.provenance.learned == s.provenance.learned


def test_a_folder_of_pictures_without_more(tmp_path, import_set):
    """As other tools write it: classes in alphabetical order, statistics from elsewhere."""
    for k, name in enumerate(("b", "a")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(2):
            pixels = np.full((4, 5, 3), 100 * k + i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.{'jpg' if i else 'png'}", quality=100)
    (tmp_path / "pictures" / ".hidden").mkdir()
    with pytest.raises(
        DccError, match=r"--stats is needed \(or --data, to use its own\): png files hold images in unit"
    ):
        import_set(tmp_path / "pictures", "png")
    s = import_set(tmp_path / "pictures", "png", stats="mean=0.5,0.5,0.5;std=0.2,0.2,0.2")
    assert s.class_names == ("a", "b")
    assert torch.allclose(s.images[:, 0, 0, 0] * 255, torch.tensor([100.0, 101, 0, 1]), atol=1e-4)
    assert s.provenance.size == (4, 5)
    Image.new("RGB", (6, 6)).save(tmp_path / "pictures" / "a" / "x.png")
    with pytest.raises(DccError, match=r"images differ in size: 'a/0.png' is 5×4, 'a/x.png' 6×6"):
        import_set(tmp_path / "pictures", "png", stats="cifar10")


def test_a_picture_is_what_it_says(tmp_path, import_set, monkeypatch):
    """Pillow would know PostScript by its content, and start Ghostscript for it."""
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    (tmp_path / "pictures" / "a" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("something was started"))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("something was started"))
    with pytest.raises(DccError, match=r"image 'a/0.png' cannot be read: expected one of PNG, JPEG, WEBP, BMP"):
        import_set(tmp_path / "pictures", "png", stats="cifar10")
    Image.new("I;16", (4, 4)).save(tmp_path / "pictures" / "a" / "0.png")
    with pytest.raises(DccError, match="has the mode I;16; expected 8 bits"):
        import_set(tmp_path / "pictures", "png", stats="cifar10")


def test_files_beside_the_list_are_noticed(make_job, round_trip, tmp_path, import_set):
    round_trip(condensed(make_job), "png")
    (tmp_path / "theirs" / "blob 1" / "2.png").rename(tmp_path / "theirs" / "blob 1" / "x.png")
    with pytest.raises(DccError, match=r"the list of files in its dcc.json disagree about 'blob 1/2.png'"):
        import_set(tmp_path / "theirs", "png")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("files"),
        lambda c: c.pop("provenance"),
        lambda c: c["provenance"].pop("mean"),
        lambda c: c["provenance"].update(seed="x"),
        lambda c: c.update(version=2),
        lambda c: c.update(soft={"labels": [[1, "x"]]}),
        lambda c: c.update(soft={"labels": [[1.0, 0.0, 0.0]]}),
    ],
)
def test_a_damaged_sidecar_is_named(make_job, round_trip, tmp_path, import_set, change):
    round_trip(condensed(make_job), "png")
    file = tmp_path / "theirs" / "dcc.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(DccError, match=r"dcc.json|theirs"):
        import_set(tmp_path / "theirs", "png")


def test_class_folders_keep_the_order_of_classes():
    from dcc_plugins.formats.image_folder import folder_names

    assert folder_names(CIFAR10) == list(CIFAR10)
    assert folder_names(("b", "a")) == ["0 b", "1 a"]
    assert folder_names(("a/b", "a:b")) == ["0 a_b", "1 a_b"]
    assert folder_names(("A", "a")) == ["0 A", "1 a"]
    assert folder_names(("..", "x")) == ["0", "1 x"]
    many = folder_names(tuple(map(str, range(11))))
    assert many == sorted(many)
    assert many[10] == "10 10"


def test_hugging_face_files_say_names_and_types(make_job, round_trip, tmp_path):
    from pyarrow import parquet

    s = condensed(make_job)
    round_trip(s, "hf")
    table = parquet.read_table(tmp_path / "theirs" / "data" / "train-00000-of-00001.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list(s.class_names)}}
    first = table.to_pylist()[0]
    assert first["image"]["bytes"].startswith(b"\x89PNG")
    assert table.column("label").to_pylist() == s.labels.tolist()
    card = (tmp_path / "theirs" / "README.md").read_text()
    assert "path: data/train-*" in card


def test_hugging_face_files_of_others(tmp_path, import_set):
    """Names from the schema, other columns, several files, no sidecar."""
    import pyarrow
    from pyarrow import parquet

    from dcc_plugins.formats.pictures import _png

    pictures = [{"bytes": _png(np.full((4, 4, 3), 10 * i, np.uint8)), "path": None} for i in range(4)]
    about = {"info": {"features": {"y": {"_type": "ClassLabel", "names": ["u", "v"]}}}}
    (tmp_path / "d" / "data").mkdir(parents=True)
    for i in range(2):
        table = pyarrow.table({"img": pictures[2 * i : 2 * i + 2], "y": [1, 0], "more": [0.5, None]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
        parquet.write_table(table, tmp_path / "d" / "data" / f"test-0000{i}-of-00002.parquet")
    options = {"format.split": "test", "format.image": "img", "format.label": "y"}
    s = import_set(tmp_path / "d", "hf", options=options, stats="cifar10")
    assert s.class_names == ("u", "v")
    assert (s.images[:, 0, 0, 0] * 255).round().tolist() == [10, 30, 0, 20]
    with pytest.raises(DccError, match=r"has no column 'image'; it has img, y, more"):
        import_set(tmp_path / "d", "hf", options={"format.split": "test"}, stats="cifar10")
    with pytest.raises(DccError, match=r"has no data/train-\*.parquet"):
        import_set(tmp_path / "d", "hf", stats="cifar10")


def test_the_size_of_pictures_is_bounded(make_job, round_trip, import_set, tmp_path, monkeypatch):
    from dcc_plugins.formats import hugging_face, image_folder, pictures

    for name in ("hf", "png"):
        round_trip(condensed(make_job), name)
        with monkeypatch.context() as patched:
            for module in (hugging_face, image_folder):
                patched.setattr(module, "MOST_VALUES", 300)
            with pytest.raises(DccError, match="holds more than 300 bytes"):
                import_set(tmp_path / "theirs", name)
        with monkeypatch.context() as patched:
            patched.setattr(pictures, "MOST_VALUES", 1000)
            with pytest.raises(DccError, match="6 images of 8×8 are more than 1,000 values"):
                import_set(tmp_path / "theirs", name)


def test_without_pyarrow_the_message_says_what_to_install(monkeypatch, tmp_path, import_set):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DccError, match=r"format: needs the package pyarrow: pip install 'dataset-condensation\[hf\]'"):
        import_set(tmp_path, "hf")


def test_imported_pictures_are_upright():
    """As the folder source reads them; their size is that of the upright picture."""
    from dcc_plugins.formats.pictures import unit_images

    upright = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, plain = io.BytesIO(), io.BytesIO()
    Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    Image.fromarray(upright).save(plain, "PNG")
    found = unit_images([turned.getvalue(), plain.getvalue()], ["turned", "plain"])
    assert found.shape == (2, 3, 6, 4) and torch.equal(found[0], found[1])
