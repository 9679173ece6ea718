"""Observers that send a run to a tracker of experiments: Weights & Biases, MLflow, Trackio."""

from __future__ import annotations

import contextlib
import io
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, final

from PIL import Image

from dcc_core import RunInfo
from dcc_plugins.tracking import Tracked, Tracker


@final
@dataclass(frozen=True, kw_only=True)
class WandB(Tracker):
    """Weights & Biases: options, losses, accuracies, pictures, and the set files as artifacts.

    Sign in by `wandb login` or WANDB_API_KEY. WANDB_MODE=offline keeps all of it below `wandb/` in the run's folder,
    for `wandb sync`. Needs wandb: `pip install 'dataset-condensation[wandb]'`.
    """

    package: ClassVar[str] = "wandb"

    def begin(self, run: RunInfo, folder: Path, title: str, earlier: str | None) -> Tracked:
        import wandb

        begun = wandb.init(
            project=self.project,
            name=title,
            dir=folder,
            id=earlier or uuid.uuid4().hex[:12],
            resume="allow" if earlier else None,
            config=run.config,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        for metric, axis in (("loss/*", "step"), ("accuracy/*", "set"), ("spread/*", "set")):
            begun.define_metric(metric, step_metric=axis)
        return _InWandB(begun)


class _InWandB(Tracked):
    def __init__(self, run: Any) -> None:
        self._run, self.identity = run, run.id

    def log_numbers(self, values: Mapping[str, float], axis: str, at: int) -> None:
        self._run.log({**values, axis: at})

    def log_picture(self, name: str, picture: Image.Image, at: int) -> None:
        import wandb

        self._run.log({name: wandb.Image(picture, caption=f"{name} {at}")})

    def log_file(self, path: Path) -> None:
        import wandb

        artifact = wandb.Artifact(f"{self.identity}-{path.stem}", type="condensed-set")
        artifact.add_file(str(path), name=path.name)
        self._run.log_artifact(artifact)

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


@final
@dataclass(frozen=True, kw_only=True)
class MLflow(Tracker):
    """MLflow: options as parameters, losses and accuracies as metrics, pictures and set files as artifacts.

    The server is that of MLFLOW_TRACKING_URI. Needs mlflow: `pip install 'dataset-condensation[mlflow]'` installs its
    small form, which sends to servers. A database of your own, MLflow's default, takes all of mlflow.
    """

    package: ClassVar[str] = "mlflow"
    place: ClassVar[str] = (
        "Name a server, --log mlflow,uri=http://... or MLFLOW_TRACKING_URI; for files MLFLOW_TRACKING_URI=./mlruns and "
        "MLFLOW_ALLOW_FILE_STORE=true; for a database of your own install all of mlflow"
    )

    uri: Annotated[str | None, "tracking server; none: MLFLOW_TRACKING_URI, or MLflow's default"] = None

    def begin(self, run: RunInfo, folder: Path, title: str, earlier: str | None) -> Tracked:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client = MlflowClient(tracking_uri=self.uri)
        if earlier:
            return _InMLflow(client, earlier)
        known = client.get_experiment_by_name(self.project)
        experiment = known.experiment_id if known else client.create_experiment(self.project)
        identity = client.create_run(experiment, run_name=title).info.run_id
        client.log_batch(identity, params=[Param(key, str(value)[:MOST_TEXT]) for key, value in run.config.items()])
        return _InMLflow(client, identity)


MOST_TEXT = 500
"""Characters that every server takes as a parameter."""


class _InMLflow(Tracked):
    def __init__(self, client: Any, identity: str) -> None:
        self._client, self.identity = client, identity

    def log_numbers(self, values: Mapping[str, float], axis: str, at: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self.identity, re.sub(r"[^\w\-. /]", "_", name), value, step=at)

    def log_picture(self, name: str, picture: Image.Image, at: int) -> None:
        self._client.log_image(self.identity, picture, artifact_file=f"pictures/{name}-{at:08}.png")

    def log_file(self, path: Path) -> None:
        self._client.log_artifact(self.identity, str(path), "sets")

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self.identity, "FAILED" if failed else "FINISHED")


@final
@dataclass(frozen=True, kw_only=True)
class Trackio(Tracker):
    """Trackio: options, losses, accuracies, pictures, and the set files as artifacts, on this computer.

    They lie in the folder TRACKIO_DIR; `trackio show` shows them. TRACKIO_SPACE_ID sends them to a Space of the Hugging
    Face Hub. Needs trackio: `pip install 'dataset-condensation[trackio]'`.
    """

    package: ClassVar[str] = "trackio"

    def begin(self, run: RunInfo, folder: Path, title: str, earlier: str | None) -> Tracked:
        import trackio

        how = {"resume": "must" if earlier else "never", "embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        with _silence():
            begun = trackio.init(project=self.project, name=earlier or title, config=dict(run.config), **how)
        return _InTrackio(begun, earlier or title)


class _InTrackio(Tracked):
    def __init__(self, run: Any, title: str) -> None:
        self._run, self.identity = run, title

    def log_numbers(self, values: Mapping[str, float], axis: str, at: int) -> None:
        self._run.log(dict(values), step=at)

    def log_picture(self, name: str, picture: Image.Image, at: int) -> None:
        import trackio

        self._run.log({name: trackio.Image(picture, caption=f"{name} {at}")}, step=at)

    def log_file(self, path: Path) -> None:
        with _silence():
            self._run.log_artifact(path, name=path.stem, type="condensed-set")

    def close(self, *, failed: bool) -> None:
        import trackio

        with _silence():
            trackio.finish()


def _silence() -> contextlib.AbstractContextManager[Any]:
    """Without what trackio prints: a command's last line of stdout may be JSON."""
    return contextlib.redirect_stdout(io.StringIO())
