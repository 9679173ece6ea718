"""Whatever the options: a run ends well, or with exit code 2 and one message before any work."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import toys
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings, strategies as st

import dcc_plugins.manifest
from dcc_core import Registry, load_set
from dcc_core.plugins.registry import Origin
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_plugins.commands.run import run

TINY = ("--outer-loops", "2", "--sets", "1", "--eval-nets", "1", "--quiet")
OPTIONS = {
    "--data": ["blobs", "blobs-of:3,2", "blobs-of:9,1,4,2", "blobs-of:", "digits2"],
    "--loss": ["collective", "class-wise", "means", "mtt", "warmup", "collective-bare", "colective"],
    "--aug": ["none", "dsa", "mixup", "idc", "jitter"],
    "--arch": ["linear", "mlp", "convnet", "lenet", "timm/nothing"],
    "--param": ["identity", "half", "scaled"],
    "--init": ["real", "noise", "herding", "first", "missing.safetensors"],
    "--ipc": ["1", "2", "3", "0", "-1", "x", "1e3"],
    "--seed": ["0", "7", "-1", "18446744073709551616"],
    "--inner-loops": ["1", "2", "0"],
    "--network-steps": ["0", "1", "-1"],
    "--protocol": ["dc", "dsa", "idc", "ars", "acc"],
    "--eval-arch": ["linear", "mlp", "convnet,width=2", "convnet,width=0", "linear,linear"],
    "--memory": ["4G", "1k", "lots"],
    "--budget": ["0s", "soon"],
    "--device": ["cpu", "cuda:99", "tpu"],
    "run.image_rate": ["0.1", "1e30", "0", "nan", "inf"],
    "run.image_momentum": ["0", "0.9", "1"],
    "run.network_rate": ["0.01", "1e30"],
    "run.real_batch": ["1", "2", "100000000"],
    "run.network_batch": ["1", "3"],
    "run.network_data": ["real", "synthetic", "both"],
    "run.network_images": ["1", "2", "none"],
    "run.norm_batch": ["0", "1", "8"],
    "run.norm_momentum": ["1", "none", "2"],
    "run.criterion": ["hinge", "cross-entropy"],
    "run.precision": ["float64", "bfloat16", "int8"],
    "run.micro_batch": ["1", "none", "0"],
    "run.compile": ["auto", "off", "always"],
    "run.layout": ["channels-last", "auto", "channels-first", "nhwc"],
    "run.tf32": ["all", "off", "some"],
    "run.deterministic": ["no", "maybe"],
    "run.checkpoint": ["0s", "1d", "never"],
    "arch.norm": ["batch", "group", "none"],
    "arch.width": ["1", "4", "0"],
    "arch.depth": ["1", "2", "9"],
    "aug.strategy": ["color,crop", "none", "cutout,cutout", "blur"],
    "loss.distance": ["cosine", "mse", "layerwise", "l7"],
    "loss.warmup": ["none", "simple", "bi-level"],
    "data.classes": ["0,1", "0", "0,7", "blob 1,blob 0"],
    "data.per_class": ["1", "2", "0"],
    "data.validation": ["0.5", "0.01", "1"],
    "score.part": ["validation", "test"],
    "run.snapshots": ["0", "1", "-1", "1,2", "1,-2", "1,x"],
    "score.curve": ["0", "2", "-1"],
    "score.baseline": ["no", "maybe"],
    "": ["loss", "=", "no.such=1", "run.seeed=1"],
}


def words(key, value):
    if key.startswith("--"):
        return [key, value]
    return ["-o", f"{key}={value}" if key else value]


@st.composite
def commands(draw):
    keys = draw(st.lists(st.sampled_from(sorted(OPTIONS)), min_size=1, max_size=7, unique=True))
    return [word for key in keys for word in words(key, draw(st.sampled_from(OPTIONS[key])))]


@pytest.fixture(autouse=True, scope="module")
def _toys_and_short_scoring():
    registry = Registry([dcc_plugins.manifest, toys], [Origin("builtin", "dcc", "0.1"), Origin("toys")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "installed", classmethod(lambda cls: registry))
        for name, protocol in list(PROTOCOLS.items()):
            patch.setitem(PROTOCOLS, name, replace(protocol, epochs=2))
        patch.setattr("dcc_core.scoring.protocols.Protocol.adapt", lambda self, *about: self)
        yield


@pytest.mark.slow
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(commands())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_combination_runs_or_is_refused_before_the_work(command):
    place = Path(tempfile.mkdtemp())
    try:
        base = [] if "--data" in command else ["--data", "blobs"]
        result = CliRunner().invoke(run, [*TINY, *base, *command, "--out", str(place / "out")])
        said = result.stderr
        if result.exit_code == 0:
            assert load_set(place / "out" / "set.safetensors").provenance.finished
            assert (place / "out" / "report.json").exists()
        else:
            assert result.exit_code == 2, (command, said, result.exception)
            assert said.count("Error: ") == 1, (command, said)
            assert "Traceback" not in said, (command, said)
            began = list((place / "out").glob("*"))
            assert not began or "not finite" in said, (command, said, began)
        assert [p.name for p in place.iterdir()] in ([], ["out"])
    finally:
        shutil.rmtree(place)
