"""A resolved configuration with its data loaded: what condensing and scoring have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs
import torch
from torch import Tensor, nn

from dcc_core.api import Augmentation, Batch, Parametrisation
from dcc_core.config import Config, Rank, Settings, resolve
from dcc_core.criterion import CRITERIA
from dcc_core.engine import Watch, optimise
from dcc_core.errors import DccError
from dcc_core.evaluate import Scorer
from dcc_core.protocols import PROTOCOLS, Protocol
from dcc_core.real import Normalisation, RealImages
from dcc_core.registry import Registry
from dcc_core.rng import Randomness
from dcc_core.setfile import CondensedSet, Provenance, load_set
from dcc_core.step import RunContext
from dcc_core.synthetic import Synthetic

DTYPES = {"float32": torch.float32, "float64": torch.float64}
PLACES = ("run.device", "run.data_root")
"""Options that say where, not what: they stay out of the set file."""


class Job:
    """Loads the data of a configuration; condenses and scores with it.

    Raises DccError where the data, the device, the network and the number of images do not fit together.
    """

    def __init__(self, config: Config, registry: Registry) -> None:
        self.config = config
        self.registry = registry
        self.device = _device(config.run.device)
        self.dtype = DTYPES[config.run.precision]
        root = config.run.data_root or Path(platformdirs.user_cache_dir("dcc"))
        self.data = config.data.load(root=root, download=True, progress=True)
        self.real = RealImages(self.data, self.device, self.dtype)
        self.augmentation = config.aug.adapt(self.data.traits)
        self._check_ipc()
        self.build(Randomness(config.run.seed).generator("trial"))

    @property
    def method(self) -> str:
        """The loss and the augmentation in a word, e.g. `collective+dsa`."""
        names = self.config.names
        return names["loss"] if names["aug"] == "none" else f"{names['loss']}+{names['aug']}"

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the plugins' distributions and of torch."""
        return self.registry.versions() | {"torch": torch.__version__}

    def build(self, generator: torch.Generator) -> nn.Module:
        """A fresh network on the device."""
        channels, height, width = self.data.shape
        network = self.config.arch.build(
            channels=channels, classes=self.data.num_classes, size=(height, width), generator=generator
        )
        return network.to(self.device, self.dtype)

    def context(self, set_index: int = 0) -> RunContext:
        """The run of one synthetic set as its loss sees it."""
        run = self.config.run
        schedule = self.config.loss.schedule(run.ipc)
        return RunContext(
            data=self.data,
            real=self.real,
            augmentation=self.augmentation,
            parametrisation=self.config.param,
            criterion=CRITERIA[run.criterion],
            build=self.build,
            random=self._random(set_index),
            device=self.device,
            dtype=self.dtype,
            ipc=run.ipc,
            real_batch=run.real_batch,
            norm_batch=run.norm_batch,
            outer_loops=run.outer_loops,
            inner_loops=schedule.inner_loops if run.inner_loops is None else run.inner_loops,
            network_steps=schedule.network_steps if run.network_steps is None else run.network_steps,
            network_rate=run.network_rate,
            network_batch=run.network_batch,
        )

    def start(self, run: RunContext) -> Synthetic:
        """The synthetic set before the first step."""
        options = self.config.run
        images, labels, owners = self._initial(run)
        return Synthetic(
            self.config.param.init(images, labels),
            owners,
            self.config.param,
            num_classes=self.data.num_classes,
            rate=options.image_rate,
            momentum=options.image_momentum,
        )

    def condense(
        self, set_index: int = 0, watch: Watch | None = None, synthetic: Synthetic | None = None
    ) -> CondensedSet:
        """Learn one synthetic set, from `synthetic` where it is given."""
        run = self.context(set_index)
        learning = synthetic or self.start(run)
        optimise(run, self.config.loss, learning, set_index=set_index, watch=watch)
        return self.frozen(learning, set_index)

    def frozen(self, synthetic: Synthetic, set_index: int, *, finished: bool = True) -> CondensedSet:
        """The synthetic set as it stands, in unit space, with its provenance."""
        stored = {name: t.detach().cpu() for name, t in synthetic.stored.items()}
        stored["images"] = self.real.normalisation.to_unit(synthetic.stored["images"].detach()).cpu()
        if stored["labels"].is_floating_point():
            stored["owners"] = synthetic.owners
        learned = {name: t.detach().tolist() for name, t in synthetic.learned.items()}
        return CondensedSet(stored, self._provenance(set_index, learned, finished))

    def random_set(self, like: CondensedSet) -> CondensedSet:
        """Random real images, as many of each class as `like` has: the baseline."""
        counts = torch.bincount(like.owners, minlength=self.data.num_classes).tolist()
        index = like.provenance.set
        random = self._random(index).at("baseline")
        parts = [self.real.draw(k, n, random.generator(k)) for k, n in enumerate(counts)]
        images = self.real.normalisation.to_unit(torch.cat([p.images for p in parts]))
        stored = {"images": images.cpu(), "labels": torch.cat([p.labels for p in parts]).cpu()}
        provenance = replace(self._provenance(index, {}, True), method="random", config={})
        return CondensedSet(stored, provenance)

    def decoded(self, s: CondensedSet) -> Batch:
        """A set's training images, normalised by its own statistics, on the device."""
        norm = self._normalisation_of(s)
        stored = {name: t.to(self.device) for name, t in s.stored.items() if name != "owners"}
        stored = {name: t.to(self.dtype) if t.is_floating_point() else t for name, t in stored.items()}
        stored["images"] = norm.normalise(stored["images"])
        with torch.no_grad():
            return Batch(*self._parametrisation_of(s).decode(stored))

    def scorer(self, s: CondensedSet) -> Scorer:
        """How to score a set: by the configured protocol, on the data's test images."""
        self._check_classes(s)
        trial = self.build(Randomness(self.config.run.seed).generator("trial"))
        protocol = PROTOCOLS[self.config.score.protocol or "dc"]
        protocol = protocol.suited(self.data, trial, self.config.names["arch"])
        test = self.data.test
        return Scorer(
            protocol=protocol,
            augmentation=self._augmentation_of(protocol),
            build=self.build,
            architecture=self.config.names["arch"],
            test=Batch(self._normalisation_of(s).from_bytes(test.images.to(self.device)), test.labels.to(self.device)),
            num_classes=self.data.num_classes,
            random=self._random(s.provenance.set).at("score"),
        )

    def _random(self, set_index: int) -> Randomness:
        return Randomness(self.config.run.seed, ("set", set_index))

    def _normalisation_of(self, s: CondensedSet) -> Normalisation:
        return Normalisation(s.provenance.mean, s.provenance.std, self.device, self.dtype)

    def _augmentation_of(self, protocol: Protocol) -> Augmentation:
        """The protocol's augmentation; the run's own where it is of that name, with the run's options."""
        if protocol.augmentation == self.config.names["aug"]:
            return self.augmentation
        cls = self.registry.find("augmentation", protocol.augmentation).load()
        return cls(**protocol.options).adapt(self.data.traits)

    def _parametrisation_of(self, s: CondensedSet) -> Parametrisation:
        own = {k: v for k, v in s.provenance.config.items() if k.partition(".")[0] == "param"}
        mine = {k: v for k, v in self.config.table().items() if k.partition(".")[0] == "param"}
        if not own or own == mine:
            return self.config.param if own else _plain_images(self.registry)
        settings = Settings()
        settings.add(own, "set file", Rank.FILE)
        return resolve(self.registry, settings).param

    def _initial(self, run: RunContext) -> tuple[Tensor, Tensor, Tensor]:
        """Initial images (normalised), labels, and the class of each, sorted by class."""
        init, ipc, classes = self.config.run.init, self.config.run.ipc, self.data.num_classes
        if init == "real":
            chosen = torch.cat(list(self.config.selection.select(self.data, ipc, run)))
            batch = self.real.batch(chosen)
            return batch.images, batch.labels, batch.labels.cpu()
        owners = torch.arange(classes).repeat_interleave(ipc)
        if init == "noise":
            shape = (len(owners), *self.data.shape)
            noise = torch.randn(shape, generator=run.random.generator("init"), dtype=self.dtype)
            return noise.to(self.device), owners.to(self.device), owners
        s = load_set(init)
        self._check_classes(s)
        decoded = self.decoded(s)
        unit = self._normalisation_of(s).to_unit(decoded.images)
        owners = s.owners.repeat_interleave(len(unit) // len(s.owners))
        return self.real.normalisation.normalise(unit), decoded.labels, owners

    def _provenance(self, set_index: int, learned: Mapping[str, Any], finished: bool) -> Provenance:
        run = self.config.run
        table = {k: v for k, v in self.config.table().items() if k not in PLACES and not self._is_path(k)}
        if run.init not in ("real", "noise"):
            table["run.init"] = "set file"
        _, height, width = self.data.shape
        return Provenance(
            method=self.method,
            data=self.data.name,
            class_names=self.data.class_names,
            mean=self.data.mean,
            std=self.data.std,
            size=(height, width),
            seed=run.seed,
            set=set_index,
            config=table,
            learned=learned,
            versions=self.versions,
            finished=finished,
        )

    def _is_path(self, key: str) -> bool:
        return isinstance(self.config.entries[key].value, Path)

    def _check_ipc(self) -> None:
        label = self.real.smallest_class()
        have, ipc = len(self.real.by_class[label]), self.config.run.ipc
        if ipc > have:
            raise DccError(
                f"run.ipc: {ipc} images per class, but class '{self.data.class_names[label]}' of data "
                f"'{self.data.name}' has {have}; give at most {have}"
            )

    def _check_classes(self, s: CondensedSet) -> None:
        p = s.provenance
        expected = (self.data.class_names, (self.data.channels, *self.data.shape[1:]))
        found = (p.class_names, (len(p.mean), *p.size))
        if found != expected:
            raise DccError(
                f"the set holds {_describe(*found)} ('{p.data}'); data '{self.data.name}' holds "
                f"{_describe(*expected)}: they must agree"
            )


def _describe(names: tuple[str, ...], shape: tuple[int, ...]) -> str:
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} classes ({listed}) of {'×'.join(map(str, shape))} images"


def _plain_images(registry: Registry) -> Parametrisation:
    return registry.find("parametrisation", "identity").load()()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DccError(f"run.device: '{name}' cannot be used: {reason} One of auto, cpu, cuda, cuda:N") from error
    return device
