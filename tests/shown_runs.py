"""Runs to be shown: their folders, as fast as they can be made, and a class whose name means harm."""

import json
from dataclasses import replace

import pytest
import torch
import toys
from safetensors import safe_open
from safetensors.torch import save_file

import dcc_plugins.manifest
from dcc_core import Registry
from dcc_core.config.settings import Rank, Settings
from dcc_core.jobs.configuration import resolve
from dcc_core.plugins.registry import Origin
from dcc_core.runs.run import execute
from dcc_core.runs.run_folder import RunFolder
from dcc_core.runs.snapshots import make_pictures, to_bytes
from dcc_core.scoring.protocols import PROTOCOLS
from dcc_core.sets.condensed_set import CondensedSet, Provenance
from dcc_plugins.terminal import Display

HOSTILE = (
    "<script>window.harm = 1</script>",
    '"\'><img src=x onerror="window.harm = 1">',
    "\u202egnidaer fo redro eht",
    "n" * 500,
    "🦄 & {{ 7 * 7 }} $x_1$",
    "</title></style><style>*{display:none}</style>",
)
SMALL = {
    "data": "blobs-of:6,6,6,6,6,6",
    "data.channels": 3,
    "loss": "collective",
    "arch": "linear",
    "run.outer_loops": 4,
    "run.inner_loops": 3,
    "run.network_steps": 1,
    "run.sets": 2,
    "run.ipc": 2,
    "score.nets": 2,
    "score.protocol": "dc",
    "score.arch": "linear,mlp",
}


def renamed(folder, names=HOSTILE):
    """Give the classes of a run's files other names, those among them that no data source may have."""
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            ((key, text),) = file.metadata().items()
        save_file(tensors, path, {key: json.dumps(json.loads(text) | {"class_names": names})})
    return folder


def registry_of(*more):
    plugins = [dcc_plugins.manifest, toys, *more]
    return Registry(plugins, [Origin(f"plugin {i}" if i else "builtin", "dcc", "1.0") for i in range(len(plugins))])


def made(out, options=(), *watchers, **how):
    """Carry out a run, with networks that hardly train; returns its folder."""
    registry, settings = registry_of(*watchers), Settings()
    settings.add({**SMALL, **dict(options)}, "test", Rank.OPTION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "dc", replace(PROTOCOLS["dc"], epochs=3))
        execute(resolve(registry, settings), registry, RunFolder(out), Display(quiet=True), **how)
    return out


def large(out, classes=1000, ipc=10, on_the_way=0):
    """A finished run's folder with many classes of noise, which no format makes smaller, without the run.

    on_the_way: how many moments it has kept, the last among them.
    """
    out.mkdir()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((classes * ipc, 3, 32, 32), generator=generator)
    owners = torch.arange(classes).repeat_interleave(ipc)
    names = tuple(f"class {k}" for k in range(classes))
    about = Provenance(
        method="collective", data="noise", class_names=names, mean=(0.5,) * 3, std=(0.2,) * 3, size=(32, 32), seed=0
    )
    s = CondensedSet({"images": images, "labels": owners, "owners": owners}, about)
    s.save(out / "set.safetensors")
    (out / "snapshots").mkdir()
    for step in range(-on_the_way, 0):
        s.images.copy_(s.images.flip(0))
        pictures = make_pictures(s, registry_of(), step + on_the_way)
        (out / "snapshots" / f"{pictures.step:08}.safetensors").write_bytes(to_bytes(pictures))
    config = {"run.outer_loops": {"value": on_the_way, "origin": "default"}}
    fields = {"method": "collective", "config": config, "versions": {}, "seconds": {}, "by_architecture": {}}
    (out / "report.json").write_text(json.dumps(fields))
    return out
