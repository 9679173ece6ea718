"""A resolved configuration with its data loaded: what condensing and scoring have in common."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import platformdirs
import torch
from torch import nn

from dcc_core.compute import CRITERIA, DTYPES, WORKER_BYTES, Chunks, Compiler, Randomness, find_device, in_precision
from dcc_core.config import FREE
from dcc_core.data import Batch, ImageSet, RealImages, load_data
from dcc_core.engine import (
    Architecture,
    Augmentation,
    OnStep,
    ResumeState,
    RunContext,
    SaveState,
    State,
    Synthetic,
    check_decoded,
    optimise,
)
from dcc_core.errors import ContractError, DccError, faults_of
from dcc_core.group import ALONE, Group
from dcc_core.jobs.configuration import Config, versions_of
from dcc_core.jobs.memory_limit import memory_left
from dcc_core.jobs.preflight import Trial, adapt_augmentation, try_network
from dcc_core.jobs.provenance import describe_condensed
from dcc_core.jobs.starting_images import initial_rows
from dcc_core.plugins import Registry, Score
from dcc_core.renamed import old_name
from dcc_core.scoring import PROTOCOLS, Scorer, measurements, worker_count
from dcc_core.sets import CondensedSet, check_fits, decode_set, draw_grid, images_to_show, load_set, normalisation_of

log = logging.getLogger("dcc")


class Start(NamedTuple):
    """A synthetic set before its first step."""

    run: RunContext
    synthetic: Synthetic
    state: State


class Job:
    """Loads the data of a configuration; condenses and scores with it.

    initial: the set file to begin from, instead of the configuration's. group: the processes that share the job.
    Raises DccError if data, device, network and number of images do not fit together, or if processes differ.
    """

    def __init__(
        self,
        config: Config,
        registry: Registry,
        *,
        progress: bool = False,
        matching: bool = True,
        initial: Path | None = None,
        group: Group = ALONE,
    ) -> None:
        self.config = config
        self.registry = registry
        self.group = group
        self.device = find_device(config.run.device, group, precision=config.run.precision)
        self.dtype = DTYPES[config.run.precision]
        self.root = config.run.data_root or Path(platformdirs.user_cache_dir("dcc"))
        with group.leader_first():
            how = {"root": self.root, "download": config.run.download, "progress": progress and group.first}
            self.data = load_data(config.data, config.titles["data"], **how)
        self.real = RealImages(self.data, self.device, self.dtype)
        self.augmentation = self._adapt(config.aug, "aug")
        own = config.network_aug is config.aug
        self.network_augmentation = self.augmentation if own else self._adapt(config.network_aug, "run.network_aug")
        self._check_ipc()
        self._test_part(config.score.part)
        self._compiler = Compiler.of(config.run)
        self._memory = memory_left(config.run, self.data, self.device)
        self._trials: dict[str, Trial] = {}
        self.full_results: dict[str, tuple[Score, nn.Module]] = {}  # filled by Measurer, shared by sets
        self._try_networks(matching)
        given = config.run.init if initial is None or not initial.exists() else initial
        self.initial_set = None if config.run.init in ("real", "noise") else group.broadcast(lambda: load_set(given))
        if group.size > 1:
            group.check_agreement(self._facts())

    @property
    def method(self) -> str:
        """The loss and the augmentation in a word, e.g. `collective+dsa`."""
        return self.config.method

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the distributions that the configuration uses, and of torch."""
        return versions_of(self.config)

    def _facts(self) -> dict[str, object]:
        """What all processes of a group must have in common."""
        facts: dict[str, object] = {f"option {k}": value for k, value in self.config.table().items() if k not in FREE}
        facts |= {f"version of {name}": version for name, version in self.versions.items()}
        facts |= {f"images in a pass of {label}": self._chunks(label).images for label in self._trials}
        return facts | {"data": self.data.digest(), "threads": torch.get_num_threads(), "device": self.device.type}

    def build(self, generator: torch.Generator, architecture: Architecture | None = None) -> nn.Module:
        """A fresh network on the device: the run's, unless another is asked for."""
        channels, height, width = self.data.shape
        architecture, classes = architecture or self.config.arch, self.data.num_classes
        network = architecture.build(channels=channels, classes=classes, size=(height, width), generator=generator)
        if not isinstance(network, nn.Module):
            message = f"build gives a torch.nn.Module; it gave {type(network).__name__}"
            raise ContractError(message, self.config.title_of(architecture))
        return in_precision(network, self.config.run, self.device)

    def context(self, set_index: int = 0) -> RunContext:
        """The run of one synthetic set as its loss sees it."""
        run = self.config.run
        trial = self._trials[self.config.names["arch"]]
        return RunContext(
            data=self.data,
            real=self.real,
            augmentation=self.augmentation,
            network_augmentation=self.network_augmentation,
            parametrisation=self.config.param,
            criterion=CRITERIA[run.criterion],
            build=self.build,
            random=self.random(set_index),
            device=self.device,
            dtype=self.dtype,
            ipc=run.ipc,
            real_batch=run.real_batch,
            norm_batch=run.norm_batch,
            norm_momentum=run.norm_momentum,
            outer_loops=run.outer_loops,
            inner_loops=self.config.schedule.inner_loops,
            network_steps=self.config.schedule.network_steps,
            network_rate=run.network_rate,
            network_momentum=run.network_momentum,
            network_decay=run.network_decay,
            network_batch=run.network_batch,
            network_data=run.network_data,
            network_images=run.network_images,
            chunks=self._chunks(self.config.names["arch"]),
            plain_operations=bool(trial.plain),
            by_layer=trial.by_layer,
            compiler=self._compiler,
            group=self.group,
            titles=self.config.titles,
            root=self.root,
        )

    def start(self, set_index: int = 0) -> Start:
        """One set before its first step: its run, its initial images, and what its loss has set up.

        Raises ContractError if the parametrisation decodes something else than training images.
        """
        run = self.context(set_index)
        synthetic = self.initial(run)
        ends = (0, self.data.num_classes - 1)
        with faults_of(run.title_of_section("param")):
            check_decoded(synthetic.batch(*ends), len(synthetic.owners_of(ends)), self.data, self.dtype)
        with faults_of(run.title_of_section("loss")), self.group.leader_first():
            state = self.config.loss.setup(run, synthetic)
            if not isinstance(state, State):
                raise ContractError(f"setup gives a State, if only State(); it gave {type(state).__name__}")
        return Start(run, synthetic, state)

    def initial(self, run: RunContext) -> Synthetic:
        """The synthetic set as the parametrisation makes it of the initial images."""
        how = {"momentum": self.config.run.image_momentum, "optimiser": self.config.run.image_optimiser}
        return Synthetic(
            *initial_rows(self.config, self.registry, run, self.initial_set),
            self.config.param,
            num_classes=self.data.num_classes,
            rate=self.config.image_rate,
            **how,
            class_names=self.data.class_names,
        )

    def condense(
        self,
        set_index: int = 0,
        watch: OnStep | None = None,
        start: Start | None = None,
        *,
        looks: Callable[[int, int], bool] | None = None,
        keep: SaveState | None = None,
        begin: ResumeState | None = None,
    ) -> CondensedSet:
        """Learn one synthetic set, from `start` if it is given, at the moment `begin` of an earlier process."""
        run, synthetic, state = start or self.start(set_index)
        how = {"set_index": set_index, "watch": watch, "looks": looks, "keep": keep, "begin": begin}
        return self.freeze(synthetic, set_index, notes=optimise(run, self.config.loss, synthetic, state, **how))

    decoded, frozen = old_name("decoded", "decode"), old_name("frozen", "freeze")

    def freeze(
        self, synthetic: Synthetic, set_index: int, *, finished: bool = True, notes: tuple[str, ...] = ()
    ) -> CondensedSet:
        """The synthetic set as it stands, images in unit space, with its provenance."""
        stored = {name: t.detach() for name, t in synthetic.stored.items()}
        if "images" in stored:
            stored["images"] = self.real.normalisation.to_unit(stored["images"])
        stored = {name: t.cpu() for name, t in stored.items()} | {"owners": synthetic.owners}
        learned = {name: t.detach().tolist() for name, t in synthetic.learned.items()}
        how = {"initial_set": self.initial_set, "learned": learned, "finished": finished, "notes": notes}
        provenance = describe_condensed(self.config, self.registry, self.data, set_index, **how)
        return CondensedSet(stored, provenance)

    def decode(self, s: CondensedSet) -> Batch:
        """A set's training images, normalised by its own statistics, on the device."""
        return decode_set(s, self.registry, self.device, self.dtype)

    def grid(self, s: CondensedSet) -> bytes:
        """A picture of the stored images, or of the decoded ones if none are stored (PNG)."""
        return draw_grid(*images_to_show(s, self.registry), s.class_names)

    def scorer(self, s: CondensedSet | None, network: str = "", training: str = "", part: str = "") -> Scorer:
        """How to score a set, or all real images if there is none, on the images of a part: `score.part` by default.

        network: one of `Config.networks`; by default the run's own. training: by default the configured protocol's.
        """
        if s is not None:
            check_fits(s, self.data)
        label, own_aug = network or self.config.names["arch"], (self.config.names["aug"], self.augmentation)
        architecture = self.config.networks[network] if network else self.config.arch
        protocol = PROTOCOLS[training or measurements(self.config.score.protocol or "dc")["condensed"].training]
        protocol = protocol.adapt(self.data, self._trial_network(architecture), label.partition(",")[0])
        test = self._test_part(part or self.config.score.part)
        normalisation = self.real.normalisation if s is None else normalisation_of(s, self.device, self.dtype)
        random = Randomness(self.config.run.seed, ("full",)) if s is None else self.random(s.provenance.set)
        return Scorer(
            protocol=protocol,
            augmentation=protocol.resolve_augmentation(self.registry, self.data, *own_aug),
            build=functools.partial(self.build, architecture=architecture),
            architecture=label,
            chunks=self._chunks(label, worker_count(self.config.score.nets, self.device)),
            test=Batch(normalisation.from_bytes(test.images.to(self.device)), test.labels.to(self.device)),
            num_classes=self.data.num_classes,
            random=random.at("score"),
            compiler=self._compiler,
            group=self.group,
        )

    def _trial_network(self, architecture: Architecture) -> nn.Module:
        return self.build(Randomness(self.config.run.seed).generator("trial"), architecture)

    def _chunks(self, label: str, sharers: int = 1) -> Chunks:
        """How many images a network takes at once; several of them at a time share the memory."""
        memory = None if self._memory is None else self._memory // sharers
        how = {"given": self.config.run.micro_batch, "memory": memory, "spare": WORKER_BYTES if sharers > 1 else 0}
        return Chunks(self._trials[label].footprint, self.device, **how, shared=self.group.size > 1)

    def _adapt(self, augmentation: Augmentation, section: str) -> Augmentation:
        generator = Randomness(self.config.run.seed).generator("trial", "augmentation")
        batch = self.real.batch(torch.arange(2))
        return adapt_augmentation(augmentation, self.config.titles[section], self.data, batch, generator)

    def _try_networks(self, matching: bool) -> None:
        """Try every network on two images. Logs the operations that matching runs in another form."""
        images = self.real.batch(torch.arange(min(2, len(self.data.train.labels)))).images
        name = self.config.names["arch"]
        own = {name: self.config.arch} if matching else {}
        for label, architecture in {**own, **self.config.networks}.items():
            title = self.config.title_of(architecture)
            with faults_of(title):
                network = self._trial_network(architecture)
            self._trials[label] = try_network(network, title, images, self.data.num_classes)
        if matching and (plain := self._trials[name].plain):
            words = ", ".join(sorted(plain))
            log.info(
                f"{name}: matching uses the plain form of {words}, whose usual form cannot be differentiated twice"
            )

    def random(self, set_index: int) -> Randomness:
        """The random numbers of one synthetic set."""
        return Randomness(self.config.run.seed, ("set", set_index))

    def _test_part(self, part: str) -> ImageSet:
        if part == "test":
            return self.data.test
        if self.data.validation is None:
            raise DccError("score.part: there is no validation part; set one apart with -o data.validation=0.1")
        return self.data.validation

    def _check_ipc(self) -> None:
        label, ipc = self.real.smallest_class(), self.config.run.ipc
        if ipc * self.config.param.images_per_row > (have := len(self.real.by_class[label])):
            raise DccError(
                f"run.ipc: {ipc} images per class, but class '{self.data.class_names[label]}' of data "
                f"'{self.data.name}' has {have}; give at most {have // self.config.param.images_per_row}"
            )
