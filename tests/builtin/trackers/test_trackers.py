"""Trackers of experiments: what is in their logs, read back from the packages' offline modes."""

import contextlib
import importlib.util
import json
import struct
import subprocess
import sys

import pytest
import toys

import dcc_plugins.manifest
from dcc_core import DccError, Registry
from dcc_core.config.settings import Rank, Settings
from dcc_core.errors import PluginWarning
from dcc_core.jobs.configuration import resolve
from dcc_core.plugins.registry import Origin
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import RunFolder
from dcc_core.testing import ObserverConformance
from dcc_plugins import trackers
from dcc_plugins.terminal import Display

CLASSES = {"wandb": "_InWandB", "mlflow": "_InMLflow", "trackio": "_InTrackio"}
TINY = {"data": "blobs", "run.inner_loops": 2, "run.outer_loops": 3, "run.sets": 2, "score.nets": 1}
TINY |= {
    "run.network_steps": 0,
    "score.baseline": False,
    "score.protocol": "dc",
    "run.snapshots": 2,
    "arch.width": 4,
    "arch.depth": 1,
}


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory):
    """Every package writes below a folder of this test's."""
    place = tmp_path_factory.mktemp("trackers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_CONFIG_DIR", str(place / "wandb"))
        patch.setenv("WANDB_CACHE_DIR", str(place / "wandb"))
        patch.setenv("WANDB_DATA_DIR", str(place / "wandb"))
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_TRACKING_URI", f"file:{place / 'mlflow'}")
        patch.setenv("TRACKIO_DIR", str(place / "trackio"))
        if "trackio.utils" in sys.modules:
            patch.setattr("trackio.utils.TRACKIO_DIR", place / "trackio")
        yield place


@pytest.fixture(params=CLASSES)
def tracker(request):
    pytest.importorskip(request.param)
    return request.param


def carry_out(out, **options):
    registry = Registry([dcc_plugins.manifest, toys], [Origin("builtin"), Origin("toys")])
    settings = Settings()
    settings.add({**TINY, **options}, "test", Rank.OPTION)
    return execute(resolve(registry, settings), registry, RunFolder(out), Display(quiet=True))


@pytest.fixture(scope="module")
def logged(tmp_path_factory, offline):
    """A run that every installed tracker has heard of, and its report."""
    out = tmp_path_factory.mktemp("logged") / "mine"
    there = [name for name in CLASSES if importlib.util.find_spec(name)]
    return out, carry_out(out, **{"run.log": ",".join(f"{name},every=2" for name in there)})


def losses(out):
    """The losses of every other step, by set and step."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found = {(row["set"], row["outer"] * 2 + row["inner"]): row["loss"] for row in rows if "loss" in row}
    return {place: loss for place, loss in found.items() if place[1] % 2 == 0}


def means(report, subject):
    return [score["mean"] for score in report["scores"][subject]]


def wandb_records(folder):
    """The records of an offline run, in blocks of 32 kB as LevelDB has them: checksum, length and type before each."""
    from wandb.proto import wandb_internal_pb2 as protocol

    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    content, place, held, records = file.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        if (left := 32768 - place % 32768) < 7:
            place += left
        _, length, kind = struct.unpack_from("<IHB", content, place)
        held += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            records.append(protocol.Record.FromString(held))
            held = b""
    return records


def test_wandb(logged):
    pytest.importorskip("wandb")
    out, report = logged
    records = wandb_records(out)
    rows = [
        {item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json) for item in r.history.item}
        for r in records
        if r.HasField("history")
    ]
    found = {(k, row["step"]): row[f"loss/set {k}"] for row in rows for k in (0, 1) if f"loss/set {k}" in row}
    assert found == pytest.approx(losses(out))
    assert [r["accuracy/condensed/convnet"] for r in rows if "accuracy/condensed/convnet" in r] == means(
        report, "condensed"
    )
    (run,) = [r.run for r in records if r.HasField("run")][:1]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (config["run.outer_loops"], config["data"]) == (3, "blobs")
    assert (run.display_name, run.project) == ("mine", "dcc")
    artifacts = [r.request.log_artifact.artifact if r.HasField("request") else r.artifact for r in records]
    files = [entry.path for artifact in artifacts for entry in artifact.manifest.contents]
    assert sorted(files) == ["set-1.safetensors", "set.safetensors"]
    pictures = list(out.glob("wandb/offline-run-*/files/media/images/*.png"))
    assert len([p for p in pictures if p.name.startswith("snapshot")]) == 1
    assert len([p for p in pictures if p.name.startswith("grid")]) == 2


def test_mlflow(logged):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    out, report = logged
    client, run = MlflowClient(), (out / "mlflow.id").read_text().strip()
    found = client.get_run(run)
    assert (found.info.run_name, found.info.status) == ("mine", "FINISHED")
    assert (found.data.params["run.outer_loops"], found.data.params["data"]) == ("3", "blobs")
    logged_losses = {(k, m.step): m.value for k in (0, 1) for m in client.get_metric_history(run, f"loss/set {k}")}
    assert logged_losses == pytest.approx(losses(out))
    accuracies = client.get_metric_history(run, "accuracy/condensed/convnet")
    assert [m.value for m in sorted(accuracies, key=lambda m: m.step)] == pytest.approx(means(report, "condensed"))
    assert [f.path for f in client.list_artifacts(run, "sets")] == ["sets/set-1.safetensors", "sets/set.safetensors"]
    pictures = [f.path for f in client.list_artifacts(run, "pictures")]
    assert pictures == [f"pictures/{n}.png" for n in ("grid-00000000", "grid-00000001", "snapshot-00000006")]
    kept = client.download_artifacts(run, "sets/set.safetensors")
    with open(kept, "rb") as file:
        assert file.read() == (out / "set.safetensors").read_bytes()


def test_trackio(logged):
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    out, report = logged
    rows = SQLiteStorage.get_logs("dcc", "mine")
    found = {(k, row["step"]): row[f"loss/set {k}"] for row in rows for k in (0, 1) if f"loss/set {k}" in row}
    assert found == pytest.approx(losses(out))
    accuracies = [row["accuracy/condensed/convnet"] for row in rows if "accuracy/condensed/convnet" in row]
    assert accuracies == pytest.approx(means(report, "condensed"))
    config = SQLiteStorage.get_run_config("dcc", "mine")
    assert (config["run.outer_loops"], config["data"]) == (3, "blobs")
    assert len([row for row in rows if "snapshot" in row]) == 1
    assert len([row for row in rows if "grid" in row]) == 2
    assert {artifact["name"] for artifact in SQLiteStorage.get_artifacts("dcc")} == {"set", "set-1"}


def test_no_byte_of_a_set_changes(logged, tmp_path):
    carry_out(tmp_path / "plain")
    assert (tmp_path / "plain" / "set-1.safetensors").read_bytes() == (logged[0] / "set-1.safetensors").read_bytes()


@pytest.mark.parametrize("verb", ["log_numbers", "log_file"])
def test_a_tracker_that_raises_ends_no_run(tracker, tmp_path, monkeypatch, verb):
    def lost(*_):
        raise ConnectionError("lost the connection")

    monkeypatch.setattr(f"dcc_plugins.trackers.{CLASSES[tracker]}.{verb}", lost)
    with pytest.warns(PluginWarning, match=rf"observer '{tracker}' of plugin builtin failed in .*lost the connection"):
        report = carry_out(tmp_path / "a", **{"run.log": tracker, "run.sets": 1})
    assert report["accuracy"]["condensed"]["sets"] == 1
    assert (tmp_path / "a" / "set.safetensors").exists()


def test_a_run_that_resumes_goes_on_with_its_log(tracker, tmp_path, monkeypatch):
    begun = []
    original = getattr(trackers, CLASSES[tracker]).log_numbers
    count = iter(range(100))

    def interrupted(self, *arguments):
        begun.append(self.identity)
        if next(count) == 3:
            raise KeyboardInterrupt
        original(self, *arguments)

    monkeypatch.setattr(f"dcc_plugins.trackers.{CLASSES[tracker]}.log_numbers", interrupted)
    options = {"run.log": f"{tracker},title=resumed", "run.sets": 1, "run.checkpoint": "0s"}
    with contextlib.suppress(KeyboardInterrupt):
        carry_out(tmp_path / "a", **options)
    report = carry_out(tmp_path / "a", **options)
    assert report["accuracy"]["condensed"]["sets"] == 1
    assert len(set(begun)) == 1


def test_a_tracker_that_does_not_begin_is_named(tmp_path):
    pytest.importorskip("mlflow")
    with pytest.raises(DccError, match=r"mlflow does not begin: .*nowhere.*Name a server"):
        carry_out(tmp_path / "a", **{"run.log": "mlflow,uri=nowhere://x", "run.sets": 1})
    assert not (tmp_path / "a" / "set.safetensors").exists()


@pytest.mark.parametrize("name", CLASSES)
def test_a_package_that_is_not_there_is_named(monkeypatch, name, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DccError, match=rf"needs the package {name}: pip install 'dataset-condensation\[{name}\]'"):
        carry_out(tmp_path, **{"run.log": name})


def test_none_is_imported_before_it_is_asked_for():
    program = """
import sys
import dcc_plugins.trackers, dcc_plugins.data.hub, dcc_plugins.commands.push
from dcc_core import Registry
Registry.installed().find("observer", "wandb").load()
print(sorted({"wandb", "mlflow", "trackio", "datasets", "huggingface_hub"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class OfTrackers(ObserverConformance):
    @pytest.fixture(autouse=True)
    def there(self):
        pytest.importorskip(self.component)


class TestWandB(OfTrackers):
    component = "wandb"


class TestMLflow(OfTrackers):
    component = "mlflow"


class TestTrackio(OfTrackers):
    component = "trackio"
