"""A condensed set in other libraries: torch's loaders, ImageFolder, NumPy, Hugging Face's datasets, a notebook."""

import base64
import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as F

from dcc_core import CondensedSet, DccError, Provenance, condense

NAMES = ("ant", "bee <b>", "cat")


@pytest.fixture
def made():
    """Two images of each class, some values outside 0..1, that have been scored."""
    labels = torch.arange(3).repeat_interleave(2)
    stored = {
        "images": torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1,
        "labels": labels,
        "owners": labels,
    }
    about = Provenance(
        method="toy & co", data="toys", class_names=NAMES, mean=(0.5,) * 3, std=(0.25,) * 3, size=(8, 8), seed=0
    )
    return CondensedSet(stored, about).with_scores({"architecture": "mlp", "protocol": "dc", "mean": 0.625})


def test_a_loader_gives_normalised_batches_in_the_order_of_its_seed(made):
    first, again, other = (torch.cat([x for x, _ in made.loader(4, seed=seed)]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    in_order = made.loader(4, shuffle=False, drop_last=True)
    assert [len(y) for _, y in in_order] == [4]
    x, y = next(iter(in_order))
    assert torch.allclose(x, (made.images[:4] - 0.5) / 0.25, atol=1e-6)
    assert y.tolist() == [0, 0, 1, 1]


def test_numpy_has_what_is_stored(made):
    images, labels = made.to_numpy()
    assert images.dtype == np.float32
    assert np.allclose(images, made.images.numpy(), atol=1e-7)
    assert labels.tolist() == made.labels.tolist()


def test_a_folder_is_torchvisions(made, tmp_path):
    lost = made.to_folder(tmp_path / "new" / "folder")
    assert "lay outside 0..1 and are clipped" in lost[0]
    read = ImageFolder(tmp_path / "new" / "folder")
    assert [label for _, label in read] == made.labels.tolist()
    shown = torch.stack([F.to_tensor(picture) for picture, _ in read])
    assert torch.allclose(shown, made.images.clamp(0, 1), atol=0.6 / 255)
    with pytest.raises(DccError, match="exists"):
        made.to_folder(tmp_path / "new" / "folder")
    made.to_folder(tmp_path / "mtt", format="mtt")
    assert {p.name for p in (tmp_path / "mtt").iterdir()} == {"images_best.pt", "labels_best.pt"}
    with pytest.raises(DccError, match=r"no format named 'pgn'\. Did you mean 'png'"):
        made.to_folder(tmp_path / "x", format="pgn")


def test_datasets_have_features_and_come_back(made):
    pytest.importorskip("datasets")
    found = made.to_datasets()
    assert found.features["label"].names == list(NAMES)
    assert found["label"][:] == made.labels.tolist()
    shown = torch.stack([F.to_tensor(picture) for picture in found["image"]])
    assert torch.allclose(shown, made.images.clamp(0, 1), atol=0.6 / 255)
    again = condense(data=found, ipc=1, outer_loops=1, inner_loops=1, options={"arch.width": 4, "arch.depth": 1})
    assert again.class_names == NAMES


def test_soft_labels_are_a_column_of_their_own(made):
    pytest.importorskip("datasets")
    shares = torch.eye(3)[made.owners] * 0.8 + 0.2 / 3
    soft = CondensedSet({**made.stored, "labels": shares}, made.provenance).to_datasets()
    assert soft["label"][:] == made.owners.tolist()
    assert torch.allclose(torch.tensor(soft["probabilities"][:]), shares)


def test_a_missing_package_is_one_error(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DccError, match=re.escape("pip install 'dataset-condensation[hf]'")):
        made.to_datasets()


def test_a_notebook_shows_images_method_and_scores(made):
    page = made._repr_html_()
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.height > 3 * 64
    assert "toy &amp; co on toys: 6 images of 3 classes" in page
    assert "mlp, protocol dc: 62.5 %" in page
    stored = {name: t for name, t in made.stored.items() if name != "images"}
    bare = CondensedSet(stored, made.provenance)._repr_html_()
    assert "toy &amp; co" in bare
    assert "<img" not in bare
