"""Bytes flipped, cut off, emptied or swapped in every kind of input file: a clear error or a result, no more."""

import contextlib
import random
import shlex
import shutil
import signal
import struct
from dataclasses import replace

import field_files
import numpy as np
import pytest
import toys
from click.testing import CliRunner
from imagenet32_files import write_imagenet32
from PIL import Image

import dcc_plugins.manifest
from dcc_core import Registry, hookimpl
from dcc_core.cli.app import cli
from dcc_core.plugins.registry import Origin
from dcc_core.scoring.protocols import PROTOCOLS

CASES = 500
SECONDS = 60
TINY = shlex.split(
    "--outer-loops 2 --inner-loops 2 --network-steps 0 --sets 1 --eval-nets 1 --quiet -o run.real_batch=4 --ipc 1"
)
LINEAR = ["--arch", "linear"]


class Dying:
    """Ends a run as a signal would, after its second step."""

    @hookimpl
    def dcc_step_finished(self, report):
        if (report.outer, report.inner) == (0, 1):
            raise KeyboardInterrupt


def registry(*more):
    plugins = [dcc_plugins.manifest, toys, *more]
    return Registry(plugins, [Origin(name) for name in ("builtin", "toys", "dying")[: len(plugins)]])


def invoke(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def run(folder, *words):
    return invoke("run", *TINY, *LINEAR, "--data", "blobs", *words, "--out", folder / "out")


# Each kind: makes the files below a folder, and names those that are spoiled; then a command that reads them.


def set_file(folder):
    assert run(folder).exit_code == 0
    (folder / "out" / "set.safetensors").rename(folder / "set.safetensors")
    shutil.rmtree(folder / "out")
    return [folder / "set.safetensors"]


def checkpoint(folder):
    patched = registry(Dying())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "installed", classmethod(lambda cls: patched))
        assert run(folder, "-o", "run.checkpoint=0s").exit_code == 130
    return [folder / "out" / "checkpoint.safetensors"]


def configuration(folder):
    assert run(folder).exit_code == 0
    shutil.move(folder / "out" / "config.toml", folder / "config.toml")
    shutil.rmtree(folder / "out")
    return [folder / "config.toml"]


def c_scores(folder):
    np.save(folder / "scores.npy", np.random.default_rng(0).random(26).astype(np.float32))
    return [folder / "scores.npy"]


def npz(folder):
    dice = np.random.default_rng(0)
    x, y = dice.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8), np.arange(12) % 3
    np.savez(folder / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return [folder / "mine.npz"]


def photos(folder):
    dice, paths = np.random.default_rng(0), []
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            for i in range(3):
                paths.append(folder / "photos" / part / name / f"{i}.png")
                paths[-1].parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def mnist(folder):
    raw, dice, paths = folder / "MNIST" / "raw", np.random.default_rng(0), []
    raw.mkdir(parents=True)
    for prefix, count in (("train", 30), ("t10k", 20)):
        images, labels = dice.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10
        for kind, x in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(">BBBB", 0, 0, 8, x.ndim) + b"".join(struct.pack(">I", n) for n in x.shape)
            paths.append(raw / f"{prefix}-{kind}-ubyte")
            paths[-1].write_bytes(head + x.tobytes())
    return paths


def imagenet32(form):
    def make(folder):
        place = write_imagenet32(folder / "imagenet32", form)
        return sorted(p for p in place.rglob("*") if p.is_file())

    return make


def parquet(folder):
    pytest.importorskip("pyarrow")
    assert run(folder, "--data", "digits").exit_code == 0
    assert invoke("convert", folder / "out" / "set.safetensors", folder / "hf", "--to", "hf").exit_code == 0
    shutil.rmtree(folder / "out")
    return sorted(p for p in (folder / "hf").rglob("*") if p.is_file())


def vico(folder):
    field_files.vico(folder / "res.pt")
    return [folder / "res.pt"]


def kip(folder):
    field_files.kip(folder / "kip.npz")
    return [folder / "kip.npz"]


READ = {
    "a set, loaded": (set_file, lambda f, path: invoke("eval", path, "--quiet", "--nets", 1)),
    "a set, inspected": (set_file, lambda f, path: invoke("inspect", path)),
    "a VICO file": (
        vico,
        lambda f, path: invoke("convert", path, f / "out", "--from", "vico", "--stats", "cifar10"),
    ),
    "a KIP file": (kip, lambda f, path: invoke("convert", path, f / "out", "--from", "kip")),
    "a Hugging Face folder": (parquet, lambda f, path: invoke("convert", f / "hf", f / "out", "--from", "hf")),
    "a set to begin with": (set_file, lambda f, path: run(f, "--init", path)),
    "a checkpoint": (checkpoint, lambda f, path: invoke("run", "--resume", f / "out", "--quiet")),
    "a configuration": (configuration, lambda f, path: run(f, "--config", path)),
    "C-scores": (
        c_scores,
        lambda f, path: invoke(
            *("select", "--method", "c-score", "-o", f"selection.scores={path}", "--data", "blobs", "--quiet"),
            *("--out", f / "out", "--eval-nets", 1, *LINEAR),
        ),
    ),
    "arrays": (npz, lambda f, path: run(f, "--data", f"npz:{path}")),
    "photos": (photos, lambda f, path: run(f, "--data", f"folder:{f / 'photos'}")),
    "MNIST": (mnist, lambda f, path: run(f, "--data", "mnist", "--data-root", f, "-o", "run.download=no")),
    "ImageNet32, npz": (
        imagenet32("npz"),
        lambda f, path: run(f, "--data", "imagenet32:lizard", "-o", "data.resolution=8", "--data-root", f),
    ),
    "ImageNet32, pickles": (
        imagenet32("pickle2"),
        lambda f, path: run(f, "--data", "imagenet32:lizard", "-o", "data.resolution=8", "--data-root", f),
    ),
}
"""What is read, by name: how its files are made, and the command."""
EACH = -(-CASES // len(READ))


@pytest.fixture(autouse=True, scope="module")
def _quick():
    own = registry()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "installed", classmethod(lambda cls: own))
        for name, protocol in list(PROTOCOLS.items()):
            patch.setitem(PROTOCOLS, name, replace(protocol, epochs=1))
        patch.setattr("dcc_core.scoring.protocols.Protocol.adapt", lambda self, *about: self)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of every kind with its files, as they are before anything is spoiled, and what is spoiled of them."""
    known = {}

    def make(kind):
        if kind not in known:
            folder = tmp_path_factory.mktemp("made")
            known[kind] = folder, [p.relative_to(folder) for p in READ[kind][0](folder)]
        return known[kind]

    return make


def spoiled(content, dice, others):
    """The content, spoiled in some way, and the way."""
    way = dice.choice(["flip", "flip", "flip", "cut", "empty", "swap", "zero", "double", "head"])
    if way == "empty" or not content:
        return way, b""
    place = dice.randrange(len(content))
    if way == "cut":
        return way, content[:place]
    if way == "swap":
        return way, dice.choice(others)
    if way == "zero":
        return way, content[:place] + bytes(min(64, len(content) - place)) + content[place + 64 :]
    if way == "double":
        return way, content + content
    flipped = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        end = min(256, len(content)) if way == "head" else len(content)
        flipped[dice.randrange(end)] ^= 1 << dice.randrange(8)
    return way, bytes(flipped)


def below(folder):
    """Every file below a folder but those of the output, and its content."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "out" not in p.relative_to(folder).parts}


def hangs(number, frame):
    raise AssertionError(f"nothing after {SECONDS} s")


@contextlib.contextmanager
def limited():
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", READ)
def test_what_is_spoiled_is_an_error_or_no_matter(kind, made, tmp_path):
    dice = random.Random(kind)
    origin, paths = made(kind)
    others = [(made(other)[0] / made(other)[1][0]).read_bytes() for other in READ]
    assert run(tmp_path, "-o", "run.checkpoint=0s").exit_code == 0
    whole, outcomes = (tmp_path / "out" / "set.safetensors").read_bytes(), []
    for case in range(EACH):
        folder = tmp_path / str(case)
        shutil.copytree(origin, folder)
        path = folder / dice.choice(paths)
        way, content = spoiled(path.read_bytes(), dice, others)
        path.write_bytes(content)
        before = below(folder)
        with limited():
            result = READ[kind][1](folder, path)
        said = f"{kind}, case {case}, {way} of {path.name}: {result.stderr}"
        assert result.exit_code in (0, 2), (said, result.exception)
        if result.exit_code == 2:
            assert sum(line.startswith("Error: ") for line in result.stderr.splitlines()) == 1, said
            assert "Traceback" not in said
            assert "DCC_DEBUG" not in said, said
        after = below(folder)
        changed = {str(p) for p in {*before, *after} if before.get(p) != after.get(p) and "dcc-cache" not in p.parts}
        assert not changed, said
        assert path.is_relative_to(folder / "out") or path.read_bytes() == content
        if kind == "a checkpoint" and result.exit_code == 0:
            assert (folder / "out" / "set.safetensors").read_bytes() == whole, said
        outcomes.append(result.exit_code)
        shutil.rmtree(folder)
    assert 2 in outcomes
    assert len(outcomes) == EACH
