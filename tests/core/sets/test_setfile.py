"""Set files: round trips, stable bytes, and damaged input."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dcc_core import CondensedSet, DccError, load_set
from dcc_core.sets.condensed_set import Provenance


def make(soft=False, **fields):
    images = torch.rand(4, 3, 5, 6) * 1.4 - 0.2
    owners = torch.tensor([0, 0, 1, 1])
    stored = {"images": images, "labels": torch.rand(4, 2) if soft else owners.clone(), "owners": owners}
    provenance = Provenance(
        method="collective+dsa",
        data="toy",
        class_names=("ant", "bée"),
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        size=(5, 6),
        seed=3,
        **{"config": {"loss": "collective", "run.ipc": 2}, "learned": {"step_size": 0.5}, **fields},
    )
    return CondensedSet(stored, provenance)


@pytest.mark.parametrize("soft", [False, True])
def test_round_trip(tmp_path, soft):
    path = tmp_path / "x.safetensors"
    written = make(soft).with_scores({"mean": 0.5, "accuracies": [0.4, 0.6]})
    written.save(path)
    read = load_set(path)
    assert read.provenance == written.provenance
    assert read.stored.keys() == written.stored.keys()
    assert all(torch.equal(read.stored[k], written.stored[k]) for k in read.stored)
    assert torch.equal(read.owners, torch.tensor([0, 0, 1, 1]))
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_plain_safetensors_and_json_read_it(tmp_path):
    make().save(tmp_path / "x.safetensors")
    with safe_open(tmp_path / "x.safetensors", framework="np") as file:
        about = json.loads(file.metadata()["dcc"])
        assert file.get_tensor("images").shape == (4, 3, 5, 6)
    assert about["class_names"] == ["ant", "bée"]
    assert about["mean"] == [0.1, 0.2, 0.3]
    assert about["format"] == 1


def test_equal_sets_give_equal_bytes():
    s = make()
    again = CondensedSet(dict(reversed(s.stored.items())), s.provenance)
    assert s.to_bytes() == again.to_bytes()
    assert s.to_bytes() != CondensedSet({**s.stored, "images": s.images + 1e-6}, s.provenance).to_bytes()


def rewritten(path, tensors=None, **changes):
    s = make()
    with_file = path.parent / "good.safetensors"
    s.save(with_file)
    with safe_open(with_file, framework="pt") as file:
        fields = json.loads(file.metadata()["dcc"])
    fields.update(changes)
    save_file({**s.stored, **(tensors or {})}, path, {"dcc": json.dumps(fields)})


@pytest.mark.parametrize(
    ("changes", "tensors", "message"),
    [
        ({"format": 2}, {}, "has format 2; this version of dcc reads format 1"),
        ({"mean": "grey"}, {}, "damaged.*mean"),
        ({"seed": "x"}, {}, "damaged: seed: Input should be a valid integer"),
        ({"class_names": ["a", "b", "c"]}, {}, "every one of the 3 classes needs at least one image"),
        ({"class_names": ["a"]}, {}, "every one of the 1 classes"),
        ({"mean": [0.5]}, {}, "one number per channel"),
        ({"std": [0.5, 0, 1]}, {}, "std positive"),
        ({"mean": [0.5], "std": [0.5]}, {}, "expected floating point"),
        ({}, {"images": torch.zeros(4, 3, 5, 6, dtype=torch.uint8)}, "images are torch.uint8"),
        ({}, {"images": torch.full((4, 3, 5, 6), torch.nan)}, "images hold NaN or infinite"),
        ({}, {"images": torch.zeros(3, 3, 5, 6)}, "images are"),
        ({}, {"labels": torch.tensor([0, 1])}, "labels have shape"),
        ({}, {"labels": torch.tensor([0, 0, 1, 2])}, "labels lie outside 0 to 1"),
        ({}, {"labels": torch.full((4, 2), torch.inf)}, "labels hold NaN or infinite"),
        ({}, {"owners": torch.tensor([1, 0, 0, 1])}, "ascending"),
        ({}, {"owners": torch.tensor([-1, 0, 0, 1])}, "every one of the 2 classes"),
        ({}, {"owners": torch.zeros(0, dtype=torch.int64)}, "every one of the 2 classes"),
        ({}, {"owners": torch.rand(4)}, "owners are torch.float32"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path, changes, tensors, message):
    path = tmp_path / "x.safetensors"
    rewritten(path, tensors, **changes)
    with pytest.raises(DccError, match=message):
        load_set(path)


def test_files_that_are_no_sets_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(DccError, match=r"set file '.*x.safetensors' cannot be read"):
        load_set(path)
    for content in (b"", b"garbage", make().to_bytes()[:-20]):
        path.write_bytes(content)
        with pytest.raises(DccError, match="cannot be read"):
            load_set(path)
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(DccError, match="not a condensed set"):
        load_set(path)
    save_file({"weight": torch.zeros(1)}, path, {"dcc": "{"})
    with pytest.raises(DccError, match="is damaged"):
        load_set(path)


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(DccError, match="cannot write"):
        make().save(tmp_path / "missing" / "x.safetensors")
