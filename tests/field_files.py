"""Files as the field's tools write them, made here from the published layouts; and small sets of ours."""

import numpy as np
import torch

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""CIFAR-10's, as the field has them."""


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_class(classes, ipc):
    return torch.arange(classes).repeat_interleave(ipc)


def to_unit(images):
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    return images.double() * std + mean


def vico(path, classes=10, ipc=1, size=32, experiments=3):
    """`res_*.pt`: normalised, not clipped, an experiment each; accuracies are numpy's numbers."""
    sets = [[noise(classes * ipc, 3, size, size, seed=i), by_class(classes, ipc)] for i in range(experiments)]
    accuracies = {"ConvNet": [np.float64(0.28), np.float64(0.285)], "MLP": [np.float64(0.2)]}
    torch.save({"data": sets, "accs_all_exps": accuracies}, path)
    return sets


def mtt(folder, classes=10, ipc=2, size=32):
    folder.mkdir(exist_ok=True)
    images, labels = noise(classes * ipc, 3, size, size), by_class(classes, ipc)
    torch.save(images, folder / "images_best.pt")
    torch.save(labels, folder / "labels_best.pt")
    return images, labels


def datm(folder, classes=10, ipc=2, size=32):
    """Soft labels: an expert's logits, moved by learning, so that some do not favour their own class."""
    folder.mkdir(exist_ok=True)
    images, labels = noise(classes * ipc, 3, size, size), by_class(classes, ipc)
    logits = 5 * torch.eye(classes)[labels] + noise(classes * ipc, classes, seed=1)
    logits[1] = 5 * torch.eye(classes)[-1] + noise(classes, seed=2)
    torch.save(images, folder / "images_best.pt")
    torch.save(logits, folder / "labels_best.pt")
    torch.save(torch.tensor(0.0123), folder / "lr_best.pt")
    return images, logits


def idc(path, classes=10, ipc=2, size=32):
    """`data.pt`: unit space, not clamped."""
    images, labels = 0.5 + 0.5 * noise(classes * ipc, 3, size, size), by_class(classes, ipc)
    torch.save([images, labels], path)
    return images, labels


def kip(path, classes=10, ipc=1, size=32):
    images = noise(classes * ipc, size, size, 3).numpy()
    targets = torch.eye(classes)[by_class(classes, ipc)] - 1 / classes + 0.01 * noise(classes * ipc, classes, seed=1)
    np.savez(path, images=images, labels=targets.numpy())
    return images, targets


def dd_ranking(folder, classes=10, ipc=2, size=32, soft=False):
    folder.mkdir(exist_ok=True)
    images, labels = noise(classes * ipc, 3, size, size), by_class(classes, ipc)
    if soft:
        labels = 5 * torch.eye(classes)[labels] + noise(classes * ipc, classes, seed=1)
    torch.save(images, folder / "images.pt")
    torch.save(labels, folder / "labels.pt")
    torch.save(torch.tensor([0.02]), folder / "lr.pt")
    return images, labels


def close(images, expected):
    return torch.allclose(images.double(), expected.double(), rtol=0, atol=1e-6)


def condensed(make_job, **options):
    """Three classes of two coloured images, float32."""
    small = {"run.ipc": 2, "run.inner_loops": 1, "run.network_steps": 0, "run.precision": "float32", **options}
    return make_job(small, data="blobs", **{"data.channels": 3}).condense()


def statistics(s):
    """A set's own, as `--stats` takes them."""
    return f"mean={','.join(map(str, s.provenance.mean))} std={','.join(map(str, s.provenance.std))}"
