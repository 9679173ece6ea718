"""The sources and the main job on real images: CIFAR-10, MNIST, ImageNet insects."""

import json
import shlex

import pytest
import torch
from click.testing import CliRunner
from paper_groups import GROUPS

from dcc_core.data.source_options import apply_source_options
from dcc_plugins.commands.run import run
from dcc_plugins.data.folder import ImageFolder
from dcc_plugins.data.imagenet32 import ImageNet32
from dcc_plugins.data.torchvision_sets import Cifar10, Mnist
from dcc_plugins.data.wordnet import wordnet


def load(source, root):
    return source.load(root=root, download=False, progress=False)


def test_cifar10(real_data):
    data = load(Cifar10(), real_data)
    assert data.train.images.shape == (50_000, 3, 32, 32)
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.class_names == Cifar10().published().class_names
    computed = apply_source_options(Cifar10(statistics="computed"), data)
    assert computed.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-4)


def test_mnist(real_data):
    data = load(Mnist(), real_data)
    assert data.train.images.shape == (60_000, 1, 28, 28)
    assert len(data.test.labels) == 10_000
    computed = apply_source_options(Mnist(statistics="computed"), data)
    assert (computed.mean[0], computed.std[0]) == pytest.approx((0.1307, 0.3081), abs=1e-4)


def by_content(part, names):
    """Images as bytes with their class's name, sorted."""
    return sorted((x.numpy().tobytes(), names[y]) for x, y in zip(part.images, part.labels.tolist(), strict=True))


def test_a_folder_and_imagenet32_give_the_same_insects(real_data, tmp_path):
    """Label numbers of ImageNet32 meet the ids that the folders are named by."""
    net = wordnet()
    ids = {net.name(row): net.wnids[row] for row in net.choose("insect").rows}
    folder = load(ImageFolder(path=real_data / "insect10"), real_data)
    source = ImageNet32(group="insect", missing="skip", cache=False)
    cut = apply_source_options(source, load(source, real_data))
    assert cut.num_classes == folder.num_classes == 10
    in_paper = [line.split()[2] for line in GROUPS["insect"].split("\n") if line.strip()]
    assert list(cut.class_names) == [name for name in in_paper if name in cut.class_names]
    wnids = [ids[name] for name in cut.class_names]
    assert by_content(cut.train, wnids) == by_content(folder.train, folder.class_names)
    assert by_content(cut.test, wnids) == by_content(folder.test, folder.class_names)
    assert cut.mean == pytest.approx(folder.mean)
    assert cut.std == pytest.approx(folder.std)


SMALL = (
    "--loss collective --outer-loops 4 --network-steps 2 -o run.image_rate=3 -o run.real_batch=24 -o arch.width=32 "
    "--sets 1 --eval-nets 1 --protocol dc -o data.per_class=300"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        "cifar10",
        "imagenet32:insect -o data.missing=skip -o data.cache=no",
        "folder:{root}/insect10",
        "mnist -o data.classes=3,8 -o data.mirrored=3",
    ],
)
def test_the_main_job_beats_random_images(real_data, tmp_path, data):
    where = f"--data-root {real_data} --out {tmp_path / 'out'} --json"
    result = CliRunner().invoke(run, shlex.split(f"--data {data.format(root=real_data)} {SMALL} {where}"))
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["accuracy"]["gain"] > 0
    assert str(real_data).encode() not in (tmp_path / "out" / "set.safetensors").read_bytes()
