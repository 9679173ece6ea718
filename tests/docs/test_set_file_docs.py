"""docs/set-file.md: its reader, as it stands, reads fresh set files without dcc; its tables name what there is."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcc_core import load_set
from dcc_core.sets.condensed_set import FORMAT, WHITENED, Provenance
from dcc_plugins.exchange.formats import RAW

PAGE = (Path(__file__).parents[2] / "docs" / "set-file.md").read_text()
(READER,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture
def reader():
    names = {}
    exec(compile(READER, "set-file.md", "exec"), names)
    return names["read_set"]


@pytest.fixture
def fresh(make_job, tmp_path):
    """A set that was just condensed, and its file."""
    small = {"run.ipc": 2, "run.inner_loops": 1, "run.network_steps": 0, "run.precision": "float32"}
    job = make_job(small)
    s = job.condense()
    s.save(tmp_path / "set.safetensors")
    return job, s, tmp_path / "set.safetensors"


def test_it_is_short_and_needs_no_dcc():
    assert len(READER.splitlines()) <= 30
    assert "dcc_" not in READER
    assert "torch" not in READER


def test_it_reads_what_dcc_reads(reader, fresh):
    job, s, path = fresh
    images, labels, about = reader(path)
    expected = job.decode(s)
    assert np.allclose(images, expected.images.numpy(), rtol=0, atol=1e-5)
    assert labels.tolist() == expected.labels.tolist()
    assert tuple(about["class_names"]) == s.class_names
    own, targets = load_set(path).dataset().tensors
    assert np.allclose(images, own.numpy(), rtol=0, atol=1e-5)
    assert labels.tolist() == targets.tolist()


def test_it_runs_where_neither_dcc_nor_torch_is(fresh, tmp_path):
    _, s, path = fresh
    code = (
        "import sys; sys.modules['torch'] = sys.modules['dcc_core'] = None\n"
        f"{READER}\nimages, labels, about = read_set({str(path)!r})\nprint(images.shape, labels.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tuple(s.images.shape)} {tuple(s.labels.shape)}\n"


def test_it_refuses_what_it_cannot_read(reader, fresh, make_job, tmp_path, monkeypatch):
    _, s, _ = fresh
    half = make_job({"param": "half", "loss": "means"}).condense()
    half.save(tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match="decoded by the parametrisation half"):
        reader(tmp_path / "half.safetensors")
    monkeypatch.setattr("dcc_core.sets.condensed_set.FORMAT", FORMAT + 1)
    s.save(tmp_path / "newer.safetensors")
    with pytest.raises(ValueError, match="has format 2"):
        reader(tmp_path / "newer.safetensors")


def test_whitened_images_come_as_they_are(reader, fresh, tmp_path):
    _, s, _ = fresh
    stored = {WHITENED: s.images, "labels": s.labels, "owners": s.owners}
    dataclasses.replace(s, stored=stored).save(tmp_path / "whitened.safetensors")
    images, _, _ = reader(tmp_path / "whitened.safetensors")
    assert np.array_equal(images, s.images.numpy())


def test_every_field_and_tensor_is_described():
    described = re.findall(r"^\| (`[^|]*`) \|", PAGE, re.M)
    named = {name for cell in described for name in re.findall(r"`(\w+)`", cell)}
    fields = {field.name for field in dataclasses.fields(Provenance)} | {"format"}
    tensors = {"owners", "images", "labels", "shared_grey", "shared_size", "crop_logits", WHITENED, *RAW.values()}
    assert named == fields | tensors
    assert f"**format {FORMAT}**" in PAGE


def test_fields_that_are_always_there_are_those_without_default():
    (sentence,) = re.findall(r"^(`format`.*?) are always there", PAGE, re.M | re.S)
    needed = {f.name for f in dataclasses.fields(Provenance) if f.default is f.default_factory is dataclasses.MISSING}
    assert set(re.findall(r"`(\w+)`", sentence)) == needed | {"format"}
