"""The benchmarks through torchvision: made-up files in the real layouts, with the checksums of those."""

import hashlib
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from dcc_core import DccError
from dcc_plugins.data import torchvision_sets as sets


@pytest.mark.parametrize("source", [sets.Mnist, sets.FashionMnist, sets.Cifar10, sets.Cifar100, sets.Svhn])
def test_what_is_published_is_known_without_files(source):
    """As many names as there are classes, and one number per channel."""
    known = source().published()
    assert len(set(known.class_names)) == (100 if source is sets.Cifar100 else 10)
    assert len(known.mean) == len(known.std) == (1 if "mnist" in source.label else 3)
    assert sets.Gtsrb().published() is None


def load(source, root, download=False):
    return source.load(root=root, download=download, progress=False)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Every download fails, as it does without a network."""

    def refuse(*_, **__):
        raise OSError("network unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10 and CIFAR-100 of a few images."""

    def write(cls, folder, parts, meta, labels, classes, names):
        (tmp_path / folder).mkdir()
        for seed, (part, count) in enumerate(parts.items()):
            content = {"data": noise(count, 3072, seed=seed), labels: [i % classes for i in range(count)]}
            (tmp_path / folder / part).write_bytes(pickle.dumps(content, 2))
        (tmp_path / folder / meta).write_bytes(pickle.dumps({names: [f"n{k}" for k in range(classes)]}, 2))
        train = [p for p in parts if "test" not in p]
        monkeypatch.setattr(cls, "train_list", [[p, md5(tmp_path / folder / p)] for p in train])
        monkeypatch.setattr(cls, "test_list", [[p, md5(tmp_path / folder / p)] for p in parts if p not in train])
        monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5(tmp_path / folder / meta)})

    ten = {f"data_batch_{i}": 20 for i in range(1, 6)} | {"test_batch": 10}
    write(datasets.CIFAR10, "cifar-10-batches-py", ten, "batches.meta", "labels", 10, "label_names")
    hundred = {"train": 200, "test": 100}
    write(datasets.CIFAR100, "cifar-100-python", hundred, "meta", "fine_labels", 100, "fine_label_names")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "classes", "train", "std"),
    [(sets.Cifar10(), 10, 100, (0.2023, 0.1994, 0.2010)), (sets.Cifar100(), 100, 200, (0.2673, 0.2564, 0.2762))],
)
def test_cifar(cifar, source, classes, train, std):
    data = load(source, cifar)
    assert data.train.images.shape == (train, 3, 32, 32)
    assert data.test.labels.tolist() == [i % classes for i in range(len(data.test.labels))]
    assert data.class_names[:2] == ("n0", "n1")
    assert len(data.class_names) == classes
    assert (data.std, data.computed) == (std, False)
    first = torch.from_numpy(noise(20 if classes == 10 else 200, 3072)[0].reshape(3, 32, 32))
    assert torch.equal(data.train.images[0], first)


def test_a_damaged_cifar_file_is_named(cifar):
    path = cifar / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DccError, match=r"data_batch_3' is truncated or damaged, and it was not fetched"):
        load(sets.Cifar10(), cifar)
    with pytest.raises(DccError, match=r"data_batch_3' is truncated or damaged.*network unreachable"):
        load(sets.Cifar10(), cifar, download=True)


def test_svhn(tmp_path, monkeypatch):
    from scipy.io import savemat

    entries = {}
    for part, count in (("train", 12), ("test", 5)):
        path = tmp_path / f"{part}_32x32.mat"
        labels = np.arange(count, dtype=np.uint8).reshape(-1, 1) % 10 + 1
        savemat(path, {"X": noise(32, 32, 3, count), "y": labels})
        entries[part] = ["http://nowhere", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", entries)
    data = load(sets.Svhn(), tmp_path)
    assert data.train.images.shape == (12, 3, 32, 32)
    assert data.train.labels.tolist()[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert torch.equal(data.train.images[4], torch.from_numpy(noise(32, 32, 3, 12)[..., 4]).permute(2, 0, 1))
    assert "mirror-changes-class" in data.traits
    (tmp_path / "test_32x32.mat").write_bytes(b"x")
    with pytest.raises(DccError, match=r"test_32x32.mat' is truncated or damaged"):
        load(sets.Svhn(), tmp_path)


@pytest.mark.parametrize(("source", "folder"), [(sets.Mnist(), "MNIST"), (sets.FashionMnist(), "FashionMNIST")])
def test_mnist_and_fashion(tmp_path, source, folder):
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", 30), ("t10k", 20)):
        images, labels = noise(count, 28, 28), np.arange(count, dtype=np.uint8) % 10
        for kind, x in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(">BBBB", 0, 0, 8, x.ndim) + b"".join(struct.pack(">I", n) for n in x.shape)
            (raw / f"{prefix}-{kind}-ubyte").write_bytes(head + x.tobytes())
    data = load(source, tmp_path)
    assert torch.equal(data.train.images, torch.from_numpy(noise(30, 28, 28)).unsqueeze(1))
    assert data.test.labels.tolist() == [i % 10 for i in range(20)]
    assert data.num_classes == 10
    assert ("mnist" in data.traits) == (folder == "MNIST")


def test_gtsrb_is_resized(tmp_path):
    base = tmp_path / "gtsrb"
    for k in range(43):
        place = base / "GTSRB" / "Training" / f"{k:05d}"
        place.mkdir(parents=True)
        Image.fromarray(np.full((40, 50, 3), k * 5, np.uint8)).save(place / "00000_00000.ppm")
    place = base / "GTSRB" / "Final_Test" / "Images"
    place.mkdir(parents=True)
    Image.fromarray(noise(20, 25, 3)).save(place / "00000.ppm")
    header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
    (base / "GT-final_test.csv").write_text(f"{header}\n00000.ppm;25;20;1;1;20;20;7\n")
    data = load(sets.Gtsrb(), tmp_path)
    assert data.train.images.shape == (43, 3, 32, 32)
    assert (data.train.images == torch.arange(43, dtype=torch.uint8).view(-1, 1, 1, 1) * 5).all()
    assert data.test.labels.tolist() == [7]
    assert load(sets.Gtsrb(size=16), tmp_path).shape == (3, 16, 16)

    for file in (base / "GTSRB" / "Training" / "00007").iterdir():
        file.unlink()
    (base / "GTSRB" / "Training" / "00007").rmdir()
    with pytest.raises(DccError, match="must hold all 43 folders"):
        load(sets.Gtsrb(), tmp_path)


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (sets.Mnist(), ("mnist", "MNIST/raw/")),
        (sets.FashionMnist(), ("fashion-mnist", "FashionMNIST/raw/")),
        (sets.Svhn(), ("svhn", "train_32x32.mat")),
        (sets.Cifar10(), ("cifar10", "cifar-10-python.tar.gz")),
        (sets.Cifar100(), ("cifar100", "cifar-100-python.tar.gz")),
        (sets.Gtsrb(), ("gtsrb", "GTSRB-Training_fixed.zip")),
    ],
)
def test_without_files_and_network_it_says_what_to_put_where(tmp_path, source, words, download, capfd):
    root = tmp_path / "cache"
    with pytest.raises(DccError) as error:
        load(source, root, download)
    for word in (*words, f"it is not whole below '{root}'", "--data-root"):
        assert word in str(error.value)
    assert capfd.readouterr().out == ""
