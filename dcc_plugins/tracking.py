"""What observers that send a run to a tracker of experiments have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from PIL import Image

from dcc_core import DccError, Observer, RunInfo, ScoreReport, StepReport, hookimpl
from dcc_plugins.extras import check_extra

SIDE = 32
"""Smallest side of an image in a picture of many, in pixels."""
MOST_CLASSES = 50
"""Classes, at most, in a picture of a snapshot."""


class Tracked(ABC):
    """A run in a tracker. identity: by which it is found again when the run resumes."""

    identity: str

    @abstractmethod
    def log_numbers(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add numbers by name. axis: what `at` counts, `step` (of a set) or `set`."""

    @abstractmethod
    def log_picture(self, name: str, picture: Image.Image, at: int) -> None:
        """Add a picture. at: the step, or the set, that it is of."""

    @abstractmethod
    def log_file(self, path: Path) -> None:
        """Add a condensed set's file as an artifact."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the run in the tracker."""


@dataclass(frozen=True, kw_only=True)
class Tracker(Observer, ABC):
    """Options of trackers. A run's options, losses, scores, pictures at snapshots and set files go there."""

    package: ClassVar[str]
    place: ClassVar[str] = ""
    """What to say of where runs go, if the tracker does not begin."""

    project: Annotated[str, "project, or experiment, that the run belongs to"] = "dcc"
    title: Annotated[str | None, "name of the run; none: its folder's"] = None
    every: Annotated[int, "one loss for so many steps of a set", Ge(1)] = 1

    def __post_init__(self) -> None:
        check_extra(self.package, self.package)

    def listen(self, run: RunInfo) -> Listener:
        folder = Path(run.out or ".").absolute()
        kept = folder / f"{self.package}.id"
        earlier = kept.read_text(encoding="utf-8").strip() if run.resumes_at and kept.is_file() else None
        try:
            tracked = self.begin(run, folder, self.title or folder.name, earlier)
        except Exception as error:
            reason = " ".join(str(error).split())
            hint = f". {self.place}" if self.place else ""
            raise DccError(f"log: {self.package} does not begin: {type(error).__name__}: {reason}{hint}") from error
        kept.write_text(f"{tracked.identity}\n", encoding="utf-8")
        return Listener(tracked, folder, self.every, run.inner_loops)

    @abstractmethod
    def begin(self, run: RunInfo, folder: Path, title: str, earlier: str | None) -> Tracked:
        """Begin a run in the tracker, with `run.config`; or go on with the run of that identity."""


class Listener:
    """Tells a tracker what happens in a run."""

    def __init__(self, tracked: Tracked, folder: Path, every: int, inner_loops: int) -> None:
        self._tracked, self._folder, self._every, self._inner_loops = tracked, folder, every, inner_loops

    @hookimpl
    def dcc_step_finished(self, report: StepReport) -> None:
        step = report.outer * self._inner_loops + report.inner
        if step % self._every == 0:
            self._tracked.log_numbers({f"loss/set {report.set}": report.loss}, "step", step)
        snapshot = self._folder / "snapshots" / f"{step + 1:08}.safetensors"
        if report.set == 0 and snapshot.is_file():
            self._tracked.log_picture("snapshot", draw_snapshot(snapshot), step + 1)

    @hookimpl
    def dcc_evaluated(self, report: ScoreReport) -> None:
        name, score = f"{report.subject}/{report.score.architecture}", report.score
        self._tracked.log_numbers({f"accuracy/{name}": score.mean, f"spread/{name}": score.std}, "set", report.set)

    @hookimpl
    def dcc_run_finished(self, report: Mapping[str, Any] | None) -> None:
        try:
            files = sorted(map(str, report["files"])) if report else ()
            for number, name in enumerate(name for name in files if Path(name).match("grid*.png")):
                with Image.open(self._folder / name) as picture:
                    self._tracked.log_picture("grid", picture.convert("RGB"), number)
            for name in files:
                if Path(name).match("set*.safetensors"):
                    self._tracked.log_file(self._folder / name)
        finally:
            self._tracked.close(failed=report is None)


def draw_snapshot(path: Path) -> Image.Image:
    """A picture of a snapshot, a row for each of the first classes; small images are enlarged, each pixel a square."""
    from safetensors.numpy import load_file

    stored = load_file(path)
    images, owners = stored["images"].transpose(0, 2, 3, 1), stored["owners"]
    classes = range(min(int(owners.max()) + 1, MOST_CLASSES))
    height, width, channels = images.shape[1:]
    columns = max(int((owners == k).sum()) for k in classes)
    sheet = np.zeros((len(classes) * height, columns * width, channels), np.uint8)
    for k in classes:
        row = np.concatenate(list(images[owners == k]), axis=1)
        sheet[k * height : (k + 1) * height, : row.shape[1]] = row
    picture = Image.fromarray(sheet if channels == 3 else sheet[..., 0]).convert("RGB")
    scale = max(1, -(-SIDE // min(height, width)))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
