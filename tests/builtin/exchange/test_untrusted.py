"""Files of strangers: whatever stands in them, nothing runs, memory stays, and there is one clear message."""

import io
import os
import pickle
import warnings
import zipfile

import field_files
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dcc_core import DccError
from dcc_core.cli.app import cli
from dcc_plugins.exchange import safe_loading as untrusted
from dcc_plugins.exchange.safe_loading import read_npz, read_tensor, read_torch


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def ran(tmp_path):
    """A path where something would be if anything had run."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


def test_the_bait_works(tmp_path):
    """Unpickled without care, it runs."""
    for i, load in enumerate((lambda p: pickle.loads(p.read_bytes()), lambda p: torch.load(p, weights_only=False))):
        bait = Runs(tmp_path / f"ran{i}")
        (tmp_path / "x").write_bytes(pickle.dumps(bait)) if i == 0 else torch.save(bait, tmp_path / "x")
        load(tmp_path / "x")
        assert (tmp_path / f"ran{i}").exists()


def pickled(content, path):
    path.write_bytes(pickle.dumps(content))


def saved(content, path):
    torch.save(content, path)


def saved_as_before(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def deep(content, path):
    torch.save({"data": [[torch.zeros(1), torch.zeros(1)], {"x": ((content,),)}]}, path)


def scalar_of_objects(content, path):
    """Where numpy's numbers are let through, an object in the place of a number."""
    torch.save({"accs_all_exps": {"ConvNet": [np.float64(0.1), np.array(content, dtype=object)]}}, path)


def hidden_in_a_zip(content, path):
    """An archive as torch has it, the pickle of which was exchanged."""
    torch.save(torch.zeros(1), path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, pickle.dumps(content, 2) if name.endswith("data.pkl") else data)


PLACES = [pickled, saved, saved_as_before, deep, scalar_of_objects, hidden_in_a_zip]


@pytest.mark.parametrize("put", PLACES, ids=lambda f: f.__name__)
def test_pickles_do_not_run(tmp_path, ran, put):
    put(Runs(ran), tmp_path / "x.pt")
    for read in (read_torch, read_tensor):
        with pytest.raises(DccError, match=r"'.*x.pt' .*(nothing was executed|nothing in it was executed)"):
            read(tmp_path / "x.pt")


def test_what_would_run_is_named(tmp_path, ran):
    torch.save([Runs(ran)], tmp_path / "x.pt")
    with pytest.raises(DccError, match=r"'.*x.pt' is refused: it would run posix.mkdir; nothing was executed"):
        read_torch(tmp_path / "x.pt")


def test_objects_in_arrays_do_not_run(tmp_path, ran):
    np.savez(tmp_path / "x.npz", images=np.array([Runs(ran)]), labels=np.zeros(1))
    with pytest.raises(DccError, match=r"'.*x.npz' cannot be read: .*object arrays are not unpickled"):
        read_npz(tmp_path / "x.npz", "images", "labels")
    pickled(Runs(ran), tmp_path / "x.npz")
    with pytest.raises(DccError, match=r"'.*x.npz' cannot be read"):
        read_npz(tmp_path / "x.npz", "images")
    np.save(tmp_path / "x.npy", np.array([Runs(ran)]))
    with pytest.raises(DccError, match=r"'.*x.npy' cannot be read"):
        read_npz(tmp_path / "x.npy", "images")


FILES = {
    "vico": ("x.pt", field_files.vico, ["x.pt"]),
    "idc": ("x.pt", field_files.idc, ["x.pt"]),
    "mtt": ("run", field_files.mtt, ["run/images_best.pt", "run/labels_best.pt"]),
    "datm": ("run", field_files.datm, ["run/images_best.pt", "run/labels_best.pt", "run/lr_best.pt"]),
    "dd-ranking": ("run", field_files.dd_ranking, ["run/images.pt", "run/labels.pt", "run/lr.pt"]),
    "kip": ("x.npz", field_files.kip, ["x.npz"]),
}


@pytest.mark.parametrize(("name", "file"), [(n, f) for n, (_, _, files) in FILES.items() for f in files])
@pytest.mark.parametrize("put", [saved, hidden_in_a_zip], ids=lambda f: f.__name__)
def test_convert_runs_nothing(tmp_path, ran, name, file, put):
    """In every file of every format: one message, exit code 2, and no set file."""
    source, write, _ = FILES[name]
    write(tmp_path / source)
    put([torch.zeros(1), Runs(ran)], tmp_path / file)
    words = ["convert", tmp_path / source, tmp_path / "out", "--from", name, "--stats", "cifar10"]
    done = CliRunner().invoke(cli, [*map(str, words), *(["-o", "format.factor=1"] if name == "idc" else [])])
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert file.rpartition("/")[2] in done.stderr
    assert not (tmp_path / "out").exists()


def test_pictures_and_tables_run_nothing(tmp_path, ran, make_job, round_trip):
    """Parquet files can name extension types, whose description once was a pickle."""
    import pyarrow
    from pyarrow import parquet

    round_trip(field_files.condensed(make_job), "hf")
    (file,) = (tmp_path / "theirs" / "data").iterdir()
    table = parquet.read_table(file)
    bait = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Runs(ran), 0)}
    fields = [field.with_metadata(bait) for field in table.schema]
    parquet.write_table(pyarrow.Table.from_arrays(table.columns, schema=pyarrow.schema(fields)), file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(
            cli, ["convert", str(tmp_path / "theirs"), str(tmp_path / "out"), "--from", "hf", "--data", "mnist"]
        )
    assert "Traceback" not in done.stderr


def test_numbers_of_numpy_are_let_through(tmp_path):
    content = {"a": [np.float64(0.5), np.float32(0.25), np.int64(3), np.bool_(True)], "b": (1, "x", None)}
    torch.save(content, tmp_path / "x.pt")
    read = read_torch(tmp_path / "x.pt")
    assert read == {"a": [0.5, 0.25, 3, True], "b": [1, "x", None]}
    assert [type(v) for v in read["a"]] == [float, float, int, bool]


def test_numbers_of_older_numpy_are_let_through(tmp_path):
    """Before version 2 the module that makes them had another name."""
    torch.save([np.float64(0.5)], tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    assert b"cnumpy._core.multiarray\n" in content
    hidden = io.BytesIO(content)
    with zipfile.ZipFile(hidden) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as new:
        for name, data in members.items():
            new.writestr(name, data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert read_torch(tmp_path / "x.pt") == [0.5]


def nested():
    content = [0] * 10
    for _ in range(9):
        content = [content] * 10
    return content


def itself():
    content = []
    content.append(content)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            torch.zeros(1).expand(10**6, 3, 4, 4),
            "claims a tensor of shape .*, 192 MB, but holds 4 bytes",
        ),
        (torch.zeros(2, device="meta"), "holds a tensor of an unusual kind"),
        (torch.eye(3).to_sparse(), "holds a tensor of an unusual kind"),
        (nested(), "holds lists of more than 1,000,000 values"),
        (itself(), "cannot be read"),
        (np.zeros(3), "is refused: it would run numpy"),
        (torch.nn.Linear(1, 1), "is refused: it would run torch.nn.modules.linear.Linear"),
        ({"x": {1, 2}}, "holds a set; expected tensors, numbers and text"),
    ],
    ids=["expanded", "meta", "sparse", "nested", "itself", "array", "module", "set"],
)
def test_other_things_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(DccError, match=f"x.pt' {message}"):
        read_torch(tmp_path / "x.pt")


def test_a_tensor_is_asked_for(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "x.pt")
    with pytest.raises(DccError, match=r"x.pt' holds a list; expected a tensor"):
        read_tensor(tmp_path / "x.pt")
    with pytest.raises(DccError, match=r"there is no file '.*y.pt'"):
        read_torch(tmp_path / "y.pt")
    with pytest.raises(DccError, match="there is no file"):
        read_torch(tmp_path)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 junk", b"\x80\x02."])
def test_damaged_files_are_one_message(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    for read in (read_torch, lambda path: read_npz(path, "images")):
        with pytest.raises(DccError, match=r"x.pt' cannot be read: expected"):
            read(tmp_path / "x.pt")


def test_sizes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "MAX_BYTES", 4000)
    torch.save(torch.zeros(2000), tmp_path / "x.pt")
    with pytest.raises(DccError, match=r"x.pt' has 9.* kB; the limit is 4.0 kB"):
        read_torch(tmp_path / "x.pt")
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros(2000))
    assert (tmp_path / "x.npz").stat().st_size < 4000
    with pytest.raises(DccError, match=r"x.npz' would unpack to 16 kB; the limit is 4.0 kB"):
        read_npz(tmp_path / "x.npz", "images")


def test_torch_compresses_nothing(tmp_path):
    torch.save(torch.zeros(10**5), tmp_path / "x.pt")
    assert read_tensor(tmp_path / "x.pt").shape == (10**5,)
    with (
        zipfile.ZipFile(tmp_path / "x.pt") as old,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DccError, match=r"y.pt' is a compressed archive, which torch.save never writes"):
        read_tensor(tmp_path / "y.pt")


def test_an_array_that_claims_more_than_it_has_is_damaged(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**7, 3, 32, 32)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(DccError, match=r"x.npz' cannot be read"):
        read_npz(tmp_path / "x.npz", "images")
