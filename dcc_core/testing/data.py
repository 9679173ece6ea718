"""The rules of data sources."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

from dcc_core.config import ENGINE_SECTIONS, Rank, Settings, schema
from dcc_core.data import DataSource, ImageSet, RealData
from dcc_core.errors import ContractError, DccError
from dcc_core.jobs import resolve
from dcc_core.testing.base import Conformance
from dcc_core.testing.randomness import global_seeds, left_alone


class DataConformance(Conformance):
    """Tests of a data source.

    embedded: whether it needs no files, because its package brings the data along. Otherwise override `files`, which
    writes a data set of a few images as the source expects it; without that, loading is not tested.
    """

    kind = "data"
    embedded: ClassVar[bool] = False

    def files(self, root: Path) -> None:
        """Write what the source reads below `root`."""
        pytest.skip("override `files` to test loading, or say `embedded = True`")

    def test_what_it_loads_is_real_data(self, tmp_path: Path) -> None:
        """uint8 images and int64 labels of the classes: `RealData` checks them."""
        try:
            data = self._load(tmp_path)
        except ContractError as error:
            raise AssertionError(f"{self.title}: what it loads is RealData; {error}") from error
        assert isinstance(data, RealData), (
            f"{self.title}: what it loads is RealData; load returned {type(data).__name__}"
        )

    def test_every_class_has_a_name_and_images(self, tmp_path: Path) -> None:
        """Names tell classes apart, in reports and in `data.classes`; a class without images cannot be condensed."""
        data = self._loaded(tmp_path)
        names = data.class_names
        assert len(set(names)) == len(names) > 1, f"{self.title}: every class has a name of its own; these are {names}"
        assert all(names), f"{self.title}: every class has a name; one is empty"
        present = data.train.labels.unique().tolist()
        without = [name for label, name in enumerate(names) if label not in present]
        assert not without, f"{self.title}: every class has training images; without: {', '.join(without)}"

    def test_statistics_are_of_images_from_0_to_1(self, tmp_path: Path) -> None:
        """Statistics of 0 to 255 would normalise every image to nearly the same one."""
        data = self._loaded(tmp_path)
        good = all(0 <= m <= 1 for m in data.mean) and all(0 < s <= 1 for s in data.std)
        assert good, (
            f"{self.title}: statistics are of images scaled to 0..1; mean {data.mean} and std {data.std} are not"
        )

    def test_loading_twice_gives_the_same(self, tmp_path: Path) -> None:
        """Whatever the global random states are: a split of the source's own draws from `split_seed`."""
        loaded = []
        for seed in (1, 2):
            with global_seeds(seed):
                loaded.append(self._loaded(tmp_path))
        for part in ("train", "test", "validation"):
            first, second = (getattr(data, part) for data in loaded)
            assert _same(first, second), f"{self.title}: loading twice gives the same; the {part} parts differ"

    def test_suggestions_are_options(self) -> None:
        """What it suggests for small data are options that a run has, and none that are the loss's."""
        known = {f"{section}.{name}" for section, cls in ENGINE_SECTIONS.items() for name in schema(cls)}
        suggested = [key for key in self.built().suggestions() if key.partition(".")[0] in ENGINE_SECTIONS]
        strange = [key for key in suggested if key not in known]
        assert not strange, f"{self.title}: suggestions are options of a run; there is no {', '.join(strange)}"
        try:
            settings = Settings()
            settings.add({"data": self.component} | self._own(), "options", Rank.OPTION)
            resolve(self.registry(), settings)
        except DccError as error:
            raise AssertionError(f"{self.title}: suggestions are options of a run; {error}") from error

    def test_missing_files_are_named(self, tmp_path: Path) -> None:
        """Without files, and not allowed to fetch them: one DccError that says where they should be."""
        if self.embedded:
            pytest.skip("embedded")
        root = tmp_path / "empty"
        root.mkdir()
        rule = f"{self.title}: missing files are one DccError that says what to put where"
        try:
            self.built().load(root=root, download=False, progress=False)
        except DccError as error:
            places = [str(root), *(str(v) for v in self.options.values()), self.component.partition(":")[2]]
            named = any(place and place in str(error) for place in places)
            assert named, f"{rule}; it names no place: {error}"
        except Exception as error:
            raise AssertionError(f"{rule}; it raised {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{rule}; it loaded all the same. A source without files says `embedded = True`")

    def test_global_randomness_is_left_alone(self, tmp_path: Path) -> None:
        """A run inside a larger program changes none of that program's random numbers."""
        with left_alone(self.title):
            self._loaded(tmp_path)

    def _load(self, root: Path) -> object:
        if not self.embedded and not any(root.iterdir()):
            self.files(root)
        source: DataSource = self.built()
        return source.load(root=root, download=False, progress=False)

    def _loaded(self, root: Path) -> RealData:
        try:
            data = self._load(root)
        except ContractError:
            data = None
        if not isinstance(data, RealData):
            pytest.skip("it does not load, which is another test's")
        return data

    def _own(self) -> dict[str, object]:
        return {f"data.{name}": value for name, value in self.options.items()}


def _same(first: ImageSet | None, second: ImageSet | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
