"""`dcc inspect`: everything that stands in a file is shown, what is wrong with it is said, damaged or not."""

import dataclasses
import json

import field_files
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from dcc_core import CondensedSet, DccError, load_set
from dcc_core.cli.app import cli
from dcc_core.sets import normalisation_of
from dcc_core.sets.condensed_set import METADATA_KEY
from dcc_plugins.commands.inspection import inspect_set
from dcc_plugins.exchange.conversion import convert


def dcc(*words):
    return CliRunner().invoke(cli, ["inspect", *map(str, words)])


@pytest.fixture
def s(make_job):
    made = field_files.condensed(make_job, loss="mtt", data="blobs")
    return made.with_scores(
        {"architecture": "convnet", "protocol": "dc", "accuracies": [0.5, 0.7], "mean": 0.6, "std": 0.1}
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set.safetensors"


def changed(s, path, tensors=None, without=(), **fields):
    """The set's file with other tensors and other metadata, as no `save` of ours would write it."""
    s.save(path)
    about = {"format": 1} | dataclasses.asdict(s.provenance) | fields
    about = {k: v for k, v in about.items() if k not in without}
    stored = {k: v for k, v in (s.stored | (tensors or {})).items() if k not in without}
    save_file({k: v.contiguous() for k, v in stored.items()}, path, {METADATA_KEY: json.dumps(about)})


def test_everything_is_shown(s, path):
    s.save(path)
    done = dcc(path)
    assert done.exit_code == 0, done.stderr
    p = s.provenance
    words = [
        p.method,
        p.data,
        "8, 8",
        *map(str, p.mean),
        str(p.seed),
        "blob 0, blob 1, blob 2",
        "stored images per class",
    ]
    words += ["step_size", p.versions["torch"], "images", "float32", "6×3×8×8", "owners", "convnet", "60.0", "10.0"]
    words += [*p.config, "notes" if p.notes else ""]
    assert [word for word in words if word not in done.stdout] == []
    assert "is not installed here" in done.stdout  # the toys are not


def test_json_holds_it_all(s, path, registry):
    s.save(path)
    done = dcc(path, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["file"], found["bytes"]) == (str(path), path.stat().st_size)
    fields = {name: value for name, value in dataclasses.asdict(s.provenance).items() if name != "labels"}
    assert found["about"] == json.loads(json.dumps({"format": 1} | fields))
    images = found["tensors"]["images"]
    assert images["shape"] == [6, 3, 8, 8]
    assert images["least"] == pytest.approx(s.images.min().item())
    assert images["not_finite"] == 0
    assert found["stored_images"] == [2, 2, 2]
    assert inspect_set(path, registry).findings == ()


def test_the_images_are_drawn(s, path, tmp_path, make_job, registry):
    s.save(path)
    done = dcc(path, "--grid", tmp_path / "grid.png")
    assert done.exit_code == 0, done.stderr
    assert Image.open(tmp_path / "grid.png").size[1] > 3 * 64
    changed(s, path, {"images": s.images.clone().fill_(torch.nan)})
    assert inspect_set(path, registry).grid(registry).startswith(b"\x89PNG")
    half = make_job({"param": "scaled", "loss": "means"}).condense()
    half.save(path)
    assert "images" not in half.stored
    assert inspect_set(path, registry).grid(registry).startswith(b"\x89PNG")
    for tensors, fields in (({}, {"without": ("owners",)}), ({"owners": torch.zeros(0).long()}, {"class_names": []})):
        changed(s, path, tensors, **fields)
        done = dcc(path, "--grid", tmp_path / "none.png")
        assert done.exit_code == 2
        assert "cannot be drawn" in done.stderr
        assert not (tmp_path / "none.png").exists()
    changed(s, path, without=("images",))
    done = dcc(path, "--grid", tmp_path / "none.png")
    assert done.exit_code == 2
    assert "cannot be decoded by its parametrisation, 'identity', from its tensors labels, owners" in done.stderr


def test_whitened_images_are_drawn_and_warned_of(path, tmp_path, registry):
    field_files.kip(tmp_path / "kip.npz", size=8)
    convert(tmp_path / "kip.npz", path, source_format="kip", registry=registry)
    found = inspect_set(path, registry)
    assert found.findings == ("images are ZCA-whitened: the set cannot be scored on images without the same whitening",)
    assert found.grid(registry).startswith(b"\x89PNG")
    assert "note" in dcc(path).stdout


FINDINGS = {
    "NaN": ({"images": torch.full((6, 3, 8, 8), torch.nan)}, {}, "1152 values of 'images' are NaN or infinite"),
    "bytes": (
        {"images": torch.rand(6, 3, 8, 8) * 255},
        {},
        "images range from .* they are probably not in unit space",
    ),
    "normalised": (
        {"images": (torch.rand(6, 3, 8, 8) - 0.5) / 0.25},
        {"mean": [0.5] * 3, "std": [0.25] * 3},
        "the images' mean is [12].[0-9] std away from the data's: they are probably not in unit space, or",
    ),
    "other statistics": ({}, {"mean": [0.9] * 3, "std": [0.05] * 3}, "std away from the data's"),
    "unequal": (
        {"owners": torch.tensor([0, 0, 0, 1, 1, 2]), "labels": torch.tensor([0, 0, 0, 1, 1, 2])},
        {},
        "classes differ in size: 1 to 3 stored images",
    ),
    "unfinished": ({}, {"finished": False}, "it is unfinished: it holds the images at the time"),
    "labels": ({"labels": torch.full((6, 3), 0.4)}, {}, "soft labels of 6 images are not probabilities"),
    "statistics": ({}, {"without": ("mean", "std")}, "mean and std of the data are missing: how to normalise"),
    "components": ({}, {"config": {"loss": "magic", "data": "blobs"}}, "was made with loss 'magic', which is not inst"),
    "param": (
        {},
        {"config": {"param": "magic"}},
        "'magic', which is not installed here, and decoding needs it",
    ),
    "newer": ({}, {"format": 9}, "dcc rejects it: .* has format 9; this version of dcc reads format 1"),
    "owners": ({}, {"without": ("owners",)}, "dcc rejects it: .*is damaged: KeyError: 'owners'"),
    "names": ({}, {"class_names": "ant"}, "dcc rejects it: .*class_names"),
}


@pytest.mark.parametrize(("tensors", "fields", "finding"), FINDINGS.values(), ids=FINDINGS)
def test_trouble_is_found(s, path, registry, tensors, fields, finding):
    changed(s, path, tensors, **fields)
    with pytest.raises(AssertionError, match=finding):
        raise AssertionError("\n".join(inspect_set(path, registry).findings))
    done = dcc(path)
    assert done.exit_code == 0, done.stderr
    assert "warning: " in done.stdout
    done = dcc(path, "--check")
    assert done.exit_code == 1
    assert f"problem(s) found in '{path}'" in done.stderr
    done = dcc(path, "--json", "--check")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"]


def test_a_good_set_passes_the_check(make_job, path):
    s = make_job({"data": "digits", "data.classes": (3, 8), "loss": "collective", "run.inner_loops": 1}).condense()
    s.save(path)
    done = dcc(path, "--check")
    assert done.exit_code == 0, done.stdout
    assert "no problems found" in done.stdout


@pytest.mark.parametrize("metadata", [None, {METADATA_KEY: "{"}, {METADATA_KEY: "[1]"}, {METADATA_KEY: '{"mean": 3}'}])
def test_metadata_that_cannot_be_read_are_a_finding(s, path, metadata):
    save_file(dict(s.stored), path, metadata)
    done = dcc(path)
    assert done.exit_code == 0, done.stderr
    assert "images" in done.stdout
    assert "warning: dcc rejects it" in done.stdout


@pytest.mark.parametrize(
    "tensors",
    [
        {"images": torch.zeros(0, 3, 8, 8)},
        {"owners": torch.zeros(0).long()},
        {"owners": torch.tensor([10**15] * 6)},
        {"owners": torch.tensor([-1] * 6)},
        {"labels": torch.zeros(0, 0)},
        {"images": torch.zeros(3)},
        {"more": torch.zeros(2, dtype=torch.complex64)},
        {"more": torch.zeros(2, dtype=torch.bool)},
        {"more": torch.zeros((), dtype=torch.float16)},
    ],
    ids=lambda t: f"{next(iter(t))} {tuple(next(iter(t.values())).shape)}",
)
def test_strange_tensors_are_shown(s, path, tensors):
    changed(s, path, tensors)
    done = dcc(path, "--json")
    assert done.exit_code == 0, done.stderr
    assert next(iter(tensors)) in json.loads(done.stdout)["tensors"]
    assert dcc(path).exit_code == 0


def test_a_file_gives_no_orders_to_the_terminal(s, path):
    changed(s, path, method="\x1b[2Jgone", notes=["\x07bell"], config={"loss": "\x1b]0;title\x07"})
    done = dcc(path)
    assert "[2Jgone" in done.stdout
    assert not {"\x1b", "\x07"} & set(done.stdout)


def test_unknown_fields_are_named_and_no_trouble(s, path, registry):
    changed(s, path, colour="blue")
    assert load_set(path).provenance == load_set(path).provenance
    assert inspect_set(path, registry).findings == ()
    text = dcc(path).stdout
    assert "unknown fields" in text
    assert "colour" in text


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_files_that_cannot_be_read_are_exit_code_2(path, content):
    if content is not None:
        path.write_bytes(content)
    done = dcc(path)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: set file '{path}' cannot be read")
    assert done.stdout == ""


def test_dataset_of_any_set(make_job, registry):
    """Decoded where it is parametrised, in float32, normalised or not."""
    for options in ({}, {"param": "half", "loss": "means"}, {"param": "scaled", "loss": "means"}):
        job = make_job({**options, "run.inner_loops": 1})
        s = job.condense()
        expected = job.decode(s)
        images, labels = s.dataset(registry=registry).tensors
        assert images.dtype == torch.float32
        assert torch.allclose(images.double(), expected.images.cpu(), atol=1e-6)
        assert torch.equal(labels, expected.labels.cpu())
        unit = normalisation_of(s, job.device, job.dtype).to_unit(expected.images)
        own, _ = s.dataset(normalised=False, registry=registry).tensors
        assert torch.allclose(own.double(), unit.cpu(), atol=1e-6)
    with pytest.raises(DccError, match="no parametrisation named 'scaled'"):
        s.dataset()


def test_a_plain_set_in_unit_space_is_as_it_is_stored(make_job):
    s = field_files.condensed(make_job)
    images, labels = s.dataset(normalised=False).tensors
    assert torch.equal(images, s.images)
    assert len(s.dataset()) == 6
    soft = CondensedSet({**s.stored, "labels": torch.full((6, 3), 1 / 3)}, s.provenance)
    assert soft.dataset()[0][1].dtype == torch.float32
    assert labels.dtype == torch.int64
