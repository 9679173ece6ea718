"""The rules of formats of files."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from dcc_core.errors import DccError
from dcc_core.sets import WHITENED, CondensedSet, Provenance
from dcc_core.testing import Conformance, generator, left_alone
from dcc_plugins.exchange import LOGITS, Exporting, Format, Importing, import_set

CLASSES = ("ant", "bee", "cat")
STATISTICS = ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


class FormatConformance(Conformance):
    """Tests of a format of files.

    tolerance: how far values of images in 0..1 may be off after a round trip; 1/510 if a file has 8 bits.
    whitened: whether it holds ZCA-whitened images (with `options` as they are), and no others.
    """

    kind = "format"
    tolerance: ClassVar[float] = 1e-6
    whitened: ClassVar[bool] = False

    def test_a_set_comes_back(self, tmp_path: Path) -> None:
        """What is written is read as the same images of the same classes, in the same order."""
        came_back = 0
        for s in (self._hard(), self._soft()):
            if not self._written(s, path := tmp_path / str(s.labels.ndim)):
                continue
            came_back += 1
            read = self._read_back(path)
            images, again = (x.stored.get("images", x.stored.get(WHITENED)) for x in (s, read))
            rule = f"{self.title}: a set comes back as it was"
            assert images is not None and again is not None and again.shape == images.shape, (
                f"{rule}; of images {None if images is None else tuple(images.shape)} it read "
                f"{None if again is None else tuple(again.shape)}"
            )
            off = float((again - images).abs().max())
            assert off <= self.tolerance, f"{rule}; images are off by {off:.2g}, more than {self.tolerance:.2g}"
            assert read.class_names == CLASSES, f"{rule}; its classes are {read.class_names}"
        assert came_back, f"{self.title}: a set comes back; it refused both hard and soft labels"

    def test_labels_come_back_or_are_refused(self, tmp_path: Path) -> None:
        """Hard labels exactly, soft ones to 1e-6. A layout that cannot hold a kind of labels says so (DccError)."""
        for s in (self._hard(), self._soft()):
            if self._written(s, path := tmp_path / str(s.labels.ndim)):
                read = self._read_back(path).labels
                same = read.shape == s.labels.shape and torch.allclose(read.double(), s.labels.double(), atol=1e-6)
                assert same, (
                    f"{self.title}: labels come back, or are refused; of {s.labels.dtype} {tuple(s.labels.shape)} it "
                    f"read {read.dtype} {tuple(read.shape)}" + (", others" if read.shape == s.labels.shape else "")
                )

    def test_the_same_set_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """A file holds no time, path or host name."""
        contents = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            self._write(tmp_path / name / "set")
            contents.append({str(f.relative_to(tmp_path / name)): f.read_bytes() for f in _files(tmp_path / name)})
        differ = [name for name in contents[0] if contents[1].get(name) != contents[0][name]]
        assert contents[0].keys() == contents[1].keys() and not differ, (
            f"{self.title}: the same set gives the same bytes; {', '.join(differ) or 'the names of files'} differ"
        )

    def test_the_set_is_left_alone(self, tmp_path: Path) -> None:
        """Writing changes nothing of the set."""
        s = self._writable(tmp_path)
        before = {name: t.clone() for name, t in s.stored.items()}
        self._written(s, tmp_path / "again")
        changed = [name for name, t in s.stored.items() if not torch.equal(t, before[name])]
        assert not changed, f"{self.title}: the set is left alone; writing changed its {', '.join(changed)}"

    def test_damaged_files_are_refused(self, tmp_path: Path) -> None:
        """Cut off in the middle, a file is an error, not another set."""
        self._write(tmp_path / "set")
        for file in _files(tmp_path):
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        self._refuse(tmp_path / "set", "damaged files are refused")

    def test_missing_files_are_named(self, tmp_path: Path) -> None:
        """If one of a folder's files is needed and gone, one DccError says which."""
        self._write(tmp_path / "set")
        for file in _files(tmp_path):
            aside = file.rename(tmp_path / "aside")
            try:
                self._read_back(tmp_path / "set")
            except DccError as error:
                near = file.name if file.parent in (tmp_path, tmp_path / "set") else file.parent.name
                assert near in str(error) or file.name in str(error), (
                    f"{self.title}: missing files are named; without '{file.name}' it says: {error}"
                )
            aside.rename(file)

    def test_nothing_in_a_file_runs(self, tmp_path: Path) -> None:
        """Files are untrusted: a pickle that would run a command is not unpickled, wherever it is."""
        self._write(tmp_path / "set")
        ran = tmp_path / "ran"
        good = {file: file.read_bytes() for file in _files(tmp_path)}
        for file, content in good.items():
            for put in (_bare, _in_archive, _in_array):
                put(file, _Runs(ran))
                with contextlib.suppress(DccError):
                    self._read_back(tmp_path / "set")
                assert not ran.exists(), f"{self.title}: nothing in a file runs; a command in '{file.name}' did"
            file.write_bytes(content)

    def test_global_randomness_is_left_alone(self, tmp_path: Path) -> None:
        """Reading and writing change none of the random numbers of the program around them."""
        with left_alone(self.title):
            self._write(tmp_path / "set")
            self._read_back(tmp_path / "set")

    def _write(self, path: Path) -> None:
        """Write a set that the format takes."""
        self._written(self._writable(path.parent), path)

    def _writable(self, folder: Path) -> CondensedSet:
        """A set with the labels that the format takes."""
        hard = self._hard()
        (folder / "tried").mkdir()
        takes = self._written(self._hard(), folder / "tried" / "set")
        shutil.rmtree(folder / "tried")
        return hard if takes else self._soft()

    def _written(self, s: CondensedSet, path: Path) -> bool:
        """Whether the format writes a set, and does not refuse it."""
        context = Exporting(format=self.component, registry=self.registry())
        try:
            self._format().write(s, path, context)
        except DccError:
            return False
        return True

    def _read_back(self, path: Path) -> CondensedSet:
        known = Importing(
            format=self.component,
            registry=self.registry(),
            class_names=CLASSES,
            statistics=None if self.whitened else STATISTICS,
        )
        return import_set(self._format(), self.title, path, known)

    def _refuse(self, path: Path, rule: str) -> None:
        try:
            self._read_back(path)
        except DccError:
            return
        raise AssertionError(f"{self.title}: {rule}; it read a set all the same")

    def _format(self) -> Format:
        return self.built()

    def _hard(self) -> CondensedSet:
        owners = torch.arange(3).repeat_interleave(2)
        return self._set({"labels": owners, "owners": owners})

    def _soft(self) -> CondensedSet:
        owners = torch.arange(3).repeat_interleave(2)
        logits = torch.randn(6, 3, generator=generator(1)) + 6 * torch.eye(3)[owners]
        return self._set({"labels": logits.double().softmax(dim=1).float(), LOGITS: logits, "owners": owners})

    def _set(self, stored: dict[str, torch.Tensor]) -> CondensedSet:
        images = torch.rand(6, 3, 8, 8, generator=generator(0))
        mean, std = ((0.0,) * 3, (1.0,) * 3) if self.whitened else STATISTICS
        provenance = Provenance(
            method="test", data="test", class_names=CLASSES, mean=mean, std=std, size=(8, 8), seed=0
        )
        return CondensedSet({WHITENED if self.whitened else "images": images, **stored}, provenance)


class _Runs:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._path),)


def _bare(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


def _in_archive(path: Path, content: object) -> None:
    """As `torch.save` has it: a pickle in a zip file."""
    torch.save([torch.zeros(1), content], path)


def _in_array(path: Path, content: object) -> None:
    """As numpy has arrays of objects: pickles in a zip file."""
    with path.open("wb") as file:
        np.savez(file, images=np.array([content]), labels=np.array([content]))


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())
