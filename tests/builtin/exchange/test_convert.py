"""`dcc convert`: statistics, names, messages, and what stands at the target; converted sets are used."""

import json
import shlex
from pathlib import Path

import field_files
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from field_files import MEAN, STD, condensed, statistics
from PIL import Image

from dcc_core import DccError, load_set
from dcc_core.cli.app import cli
from dcc_plugins.exchange.conversion import convert


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ("cifar10", (MEAN, STD)),
        ("cifar100", ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762))),
        ("svhn", ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))),
        ("mean=0.1,0.2,0.3 std=0.4,0.5,0.6", ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
        ("mean=0.1, 0.2, 0.3; std=0.4,0.5,.6", ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
        ("mean=0.1,0.2,0.3,std=0.4,0.5,0.6", ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))),
    ],
)
def test_statistics_by_name_or_number(tmp_path, import_set, stats, expected):
    """CIFAR-100's two as well: its own, and CIFAR-10's."""
    field_files.mtt(tmp_path / "run", classes=100, ipc=1, size=4)
    p = import_set(tmp_path / "run", "mtt", stats=stats, data="cifar100").provenance
    assert (p.mean, p.std) == expected
    assert p.class_names[0] == "apple"


@pytest.mark.parametrize(
    ("stats", "message"),
    [
        (
            None,
            "--stats is needed: mtt files hold images normalised by an unknown .*CIFAR-100",
        ),
        ("cifar1", "--stats 'cifar1' is neither 'mean=... std=...' nor a data source: .*Did you mean 'cifar10'"),
        ("mean=0.1,x,0.3 std=1,1,1", "could not convert string to float: 'x'; expected mean=0.5,0.5,0.5"),
        ("mean=0.1,0.2 std=0.1", "expected one mean and one std per channel"),
        ("mean=125,122,113 std=51,50,51", "of images scaled to 0..1"),
        ("mean=0.1,0.2,0.3 std=0,1,1", "std above 0"),
        ("mean=nan,0.2,0.3 std=1,1,1", "scaled to 0..1"),
        ("mnist", "images have 3 channels, mean and std 1"),
    ],
)
def test_statistics_are_asked_for_and_checked(tmp_path, import_set, stats, message):
    """Even where the data source is named: the field normalises one data set in two ways."""
    field_files.mtt(tmp_path / "run")
    with pytest.raises(DccError, match=message):
        import_set(tmp_path / "run", "mtt", stats=stats, data="cifar10")


def test_statistics_that_undo_nothing_are_refused(tmp_path, import_set):
    field_files.kip(tmp_path / "kip.npz")
    with pytest.raises(DccError, match="--stats: the images are whitened, which mean and std cannot undo"):
        import_set(tmp_path / "kip.npz", "kip", stats="cifar10")


def test_names_of_classes(tmp_path, import_set):
    field_files.mtt(tmp_path / "run", classes=3)
    p = import_set(tmp_path / "run", "mtt", stats="cifar10").provenance
    assert (p.class_names, p.data, dict(p.config)) == (("class 0", "class 1", "class 2"), "unknown", {})
    assert p.notes == ("classes have no names: --data or --class-names gives them, and scoring needs them",)
    p = import_set(tmp_path / "run", "mtt", stats="cifar10", class_names=["ant", "bee", "cat"]).provenance
    assert p.class_names == ("ant", "bee", "cat")
    with pytest.raises(DccError, match="every one of the 10 classes needs at least one image"):
        import_set(tmp_path / "run", "mtt", stats="cifar10", data="cifar10")
    with pytest.raises(DccError, match="labels go from 0 to 2, but there are 2 classes"):
        import_set(tmp_path / "run", "mtt", stats="cifar10", class_names=["ant", "bee"])
    with pytest.raises(DccError, match=r"the class name 'a\\x1b\[31m' cannot be written as text"):
        import_set(tmp_path / "run", "mtt", stats="cifar10", class_names=["a\x1b[31m", "b", "c"])
    field_files.datm(tmp_path / "soft", classes=3)
    with pytest.raises(DccError, match="labels are for 3 classes, but 2 class names are given"):
        import_set(tmp_path / "soft", "datm", stats="cifar10", class_names=["ant", "bee"])


def test_options_of_the_data_source_are_carried_out(tmp_path, import_set):
    """A set of some classes of a data set, which has to be there for that."""
    field_files.vico(tmp_path / "res.pt", classes=2, size=8)
    content = torch.load(tmp_path / "res.pt", weights_only=False)
    content["data"][-1][0] = content["data"][-1][0][:, :1]
    torch.save(content, tmp_path / "res.pt")
    p = import_set(
        tmp_path / "res.pt", "vico", stats="digits", data="digits", options={"data.classes": "3,8"}
    ).provenance
    assert p.class_names == ("3", "8")
    assert p.config["data.classes"] == ["3", "8"]


def test_paths_of_data_stay_out(tmp_path, import_set):
    """Of a folder that names the data, the last part alone."""
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[0] = 255
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=[0, 0, 1, 1], x_test=images, y_test=[0, 0, 1, 1])
    (tmp_path / "p" / "0").mkdir(parents=True)
    (tmp_path / "p" / "1").mkdir()
    for k in "01":
        Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "p" / k / "0.png")
    p = import_set(tmp_path / "p", "png", data=f"npz:{tmp_path / 'mine.npz'}").provenance
    assert p.data == "npz:mine.npz"
    assert str(tmp_path) not in json.dumps(dict(p.config))


def dcc(*words):
    return CliRunner().invoke(cli, [str(w) for w in words])


def test_imported_sets_are_scored_and_begun_from(real_data, tmp_path):
    """On CIFAR-10: `dcc eval`, and `--init`; the set says itself what data it is of."""
    field_files.vico(tmp_path / "res.pt")
    out = tmp_path / "vico.safetensors"
    done = dcc("convert", tmp_path / "res.pt", out, "--from", "vico", "--stats", "cifar10", "--data", "cifar10")
    assert done.exit_code == 0, done.stderr
    small = [
        "--data-root",
        real_data,
        "--nets",
        1,
        "--protocol",
        "dc",
        "-o",
        "arch.width=4",
        "-o",
        "score.baseline=false",
    ]
    done = dcc("eval", out, "--data", "cifar10", *small, "--json", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert 0 < json.loads(done.stdout)["accuracy"]["condensed"]["mean"] < 0.3
    small[2:4] = [
        "--eval-nets",
        1,
        "--outer-loops",
        1,
        "--inner-loops",
        1,
        "--network-steps",
        0,
        "-o",
        "run.real_batch=4",
    ]
    done = dcc("run", "--data", "cifar10", "--init", out, "--sets", 1, *small, "--out", tmp_path / "run", "--quiet")
    assert done.exit_code == 0, done.stderr
    began, ended = load_set(out), load_set(tmp_path / "run" / "set.safetensors")
    assert 0 < (began.images - ended.images).abs().max() < 1


def test_imported_sets_are_scored_and_begun_from_without_files(tmp_path, make_job, round_trip):
    """The same on data that are always there."""
    s = condensed(make_job)
    back, _ = round_trip(s, "mtt", stats=statistics(s), class_names=s.class_names)
    job = make_job({"data.channels": 3, "run.ipc": 2, "run.init": str(tmp_path / "read.safetensors")})
    assert 0 <= job.scorer(back).score(job.decode(back), 1).mean <= 1
    began = job.real.normalisation.to_unit(job.start().synthetic.stored["images"])
    assert torch.allclose(began.cpu(), s.images.double(), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a b", "Error: convert: name a format with --from to read it, or with --to to write it"),
        ("a b --from vico --to mtt", "Error: convert: 'vico' to 'mtt' takes two steps, via a set file"),
        ("a b --from vicco", "Error: no format named 'vicco'. Did you mean 'vico'?"),
        ("a b --from vico", "Error: 'a' does not exist"),
        ("a b --to vico", "Error: set file 'a' cannot be read"),
        ("a b --from idc -o format.factor=0", "Error: format.factor: '0' is not an integer >= 1."),
        ("a b --from idc -o format.facto=2", "Error: 2 options are wrong"),
        ("a b --from vico -o run.ipc=2", "Error: run.ipc: convert only takes options of format and data."),
        ("a b --from vico -o formt.x=2", "Did you mean 'format'?"),
        ("a b --from vico -o data.classes=3", "Error: data.classes: no data source is given; name it with --data"),
        ("a b --from vico --data cifar1", "Error: no data named 'cifar1'. Did you mean 'cifar10'?"),
        ("a b --to vico --data cifar10", "Error: convert: --data and --class-names are only for reading"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = dcc("convert", *shlex.split(words))
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error: ") == 1
    assert not any(tmp_path.iterdir())


def test_files_are_replaced_when_asked(tmp_path, registry):
    field_files.vico(tmp_path / "res.pt", size=4)
    target = tmp_path / "x.safetensors"
    target.write_text("precious")
    words = ["convert", tmp_path / "res.pt", target, "--from", "vico", "--stats", "cifar10"]
    done = dcc(*words)
    assert done.exit_code == 2
    assert f"'{target}' exists already; name another place, or add --overwrite" in done.stderr
    assert target.read_text() == "precious"
    done = dcc(*words, "--overwrite", "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["classes"], said["rows"], said["out"]) == (10, 10, str(target))
    assert len(load_set(target).images) == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == ["res.pt", "x.safetensors"]


def test_folders_are_replaced_only_by_what_has_all_their_files(tmp_path, make_job, registry):
    s = condensed(make_job)
    s.save(tmp_path / "s.safetensors")
    folder = tmp_path / "pictures"

    def write(name="png", **more):
        convert(tmp_path / "s.safetensors", folder, target_format=name, registry=registry, **more)

    folder.mkdir()
    write()
    assert (folder / "blob 0" / "0.png").exists()
    with pytest.raises(DccError, match="exists already"):
        write()
    write(overwrite=True)
    (folder / "holiday.jpg").write_text("precious")
    with pytest.raises(
        DccError, match=r"holds 'holiday.jpg', which this set has not; remove it, or name another place"
    ):
        write(overwrite=True)
    with pytest.raises(DccError, match="pictures' is a folder, and what is to be written a file; remove it"):
        write("vico", overwrite=True)
    assert (folder / "holiday.jpg").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pictures", "s.safetensors"]


def test_notes_are_shown(tmp_path, make_job):
    condensed(make_job).save(tmp_path / "s.safetensors")
    done = dcc("convert", tmp_path / "s.safetensors", tmp_path / "p", "--to", "png")
    assert done.exit_code == 0, done.stderr
    assert "note: values are rounded to 8 bits" in done.stdout
    assert f"wrote {tmp_path / 'p'}: 6 stored images of 3 classes" in done.stdout


def test_the_folder_of_the_new_file_is_made(tmp_path):
    """As other commands do; of a source that is not there nothing is left."""
    target = tmp_path / "not" / "there" / "set.pt"
    source = Path(__file__).parents[2] / "written_by_0_1" / "finished" / "set.safetensors"
    with pytest.raises(DccError, match="cannot be read"):
        convert(tmp_path / "missing.safetensors", target, target_format="vico")
    assert not target.parent.exists()
    convert(source, target, target_format="vico")
    assert target.exists()
