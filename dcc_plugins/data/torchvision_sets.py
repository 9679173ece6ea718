"""The field's benchmarks, through torchvision: downloads, checksums and formats are its own."""

from __future__ import annotations

import contextlib
import io
import sys
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

import numpy as np
import torch
from annotated_types import Ge
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from dcc_core import DataSource, DccError, ImageSet, Published, RealData
from dcc_plugins.data.class_names import CIFAR10, CIFAR100

SIGNS = 43
DIGITS = tuple("0123456789")
MIRROR_CHANGES_CLASS = frozenset({"mirror-changes-class"})
Checksums = Iterable[tuple[Path, str]]


@dataclass(frozen=True, kw_only=True)
class TorchvisionSource(DataSource):
    """What these sources have in common. label: the name on the command line; home: where to get the files."""

    label: ClassVar[str]
    home: ClassVar[str]

    def load(self, *, root: Path, download: bool, progress: bool) -> RealData:
        with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
            if not progress:
                stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            try:
                return self.read(root, download=False)
            except DccError:
                raise
            except Exception as error:
                if not download or not isinstance(error, RuntimeError):
                    raise self._missing(root, error) from error
            try:
                root.mkdir(parents=True, exist_ok=True)
                return self.read(root, download=True)
            except Exception as error:
                raise self._missing(root, error) from error

    @abstractmethod
    def read(self, root: Path, *, download: bool) -> RealData:
        """Both parts. Raises RuntimeError if they are not there or their checksums differ."""

    def checksums(self, root: Path) -> Checksums:
        """The files that are read, where torchvision knows their md5."""
        return ()

    def _missing(self, root: Path, error: Exception) -> DccError:
        damaged = [str(p) for p, md5 in self.checksums(root) if p.exists() and not check_integrity(str(p), md5)]
        found = f"'{damaged[0]}' is truncated or damaged" if damaged else f"it is not whole below '{root}'"
        reason = " ".join(str(error).split())
        return DccError(
            f"data '{self.label}': {found}, and it was not fetched ({type(error).__name__}: {reason}).\n"
            f"  By hand: put {self.home} into '{root}', or name the folder that has it by --data-root"
        )


def _image_set(images: Any, labels: Any) -> ImageSet:
    """uint8 (N, H, W), (N, H, W, 3) or (N, 3, H, W), with labels."""
    x = torch.as_tensor(images)
    if x.ndim == 3:
        x = x.unsqueeze(1)
    elif x.shape[-1] == 3:
        x = x.permute(0, 3, 1, 2)
    return ImageSet(x.contiguous(), torch.as_tensor(labels).long())


@dataclass(frozen=True, kw_only=True)
class TwoParts(TorchvisionSource):
    """Sources whose torchvision class takes `train=True` or `False`; what they differ in are facts.

    names: of the classes, where torchvision's are not the field's. listed: those that torchvision reads from the files,
    for who has none. mean, std: as the field publishes them.
    """

    dataset: ClassVar[Any]
    names: ClassVar[tuple[str, ...] | None] = None
    listed: ClassVar[tuple[str, ...]] = ()
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    traits: ClassVar[frozenset[str]] = frozenset()

    def read(self, root: Path, *, download: bool) -> RealData:
        train, test = (self.dataset(str(root), train=part, download=download) for part in (True, False))
        return RealData(
            name=self.label,
            train=_image_set(train.data, train.targets),
            test=_image_set(test.data, test.targets),
            class_names=self.names or tuple(train.classes),
            mean=self.mean,
            std=self.std,
            traits=self.traits,
        )

    def published(self) -> Published:
        return Published(class_names=self.names or self.listed, mean=self.mean, std=self.std)


@final
@dataclass(frozen=True, kw_only=True)
class Mnist(TwoParts):
    """MNIST (LeCun 1998): 60,000 + 10,000 grey digits, 28×28."""

    label = "mnist"
    home = "the four files *-ubyte of MNIST, as MNIST/raw/,"
    dataset = datasets.MNIST
    names = DIGITS
    mean = (0.1307,)
    std = (0.3081,)
    traits = MIRROR_CHANGES_CLASS | {"mnist"}


@final
@dataclass(frozen=True, kw_only=True)
class FashionMnist(TwoParts):
    """Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 grey articles of clothing, 28×28."""

    label = "fashion-mnist"
    home = "the four files *-ubyte of Fashion-MNIST, as FashionMNIST/raw/,"
    dataset = datasets.FashionMNIST
    listed = tuple(datasets.FashionMNIST.classes)
    mean = (0.2861,)
    std = (0.3530,)


@dataclass(frozen=True, kw_only=True)
class Cifar(TwoParts):
    """The two CIFAR sets."""

    def checksums(self, root: Path) -> Checksums:
        files = (*self.dataset.train_list, *self.dataset.test_list)
        return [(root / self.dataset.base_folder / name, md5) for name, md5 in files]


@final
@dataclass(frozen=True, kw_only=True)
class Cifar10(Cifar):
    """CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 photographs, 32×32."""

    label = "cifar10"
    home = "cifar-10-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html), unpacked as cifar-10-batches-py/,"
    dataset = datasets.CIFAR10
    listed = CIFAR10
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2023, 0.1994, 0.2010)


@final
@dataclass(frozen=True, kw_only=True)
class Cifar100(Cifar):
    """CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 photographs of 100 classes, 32×32.

    The field has two published statistics for it: these are its own; other tools use CIFAR-10's.
    """

    label = "cifar100"
    home = "cifar-100-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html), unpacked as cifar-100-python/,"
    dataset = datasets.CIFAR100
    listed = CIFAR100
    mean = (0.5071, 0.4866, 0.4409)
    std = (0.2673, 0.2564, 0.2762)


@final
@dataclass(frozen=True, kw_only=True)
class Svhn(TorchvisionSource):
    """Street View House Numbers (Netzer et al. 2011): 73,257 + 26,032 digits, 32×32."""

    label = "svhn"
    home = "train_32x32.mat and test_32x32.mat (http://ufldl.stanford.edu/housenumbers)"
    mean: ClassVar[tuple[float, ...]] = (0.4377, 0.4438, 0.4728)
    std: ClassVar[tuple[float, ...]] = (0.1980, 0.2010, 0.1970)

    def published(self) -> Published:
        return Published(class_names=DIGITS, mean=self.mean, std=self.std)

    def read(self, root: Path, *, download: bool) -> RealData:
        train, test = (datasets.SVHN(str(root), split=part, download=download) for part in ("train", "test"))
        return RealData(
            name=self.label,
            train=_image_set(train.data, train.labels),
            test=_image_set(test.data, test.labels),
            class_names=DIGITS,
            mean=self.mean,
            std=self.std,
            traits=MIRROR_CHANGES_CLASS,
        )

    def checksums(self, root: Path) -> Checksums:
        return [(root / name, md5) for _, name, md5 in (datasets.SVHN.split_list[p] for p in ("train", "test"))]


@final
@dataclass(frozen=True, kw_only=True)
class Gtsrb(TorchvisionSource):
    """German traffic signs (Stallkamp et al. 2011): 26,640 + 12,630 photographs of 43 classes, made square."""

    size: Annotated[int, "side that the images are resized to", Ge(1)] = 32

    label = "gtsrb"
    home = "GTSRB-Training_fixed.zip, GTSRB_Final_Test_Images.zip and GTSRB_Final_Test_GT.zip, unpacked in gtsrb/,"

    def read(self, root: Path, *, download: bool) -> RealData:
        train, test = (
            self._resize(datasets.GTSRB(str(root), split=part, download=download)) for part in ("train", "test")
        )
        if len(train.labels.unique()) != SIGNS:
            raise DccError(f"data 'gtsrb': '{root}/gtsrb/GTSRB/Training' must hold all {SIGNS} folders, 00000 to 00042")
        names = tuple(f"sign {k}" for k in range(SIGNS))
        return RealData(name=self.label, train=train, test=test, class_names=names, traits=MIRROR_CHANGES_CLASS)

    def _resize(self, images: datasets.GTSRB) -> ImageSet:
        out = np.zeros((len(images), self.size, self.size, 3), np.uint8)
        labels = np.zeros(len(images), np.int64)
        for i, (image, label) in enumerate(images):
            out[i] = np.asarray(image.convert("RGB").resize((self.size, self.size)))
            labels[i] = label
        return _image_set(out, labels)
