"""Objects in place of names: the same images, the same errors, names with digests, and runs that resume."""

import functools
import json
from dataclasses import dataclass
from typing import final

import datasets
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from interrupting import Interrupting
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

from dcc_core import DccError, MatchingLoss, Part, RealData, Registry, condense, load_set, score, select
from dcc_core.cli.app import cli
from dcc_core.errors import OptionError, Stopped
from dcc_plugins.augmentation import Jitter
from dcc_plugins.commands.run import run
from dcc_plugins.data.digits import Digits
from dcc_plugins.distances import DISTANCES
from dcc_plugins.dsa import DSA
from dcc_plugins.losses import ClassWise, Collective
from dcc_plugins.networks.convnet import ConvNet
from dcc_plugins.objects.digests import digest
from dcc_plugins.objects.modules import ModuleArchitecture
from dcc_plugins.parametrisations import Identity
from dcc_plugins.selections.in_feature_space import Herding
from dcc_plugins.warmup import Warmup

QUICK = {"ipc": 1, "outer_loops": 1, "inner_loops": 2, "network_steps": 1, "real_batch": 8}
SMALL = {"arch.width": 4, "arch.depth": 1}


@pytest.fixture(scope="module")
def real():
    return Digits().load(root=None, download=False, progress=False)


@pytest.fixture(scope="module")
def parts(real):
    """A few images of three digits: ((images, labels), (images, labels)), train and test."""
    found = []
    for part, each in ((real.train, 8), (real.test, 4)):
        rows = torch.cat([torch.nonzero(part.labels == k).squeeze(1)[:each] for k in range(3)])
        found.append((part.images[rows], part.labels[rows]))
    return tuple(found)


def images(**choices):
    options = SMALL | choices.pop("options", {})
    return condense(**QUICK, **choices, options=options).images


def distance(synthetic, real):
    return DISTANCES["mse"]([r[None] for r in real], [s[None] for s in synthetic]).sum()


def network(channels, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes))


@final
@dataclass(frozen=True, kw_only=True)
class Pixels(MatchingLoss):
    """Match mean pixels."""

    weight: float = 1.0

    def terms(self, step, state):
        for label in step.classes:
            pair = [b.images.mean(dim=0) for b in (step.real(label), step.synthetic.batch(label))]
            yield Part(self.weight * (pair[0] - pair[1]).square().sum())


@pytest.mark.parametrize(
    ("named", "given"),
    [
        ({"loss": "class-wise", "options": {"loss.distance": "cosine"}}, {"loss": ClassWise(distance="cosine")}),
        ({"loss": "class-wise"}, {"loss": ClassWise}),
        ({"aug": "dsa", "options": {"aug.strategy": "crop,scale"}}, {"aug": DSA(strategy=("crop", "scale"))}),
        ({"arch": "convnet", "options": {"arch.norm": "batch"}}, {"arch": ConvNet(norm="batch", width=4, depth=1)}),
        ({"param": "identity"}, {"param": Identity()}),
        ({"options": {"selection": "herding"}}, {"selection": Herding()}),
        (
            {
                "loss": "warmup",
                "options": {"loss.first": "class-wise", "loss.first.distance": "mse", "loss.then": "collective"},
            },
            {"loss": Warmup(first=ClassWise(distance="mse"), then=Collective())},
        ),
    ],
    ids=lambda choices: next(iter(choices)),
)
def test_a_builtin_component_gives_the_file_of_its_name(named, given):
    few = {"data": "digits", "options": {"data.classes": "0,1,2"}}
    files = []
    for choices in (named, given):
        options = SMALL | few["options"] | choices.get("options", {})
        files.append(condense(**QUICK, data="digits", **{**choices, "options": options}).to_bytes())
    assert files[0] == files[1]


def test_real_data_give_the_images_of_their_source(real):
    assert torch.equal(images(data=real, aug="dsa"), images(data="digits", aug="dsa"))
    few = {"data.classes": (3, 8), "data.per_class": 9}
    assert torch.equal(images(data=real, options=few), images(data="digits", options=few))
    assert torch.equal(
        select(method=Herding(), data=real, ipc=2, options=SMALL).images,
        select(method="herding", data="digits", ipc=2, options=SMALL).images,
    )


class Pictures(Dataset):
    """As torchvision's data sets are."""

    classes = ("zero", "one", "two")

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return Image.fromarray(self.images[i, 0].numpy()), int(self.labels[i])


def of_hugging_face(images, labels):
    features = datasets.Features({"img": datasets.Image(), "digit": datasets.ClassLabel(names=["zero", "one", "two"])})
    pictures = [Image.fromarray(image[0].numpy()) for image in images]
    return datasets.Dataset.from_dict({"img": pictures, "digit": labels.tolist()}, features=features)


FORMS = {
    "tensors": lambda x, y: (x, y),
    "floats": lambda x, y: (x.float() / 255, y),
    "arrays": lambda x, y: (x[:, 0].numpy(), y.numpy()),
    "channels last": lambda x, y: (x.permute(0, 2, 3, 1).double().numpy() / 255, y.tolist()),
    "tensor data set": TensorDataset,
    "pictures": Pictures,
    "a part of one": lambda x, y: Subset(Pictures(x.repeat(2, 1, 1, 1), y.repeat(2)), range(len(y))),
    "datasets": of_hugging_face,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_data_gives_the_same_images(form, parts):
    given = [FORMS[form](*part) for part in parts]
    expected = images(data=list(parts))
    assert torch.equal(images(data=tuple(given)), expected)
    assert torch.equal(images(data={"train": given[0], "test": given[1]}), expected)


def test_classes_have_the_names_of_their_source(parts):
    dictionary = datasets.DatasetDict(train=of_hugging_face(*parts[0]), test=of_hugging_face(*parts[1]))
    for data in (dictionary, Pictures(*parts[0])):
        assert condense(data=data, **QUICK, options=SMALL).class_names == ("zero", "one", "two")


def test_without_a_test_part_a_fifth_is_set_apart(parts):
    made = condense(data=parts[0], **QUICK, options=SMALL)
    first, second = (score(made, data=parts[0], nets=1, protocol="dc") for _ in range(2))
    assert first.accuracies == second.accuracies
    assert round(first.mean * 6) == pytest.approx(first.mean * 6)


def test_a_function_of_gradients_is_the_bare_collective_loss(parts):
    named = images(data=parts, loss="collective-bare", options={"loss.distance": "mse"})
    assert torch.equal(images(data=parts, loss=distance), named)
    assert torch.equal(images(data=parts, loss=lambda real, synthetic: distance(synthetic, real)), named)


def test_a_function_of_a_step_is_a_loss(parts):
    def pixels(step):
        for term in Pixels(weight=2.0).terms(step, None):
            yield term.value

    assert torch.equal(images(data=parts, loss=pixels), images(data=parts, loss=Pixels(weight=2.0)))


def test_what_is_given_stands_in_the_file_with_its_options(parts):
    made = condense(data=parts, loss=Pixels(weight=2.0), arch=network, **QUICK).provenance
    assert made.config["loss"] == f"python:Pixels@{digest(Pixels)}"
    assert made.config["loss.weight"] == 2.0
    assert made.config["arch"] == f"python:network@{digest(network)}"
    assert made.config["data"].startswith("python:arrays@")


def test_a_network_needs_no_embed_and_is_seeded():
    built = [
        ModuleArchitecture(network).build(
            channels=1, classes=3, size=(8, 8), generator=torch.Generator().manual_seed(seed)
        )
        for seed in (0, 0, 1)
    ]
    weights = [next(n.parameters()) for n in built]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(built[0].network[-1](built[0].embed(x)), built[0](x))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"loss": 3}, "loss: 3 (builtins.int) is given; expected a name, or a MatchingLoss, a function of"),
        ({"loss": lambda a, b, c: a}, "loss: <lambda> needs 3 arguments"),
        ({"loss": lambda synthetic, real: 1.0}, "the function gives scalar tensors; it gave float"),
        ({"arch": nn.Linear(2, 2)}, "give a function that builds one, lambda: Net()"),
        ({"arch": lambda channels, depth: None}, "arch: the builder needs depth; what it can be given is channels, in"),
        ({"arch": lambda: 3}, "arch: the builder gives an nn.Module; it gave int"),
        ({"arch": lambda: nn.Flatten()}, "the network has no nn.Linear; give it a method embed"),
        ({"aug": Collective()}, "expected a name, or an Augmentation. This is a component of kind loss"),
        ({"param": len}, "parametrisation: <built-in function len>"),
        ({"data": 3}, "data: 3 (builtins.int) is given; expected a name, or (images, labels)"),
        ({"data": {"left": 3}}, "data: the parts are left; expected train, and test or validation"),
        ({"data": (torch.randn(9, 1, 8, 8), torch.arange(9) % 3)}, "data: images of the train part spans"),
        ({"data": (torch.zeros(9, 1, 8, 8), torch.arange(8))}, "data: labels of the train part"),
        ({"data": TensorDataset(torch.zeros(9, 1, 8, 8))}, "item 0 is tuple; expected (image, label)"),
    ],
)
def test_a_wrong_object_gives_one_clear_error(choices, words):
    with pytest.raises(DccError) as raised:
        condense(**{"data": "digits", **choices}, **QUICK)
    assert words in str(raised.value)


def test_columns_that_cannot_be_told_apart_are_refused(parts):
    two = of_hugging_face(*parts[0])
    two = two.add_column("other", two["digit"]).cast_column("other", two.features["digit"])
    with pytest.raises(DccError, match=r"labels in digit, other; dataset.select_columns\(\[IMAGE, LABEL\]\) keeps two"):
        condense(data=two, **QUICK)
    assert len(images(data=two.select_columns(["img", "digit"]))) == 3


def compiled(text, **names):
    """What a cell defines."""
    exec(text, names)
    return names["f"]


def test_digests_change_with_what_an_object_does():
    helper = "def g(x):\n    return x + {}\ndef f(x):\n    return g(x) * k\n"
    sources = [compiled(helper.format(n), k=k, __name__="cell") for n, k in ((1, 1), (1, 1), (2, 1), (1, 2))]
    first, again, *others = map(digest, sources)
    assert first == again
    assert len({first, *others}) == 3

    def scaled(by):
        return lambda x: x * by

    assert digest(scaled(2)) == digest(scaled(2)) != digest(scaled(3))
    assert digest(functools.partial(network, 1)) != digest(functools.partial(network, 3))
    x = np.arange(6, dtype=np.float32)
    assert digest(x) == digest(x.copy()) == digest(torch.from_numpy(x)) != digest(x.reshape(2, 3))
    assert digest(Pixels) != digest(Jitter)


def test_data_of_other_bytes_have_another_name(parts):
    (x, y), test = parts
    changed = x.clone()
    changed[-1, 0, 0, 0] += 1
    names = [
        condense(data=((own, y), test), **QUICK, options=SMALL).provenance.config["data"] for own in (x, x, changed)
    ]
    assert names[0] == names[1] != names[2]


SCORED = {"nets": 1, "protocol": "dc", "sets": 1, "options": {"score.baseline": False, "run.checkpoint": "0s"}}


def into(folder, parts, **more):
    return condense(data=parts, loss=distance, arch=network, out=folder, **QUICK | {"outer_loops": 2}, **SCORED, **more)


def test_a_run_of_objects_is_a_run(tmp_path, parts):
    seen = []
    made = into(tmp_path / "run", parts, watch=seen.append)
    assert len(seen) == 4
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["config"]["loss"] == {"value": f"python:distance@{digest(distance)}", "origin": "given in Python"}
    assert made.provenance.scores[0]["mean"] == report["accuracy"]["condensed"]["mean"]
    assert made.to_bytes() == (tmp_path / "run" / "set.safetensors").read_bytes()
    assert {"config.toml", "grid.png", "run.log", "metrics.jsonl"} <= {p.name for p in (tmp_path / "run").iterdir()}
    alone = condense(data=parts, loss=distance, arch=network, **QUICK | {"outer_loops": 2})
    assert torch.equal(alone.images, made.images)
    with pytest.raises(DccError, match="is not empty"):
        into(tmp_path / "run", parts)


def test_an_interrupted_run_of_objects_resumes_with_the_objects_alone(tmp_path, parts):
    whole = into(tmp_path / "whole", parts)
    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        into(folder, parts, registry=Registry.installed(Interrupting(3)))
    result = CliRunner().invoke(run, ["--resume", str(folder)])
    assert result.exit_code == 2
    for word in ("data 'python:arrays@", f"loss 'python:distance@{digest(distance)}' was given in Python", "arch=..."):
        assert word in result.stderr

    def other(synthetic, real):
        return 2 * distance(synthetic, real)

    with pytest.raises(DccError, match=r"loss: python:distance@\w+, now python:other@\w+"):
        condense(resume=folder, data=parts, loss=other, arch=network)
    resumed = condense(resume=folder, data=parts, loss=distance, arch=network)
    assert resumed.to_bytes() == whole.to_bytes()


def test_scoring_needs_what_was_given(tmp_path, parts):
    made = condense(data=parts, arch=network, **QUICK)
    with pytest.raises(OptionError, match=r"architecture 'python:network@\w+' was given in Python; give it again"):
        score(made, data=parts, nets=1, protocol="dc")
    assert 0 <= score(made, data=parts, arch=network, nets=1, protocol="dc").mean <= 1
    made.save(tmp_path / "set.safetensors")
    np.savez(tmp_path / "few.npz", x_train=parts[0][0], y_train=parts[0][1], x_test=parts[1][0], y_test=parts[1][1])
    words = ["eval", str(tmp_path / "set.safetensors"), "--data", f"npz:{tmp_path / 'few.npz'}", "--nets", "1"]
    assert "was given in Python" in CliRunner().invoke(cli, words).stderr
    result = CliRunner().invoke(cli, [*words, "--arch", "mlp", "--protocol", "dc"])
    assert result.exit_code == 0, result.stderr


def test_select_into_a_folder(tmp_path, parts):
    made = select(method=Herding(), data=parts, ipc=1, out=tmp_path / "run", **SCORED, arch=network)
    assert load_set(tmp_path / "run" / "set.safetensors").to_bytes() == made.to_bytes()
    with pytest.raises(DccError, match="set_index: 1, but a run into a folder makes all"):
        select(data=parts, set_index=1, out=tmp_path / "other", **SCORED)


def test_a_registry_for_a_parametrisation_of_ones_own(parts):
    @final
    @dataclass(frozen=True, kw_only=True)
    class Own(type(Identity())):
        pass

    made = condense(data=parts, param=Own(), **QUICK, options=SMALL)
    with pytest.raises(DccError, match=r"parametrisation 'python:Own@\w+' was given in Python"):
        made.dataset()
    _, registry = Registry.installed().name_objects({"param": Own()})
    assert len(made.dataset(registry=registry)) == 3


def test_real_data_are_checked_as_a_source_is(real):
    dark = RealData("dark", real.train, real.test, real.class_names, mean=(2.0,), std=(0.5,))
    with pytest.raises(DccError, match="statistics are of images scaled to"):
        images(data=dark)
