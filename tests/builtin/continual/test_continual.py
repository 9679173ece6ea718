"""Continual learning: stages, memories, replay, and sequences that go on where they were interrupted."""

import json
import os
import shutil
import signal
from collections import deque

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional as F

from dcc_core import Batch, Component, DccError, Registry, hookimpl, load_set
from dcc_core.cli.app import cli
from dcc_core.compute.random import Randomness
from dcc_core.config.settings import Rank, Settings
from dcc_core.data.images import ImageSet, RealData
from dcc_core.runs.run_folder import RunFolder
from dcc_plugins.continual.heads import HeadOf, Heads
from dcc_plugins.continual.metrics import average_accuracy, backward_transfer, forgetting
from dcc_plugins.continual.options import ContinualOptions
from dcc_plugins.continual.plan import Plan
from dcc_plugins.continual.replay import Learner, Memory
from dcc_plugins.continual.specs import memory_specs, stage_specs
from dcc_plugins.continual.stages import convert_images, split_classes

THREE = "digits,classes=0+1+2,digits,classes=3+4,digits,classes=5+6"
QUICK = [
    *("--stages", THREE, "--ipc", "2", "--seeds", "1", "--outer-loops", "2"),
    *("-o", "arch.width=4", "-o", "run.inner_loops=2", "-o", "run.network_steps=1", "-o", "continual.plot=false"),
    *("-o", "data.per_class=40"),
]


def invoke(*arguments):
    return CliRunner().invoke(cli, ["continual", *map(str, arguments)])


def planned(registry, memories=("ring-buffer",), stages=(THREE,), given=None, **options):
    settings = Settings()
    small = {"arch.width": 4, "run.ipc": 2, "run.outer_loops": 1, "run.inner_loops": 1, **(given or {})}
    settings.add(small, "test", Rank.OPTION)
    own = ContinualOptions(stages=tuple(stages), memory=tuple(memories), plot=False, **options)
    specs = stage_specs(own.stages, registry), memory_specs(own.memory, registry)
    return Plan(own, *specs, settings, registry, progress=False)


class Seen:
    """The batches that a network is trained on, in order."""

    def __init__(self, network):
        self.batches = []
        network.register_forward_pre_hook(self._see)

    def _see(self, network, arguments):
        if network.training:
            self.batches.append(arguments[0].clone())


def learner_of(plan):
    return Learner(plan.learner, plan.options, Randomness(0, ("test",)))


# metrics


def test_metrics_of_a_matrix_by_hand():
    a = [[0.9], [0.6, 0.8], [0.7, 0.5, 1.0]]
    assert average_accuracy(a) == pytest.approx([0.9, 0.7, 2.2 / 3])
    # stage 0 was best at 0.9, stage 1 at 0.8: (0.9 - 0.7 + 0.8 - 0.5) / 2
    assert forgetting(a) == [None, pytest.approx(0.3), pytest.approx(0.25)]
    assert backward_transfer(a) == [None, pytest.approx(-0.3), pytest.approx((0.7 - 0.9 + 0.5 - 0.8) / 2)]


def test_forgetting_counts_from_the_best_and_backward_transfer_from_the_first():
    a = [[0.5], [0.9, 0.4], [0.6, 0.6, 0.3]]
    assert forgetting(a)[-1] == pytest.approx((0.9 - 0.6 + 0.4 - 0.6) / 2)
    assert backward_transfer(a)[-1] == pytest.approx((0.6 - 0.5 + 0.6 - 0.4) / 2)


# heads


def test_with_several_heads_a_stage_has_its_own_classes_alone():
    heads = Heads((3, 2, 4), single=False)
    assert [heads.columns(k, 2) for k in range(3)] == [slice(0, 3), slice(3, 5), slice(5, 9)]
    labels = torch.tensor([1, 0])
    assert torch.equal(heads.labels(labels, 1, 2), labels)


def test_with_a_single_head_all_classes_seen_compete():
    heads = Heads((3, 2, 4), single=True)
    assert [heads.columns(1, now) for now in (1, 2)] == [slice(0, 5), slice(0, 9)]
    assert heads.labels(torch.tensor([1, 0]), 1, 2).tolist() == [4, 3]
    soft = torch.tensor([[0.25, 0.75]])
    assert heads.labels(soft, 1, 1).tolist() == [[0, 0, 0, 0.25, 0.75]]
    assert heads.labels(soft, 1, 2).shape == (1, 9)


@pytest.mark.parametrize("single", [False, True])
def test_the_loss_is_the_mean_over_all_images_each_by_its_head(single):
    heads = Heads((2, 3), single=single)
    logits = torch.randn(5, heads.total, generator=torch.Generator().manual_seed(0))
    own, replayed = torch.tensor([2, 0, 1]), torch.tensor([0, 1])
    if single:
        expected = F.cross_entropy(logits, torch.tensor([4, 2, 3, 0, 1]))
    else:
        first = F.cross_entropy(logits[:3, 2:], own, reduction="sum")
        expected = (first + F.cross_entropy(logits[3:, :2], replayed, reduction="sum")) / 5
    torch.testing.assert_close(heads.loss(logits, [(1, own), (0, replayed)], now=1), expected)


def test_a_head_is_a_view_of_the_network():
    network = torch.nn.Linear(4, 5)
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(HeadOf(network, slice(2, 4))(x), network(x)[:, 2:4])


# stages


def data_of(channels, size, classes=2, name="made", **more):
    generator = torch.Generator().manual_seed(channels)
    images = torch.randint(0, 256, (8, channels, *size), generator=generator, dtype=torch.uint8)
    part = ImageSet(images, torch.arange(8) % classes)
    return RealData(name, part, part, tuple(f"{name} {k}" for k in range(classes)), **more)


def test_grey_images_become_colourful_by_three_equal_colours():
    data = data_of(1, (4, 4), mean=(0.2,), std=(0.3,))
    found = convert_images(data, 3, (4, 4))
    assert torch.equal(found.train.images, data.train.images.expand(-1, 3, -1, -1))
    assert (found.mean, found.std) == ((0.2,) * 3, (0.3,) * 3)


def test_colours_become_grey_by_their_luma_with_statistics_of_their_own():
    data = data_of(3, (4, 4), mean=(0.2,) * 3, std=(0.3,) * 3)
    found = convert_images(data, 1, (4, 4))
    red, green, blue = data.train.images.double().unbind(1)
    expected = (0.299 * red + 0.587 * green + 0.114 * blue).round()
    assert (found.train.images[:, 0].double() - expected).abs().max() <= 1  # rounding of float32
    assert found.mean == pytest.approx((float(found.test.images.double().mean() / 255),))


def test_sizes_are_brought_together_without_shifting_anything():
    flat = data_of(1, (8, 8))
    even = RealData(
        "flat", *[ImageSet(torch.full_like(flat.train.images, 77), flat.train.labels)] * 2, ("a", "b"), (0.5,), (0.5,)
    )
    assert (convert_images(even, 1, (12, 10)).train.images == 77).all()
    half = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    half[..., 4:] = 200
    sides = RealData("sides", *[ImageSet(half.repeat(2, 1, 1, 1), torch.arange(2))] * 2, ("a", "b"))
    large = convert_images(sides, 1, (16, 16)).train.images[0, 0]
    assert (large[:, :7] == 0).all() and (large[:, 9:] == 200).all()
    assert torch.equal(convert_images(flat, 1, (8, 8)).train.images, flat.train.images)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(DccError, match="images of 2 channels"):
        convert_images(data_of(2, (4, 4)), 3, (4, 4))


def test_classes_are_cut_in_order():
    assert split_classes("abcdefg", 3, "x") == [("a", "b", "c"), ("d", "e"), ("f", "g")]
    with pytest.raises(DccError, match="give at most 3"):
        split_classes("abcdefg", 4, "x")


def test_a_split_is_the_same_as_its_stages_by_name(registry):
    cutting = planned(registry, stages=["digits"], split=5)
    named = planned(registry, stages=[",".join(f"digits,classes={k}+{k + 1}" for k in range(0, 10, 2))])
    assert [s.label for s in cutting.stages][:2] == ["digits 1/5", "digits 2/5"]
    for one, other in zip(cutting.learner, named.learner, strict=True):
        assert one.data.class_names == other.data.class_names
        assert torch.equal(one.data.train.images, other.data.train.images)
        assert one.data.mean == other.data.mean


def test_stages_have_one_shape_and_a_single_head_one_statistic(registry):
    stages = ["digits,classes=0+1", "blobs,channels=3,size=6"]
    several = planned(registry, stages=stages, given={"arch.depth": 1})
    assert {job.data.shape for job in several.learner} == {(3, 8, 8)}
    assert several.learner[0].data.mean != several.learner[1].data.mean
    single = planned(registry, stages=stages, head="single", given={"arch.depth": 1})
    assert single.learner[0].data.mean == single.learner[1].data.mean == several.learner[0].data.mean


# memories


class Twice:
    @staticmethod
    @hookimpl
    def dcc_losses():
        return [Component(name="both", target="toys:DistributionMatching", summary="a loss")]

    @staticmethod
    @hookimpl
    def dcc_selections():
        return [Component(name="both", target="toys:First", summary="a selection")]


@pytest.mark.parametrize(
    ("name", "made", "options"),
    [
        ("ring-buffer", "ring-buffer", {}),
        ("none", "none", {}),
        ("herding", "selection", {"selection": "herding"}),
        ("collective", "loss", {"loss": "collective", "aug": "builtin:none"}),
        ("class-wise+dsa", "loss", {"loss": "class-wise", "aug": "dsa"}),
        ("builtin:collective+dsa", "loss", {"loss": "builtin:collective", "aug": "dsa"}),
        ("selection:random", "selection", {"selection": "random"}),
        ("collective,loss.warmup=none", "loss", {"loss": "collective", "aug": "builtin:none", "loss.warmup": "none"}),
    ],
)
def test_memories_are_told_apart_by_name(registry, name, made, options):
    (spec,) = memory_specs([name], registry)
    assert (spec.label, spec.kind, spec.options) == (name, made, options)


def test_a_name_of_a_loss_and_a_selection_asks_which():
    registry = Registry.installed(Twice())
    with pytest.raises(DccError, match="a loss and a selection; write 'loss:both' or 'selection:both'"):
        memory_specs(["both"], registry)
    assert [s.kind for s in memory_specs(["loss:both", "selection:both"], registry)] == ["loss", "selection"]
    with pytest.raises(DccError, match=r"write 'loss:both\+dsa' or 'selection:both\+dsa'"):
        memory_specs(["both+dsa"], registry)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("colective", "Did you mean 'collective'"),
        ("ring-bufer", "Did you mean 'ring-buffer'"),
        ("herding+dsa", "only a loss takes an augmentation"),
        ("collective+dsaa", "Did you mean 'dsa'"),
        ("random,random", "'random' is named twice"),
        ("random,data.classes=1", "data.classes is an option of stages"),
        ("random,selection", "no loss, selection or other memory named 'selection'"),
        ("", "none are given"),
    ],
)
def test_wrong_memories_are_one_message(registry, name, message):
    with pytest.raises(DccError, match=message):
        memory_specs([name], registry)


def test_options_of_losses_harm_no_other_memory(registry):
    plan = planned(registry, ["random", "collective"], given={"loss.warmup": "none", "run.init": "noise"})
    assert plan.config(plan.memories[0], 0, 0).names["selection"] == "random"
    assert plan.config(plan.memories[1], 0, 0).loss.warmup == "none"


def test_a_ring_buffer_holds_what_a_queue_for_each_class_would(registry):
    """A restatement: every image goes into its class's queue of three as the network sees it, in both epochs."""
    plan = planned(registry, epochs=2, given={"run.ipc": 3})
    learner, job = learner_of(plan), plan.learner[0]
    seen = Seen(learner.network)
    learner.learn(0, Memory({}))
    real = job.real.batch(torch.arange(len(job.real)))
    queues = [deque(maxlen=3) for _ in range(3)]
    for image in torch.cat(seen.batches):
        place = int((real.images == image).flatten(1).all(dim=1).nonzero()[0])
        queues[int(real.labels[place])].append(image)
    assert sum(map(len, seen.batches)) == 2 * len(job.real)
    held = real.images[learner.last_seen(0, 3)]
    assert torch.equal(held, torch.stack([image for queue in queues for image in queue]))
    assert real.labels[learner.last_seen(0, 3)].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


# replay


def memory_of(plan, stage, n, value):
    job = plan.learner[stage]
    images = torch.full((n, *job.data.shape), value, device=job.device)
    return Batch(images, torch.zeros(n, dtype=torch.int64, device=job.device))


def test_every_batch_is_joined_by_one_of_the_memory(registry):
    plan = planned(registry, batch=7, replay_batch=5)
    learner = learner_of(plan)
    seen = Seen(learner.network)
    memory = Memory({0: memory_of(plan, 0, 4, 100.0), 1: memory_of(plan, 1, 4, 200.0)})
    learner.learn(2, memory)
    images = len(plan.learner[2].real)
    assert [len(b) for b in seen.batches[:-1]] == [12] * (images // 7)
    assert len(seen.batches[-1]) == 5 + images % 7
    replayed = torch.stack([batch[-5:, 0, 0, 0] for batch in seen.batches])
    assert set(replayed.unique().tolist()) == {100.0, 200.0}
    counts = (replayed == 100.0).sum(dim=1)
    assert counts.unique().numel() > 2 and counts.max() <= 4  # drawn anew for each batch, no image twice


def test_a_memory_smaller_than_its_batch_is_replayed_whole():
    memory = Memory({1: Batch(torch.arange(3.0).view(3, 1, 1, 1), torch.tensor([0, 1, 1]))})
    ((stage, batch),) = memory.draw(10, torch.Generator().manual_seed(0))
    assert stage == 1 and sorted(batch.images.flatten().tolist()) == [0, 1, 2]
    assert Memory({}).draw(10, torch.Generator()) == []


def test_memories_share_first_weights_and_the_order_of_real_images(registry):
    plan = planned(registry)
    seen = []
    for value in (1.0, 2.0):
        learner = learner_of(plan)
        seen.append(Seen(learner.network))
        learner.learn(0, Memory({}))
        learner.learn(1, Memory({0: memory_of(plan, 0, 20, value)}))
    first = plan.learner[0].real
    assert len(seen[0].batches) == len(seen[1].batches)
    for one, other in zip(seen[0].batches, seen[1].batches, strict=True):
        assert torch.equal(one[:10], other[:10]) or len(one) < 20
    assert not torch.equal(seen[0].batches[-1], seen[1].batches[-1])
    assert len(first) > 20


def test_replay_keeps_what_is_forgotten_without(registry):
    """Two stages under a single head: without a memory the first stage's classes are never predicted again."""
    plan = planned(registry, stages=["digits,classes=0+1,digits,classes=2+3"], head="single", given={"arch.width": 16})
    accuracies = {}
    for replays in (False, True):
        learner = learner_of(plan)
        learner.learn(0, Memory({}))
        job = plan.learner[0]
        memory = Memory({0: job.real.batch(learner.last_seen(0, 10))} if replays else {})
        learner.learn(1, memory)
        accuracies[replays] = learner.test(1)
    assert accuracies[False][0] < 0.2 and accuracies[False][1] > 0.8
    assert accuracies[True][0] > 0.7


def test_augmentations_reach_stage_and_memory(registry):
    plan = planned(registry, aug=("dsa", "strategy=cutout"), stages=["digits,classes=0+1,digits,classes=2+3"])
    learner = learner_of(plan)
    seen = Seen(learner.network)
    learner.learn(1, Memory({0: memory_of(plan, 0, 20, 100.0)}))
    replayed = torch.stack([batch[-10:] for batch in seen.batches])
    assert set(replayed.unique().tolist()) == {0.0, 100.0}


@pytest.mark.parametrize("loss", ["collective", "means"])
def test_any_loss_and_parametrisation_makes_a_memory(registry, loss, tmp_path):
    from dcc_plugins.continual.comparison import Comparison
    from dcc_plugins.terminal import Display

    plan = planned(registry, [f"{loss},param=half"], given={"run.network_steps": 1}, seeds=1)
    results = Comparison(plan, tmp_path / "out").run(Display(quiet=True)).as_dict()
    assert results["memories"][f"{loss},param=half"]["rows"] == 2 * (3 + 2)
    (folder,) = (tmp_path / "out" / "seed-0").iterdir()
    s = load_set(folder / "memory-0" / "set.safetensors")
    assert (s.provenance.config["param"], s.class_names) == ("half", ("0", "1", "2"))


# the command


def files_of(out):
    """The content of everything that holds no time."""
    timed = ("continual.json", "cost.json", "run.log", "plan.json")
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in timed and not path.name.startswith("stage-")
    }


MEMORIES = ("--memory", "ring-buffer", "--memory", "collective+dsa", "--memory", "random", "--memory", "none")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A comparison that nobody interrupts."""
    out = tmp_path_factory.mktemp("continual") / "out"
    result = invoke(*QUICK, *MEMORIES, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout.splitlines()[-1])


def test_a_comparison_from_end_to_end(undisturbed):
    out, report = undisturbed
    assert [s["stage"] for s in report["stages"]] == THREE.replace(",digits", " digits").split()
    assert [s["classes"] for s in report["stages"]] == [["0", "1", "2"], ["3", "4"], ["5", "6"]]
    assert list(report["memories"]) == [m for m in MEMORIES if not m.startswith("--")]
    for name, one in report["memories"].items():
        assert [len(row) for row in one["matrix"]] == [1, 2, 3]
        assert one["matrix"] == one["matrices"]["0"]
        assert [a["mean"] for a in one["average_accuracy"]] == pytest.approx(average_accuracy(one["matrix"]))
        assert one["forgetting"][0] is None and one["backward_transfer"][2]["std"] == 0
        assert one["rows"] == (0 if name == "none" else 10) and one["seconds"]["learn"] > 0
    assert len({one["matrix"][0][0] for one in report["memories"].values()}) == 1
    lines = (out / "matrix.csv").read_text().splitlines()
    assert lines[0] == "memory,seed,learned,tested,accuracy" and len(lines) == 1 + 4 * 6
    folder = out / "seed-0" / "collective+dsa"
    assert load_set(folder / "memory-1" / "set.safetensors").provenance.method == "collective+dsa"
    assert load_set(out / "seed-0" / "ring-buffer" / "memory-0" / "set.safetensors").provenance.method == "ring-buffer"
    assert not (folder / "memory-2").exists()  # after the last stage nothing is replayed
    assert sorted(p.name for p in folder.glob("network-*")) == [f"network-{k}.safetensors" for k in range(3)]
    assert json.loads((out / "continual.json").read_text())["memories"] == report["memories"]


def test_the_same_command_again_takes_what_is_there(undisturbed, tmp_path):
    out, report = undisturbed
    copy = shutil.copytree(out, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*.safetensors")}
    again = json.loads(invoke(*QUICK, *MEMORIES, "--out", copy, "--json").stdout.splitlines()[-1])
    assert again["memories"] == report["memories"]
    more = json.loads(
        invoke(*QUICK, "--memory", "random,run.ipc=1", "--memory", "none", "--out", copy, "--json").stdout.splitlines()[
            -1
        ]
    )
    assert list(more["memories"]) == ["random,run.ipc=1", "none"]
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_other_options_are_refused_and_overwrite_begins_anew(undisturbed, tmp_path):
    out, _ = undisturbed
    copy = shutil.copytree(out, tmp_path / "out")
    before = files_of(copy)
    for words in (("--epochs", "2"), ("--outer-loops", "3"), ("-o", "arch.width=5"), ("--head", "single")):
        result = invoke(*QUICK, *MEMORIES, *words, "--out", copy)
        assert result.exit_code == 2 and "started with other options" in result.stderr
    assert files_of(copy) == before
    result = invoke(*QUICK, *MEMORIES, "--epochs", "2", "--out", copy, "--overwrite", "--json")
    assert result.exit_code == 0, result.stderr
    assert files_of(copy)["matrix.csv"] != before["matrix.csv"]


def signals(patch, owner, name, after):
    """Have the process signalled at the `after`-th call of a method."""
    own, left = getattr(owner, name), [after]

    def signalling(*arguments, **more):
        result = own(*arguments, **more)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    patch.setattr(owner, name, signalling)


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (Learner, "_step", 5),
        (Learner, "_step", 50),
        (RunFolder, "metric", 3),
        (RunFolder, "metric", 6),
        (Learner, "test", 2),
    ],
)
def test_a_sequence_that_was_interrupted_ends_with_the_same_bytes(
    owner, name, after, undisturbed, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        signals(patch, owner, name, after)
        result = invoke(*QUICK, *MEMORIES, "--out", out)
    assert result.exit_code == 143 and "resumes" in result.stderr
    assert not (out / "continual.json").exists()
    result = invoke(*QUICK, *MEMORIES, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    assert files_of(out) == files_of(undisturbed[0])
    matrices = [
        {k: m["matrices"] for k, m in r["memories"].items()}
        for r in (undisturbed[1], json.loads(result.stdout.splitlines()[-1]))
    ]
    assert matrices[0] == matrices[1]


def test_what_was_overwritten_is_not_taken_up_again(undisturbed, tmp_path, monkeypatch):
    """Another comparison in the same folder, interrupted in its first memory: the others' files are the old ones."""
    copy = shutil.copytree(undisturbed[0], tmp_path / "out")
    words = [*QUICK, *MEMORIES, "-o", "continual.rate=0.1"]
    with monkeypatch.context() as patch:
        signals(patch, Learner, "_step", 5)
        assert invoke(*words, "--out", copy, "--overwrite").exit_code == 143
    assert invoke(*words, "--out", copy).exit_code == 0
    assert invoke(*words, "--out", tmp_path / "fresh").exit_code == 0
    assert files_of(copy) == files_of(tmp_path / "fresh")


@pytest.mark.parametrize("spoil", ["network", "json", "plan"])
def test_spoiled_files_are_one_message(spoil, undisturbed, tmp_path):
    copy = shutil.copytree(undisturbed[0], tmp_path / "out")
    folder = copy / "seed-0" / "none"
    (folder / "stage-2.json").unlink()
    names = {"network": folder / "network-1.safetensors", "json": folder / "stage-1.json", "plan": copy / "plan.json"}
    path = names[spoil]
    path.write_bytes(path.read_bytes()[:-3])
    result = invoke(*QUICK, *MEMORIES, "--out", copy)
    assert result.exit_code == 2 and path.name in result.stderr and "--overwrite starts again" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "none are given"),
        (["--stages", "digits"], "is one stage"),
        (["--stages", "digits,digits"], "'digits' is named twice"),
        (["--stages", "digits,digits,classes=0+1+2+3+4+5+6+7+8+9"], "have the same images"),
        (["--stages", "digitss,mnist"], "Did you mean 'digits'"),
        (["--stages", "digits,classes=0+11"], "'11' is no class of 'digits'"),
        (["--stages", "digits,clases=0+1"], "Did you mean 'classes'"),
        (["--stages", "digits", "--split", "6"], "give at most 5"),
        (["--stages", "digits", "--split", "1"], "continual.split"),
        (["--stages", "digits", "--split", "2", "--ipc", "200"], "give at most"),
        (["--stages", "digits", "--split", "2", "--head", "triple"], "one of multi, single"),
        (["--stages", "digits,classes=0+1,digits,classes=1+2", "--head", "single"], "class '1' is in"),
        (["--stages", "digits", "--split", "2", "--memory", "colective"], "Did you mean 'collective'"),
        (["--stages", "digits", "--split", "2", "--memory", "full"], "keeps every image"),
        (["--stages", "digits", "--split", "2", "-o", "continual.epoch=3"], "Did you mean 'epochs'"),
        (["--stages", "digits", "--split", "2", "--memory", "collective", "-o", "run.budget=1m"], "run.budget"),
        (["--stages", "digits", "--split", "2", "-o", "run.log=csv"], "run.log"),
        (["--stages", "digits", "--split", "2", "-o", "score.part=validation"], "no validation part"),
        (["--stages", "digits", "--split", "2", "-o", "continual.aug=dsaa"], "Did you mean 'dsa'"),
        (["--stages", "digits", "--split", "2", "-o", "continual.size=2"], "convnet needs images of at least"),
    ],
)
def test_bad_input_is_one_message_and_writes_nothing(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*words, "-o", "continual.plot=false", "--quiet")
    assert result.exit_code == 2, result.stderr
    assert message in result.stderr and result.stderr.startswith("Error: ") and "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("side", "depth"), [(8, 2), (16, None)])
def test_the_largest_images_decide_the_network(tmp_path, caplog, side, depth):
    """`digits` suggests two blocks for its 8×8; of larger images the network has as many as fit."""
    rng = np.random.default_rng(0)
    arrays = {f"x_{p}": rng.integers(0, 256, (24, side, side), dtype=np.uint8) for p in ("train", "test")}
    np.savez(tmp_path / "own.npz", **arrays, **{f"y_{p}": np.arange(24) % 3 for p in ("train", "test")})
    stages = ("--stages", f"digits,npz:{tmp_path / 'own.npz'}", "-o", "continual.plot=false", "--ipc", "2")
    small = ("--seeds", "1", "-o", "arch.width=4", "--memory", "ring-buffer")
    with caplog.at_level("INFO", "dcc"):
        result = invoke(*stages, *small, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert f"one network learns all stages: arch.depth={depth}" in caplog.text + result.stderr
    assert [len(s["classes"]) for s in json.loads(result.stdout.splitlines()[-1])["stages"]] == [10, 3]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = invoke(*QUICK, "--out", tmp_path)
    assert result.exit_code == 2 and "holds mine.txt and is not a comparison" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_plot_is_a_picture_of_the_same_bytes_again(undisturbed, tmp_path):
    copy = shutil.copytree(undisturbed[0], tmp_path / "out")
    words = [w.replace("plot=false", "plot=true") for w in QUICK]
    result = invoke(*words, *MEMORIES, "--out", copy)
    assert result.exit_code == 0, result.stderr
    assert (copy / "continual.png").read_bytes().startswith(b"\x89PNG")
    svg = (copy / "continual.svg").read_bytes()
    assert b"<svg" in svg
    invoke(*words, *MEMORIES, "--out", copy)
    assert (copy / "continual.svg").read_bytes() == svg
