"""Classes of very different sizes, very few images, very many classes: each works or is refused at once."""

import numpy as np
import pytest
from PIL import Image

from dcc_core import DccError
from dcc_core.testing import job_of


def folder_of(place, *counts):
    """A folder with a class of as many images as each number says."""
    for k, count in enumerate(counts):
        (place / f"{k:05}").mkdir()
        for i in range(count):
            pixels = np.full((4, 4), (7 * k + i) % 256, np.uint8)
            Image.fromarray(pixels).save(place / f"{k:05}" / f"{i}.png", compress_level=0)
    return f"folder:{place}"


def job(data, **options):
    small = {"arch": "mlp", "run.outer_loops": 1, "run.inner_loops": 1, "run.network_steps": 0, "run.real_batch": 64}
    return job_of({"data": data, "data.channels": None, **small, **options})


@pytest.mark.parametrize("options", [{}, {"loss": "collective"}, {"aug": "dsa"}, {"run.init": "k-center"}])
def test_five_images_beside_five_hundred(tmp_path, options):
    s = job(folder_of(tmp_path, 5, 500), **{"run.ipc": 4, **options}).condense()
    assert s.stored["images"].shape[0] == 8
    assert np.isfinite(s.stored["images"].numpy()).all()


def test_more_images_per_class_than_the_smallest_class_has(tmp_path):
    """A fifth of a class is for testing."""
    data = folder_of(tmp_path, 5, 500)
    for init in ("real", "noise"):
        with pytest.raises(DccError, match=r"run.ipc: 10 images per class, but class '00000' .* has 4; give at most 4"):
            job(data, **{"run.ipc": 10, "run.init": init})
    assert job(data, **{"run.ipc": 4, "run.init": "noise"}).condense().stored["images"].shape[0] == 8


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([20], "1 class with images is left; at least two are needed"),
        ([1, 1], "has one image of each class, none to test with; give more, or a test part"),
        ([2], "1 class with images is left; at least two are needed"),
    ],
)
def test_too_little_to_begin_with(tmp_path, counts, message):
    with pytest.raises(DccError, match=message):
        job(folder_of(tmp_path, *counts), **{"run.ipc": 1})


def test_two_thousand_classes(tmp_path):
    s = job(folder_of(tmp_path, *[2] * 2000), **{"run.ipc": 1, "loss": "collective"}).condense()
    assert s.stored["images"].shape[0] == 2000
