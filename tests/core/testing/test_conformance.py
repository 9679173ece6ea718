"""The conformance kit on the built-in components, as an author would use it."""

import ast
from pathlib import Path

import pytest

import dcc_plugins.manifest
from dcc_core import Registry
from dcc_core.plugins.registry import Origin
from dcc_core.testing import (
    ArchitectureConformance,
    AugmentationConformance,
    DataConformance,
    LossConformance,
    ObserverConformance,
    ParametrisationConformance,
    RecipeConformance,
    SelectionConformance,
)
from dcc_plugins.testing import StudyConformance, TableConformance
from dcc_plugins.testing.formats import FormatConformance

ROOT = Path(__file__).parents[3]
REGISTRY = Registry([dcc_plugins.manifest], [Origin("builtin", "dcc", "0.1")])


class Here:
    """The built-in plugin of this repository, installed or not."""

    def registry(self):
        return REGISTRY


class TestClassWise(Here, LossConformance):
    component, settings = "class-wise", {"aug": "dsa"}


class TestCollective(Here, LossConformance):
    component, options = "collective", {"distance": "cosine"}


class TestDsa(Here, AugmentationConformance):
    component = "dsa"


class TestJitter(Here, AugmentationConformance):
    """The published one fills borders with the mean of the batch."""

    component, alone = "jitter", False


class TestCutMix(Here, AugmentationConformance):
    component = "idc"


class TestConvNet(Here, ArchitectureConformance):
    component, options = "convnet", {"width": 4}


class TestLeNet(Here, ArchitectureConformance):
    component = "lenet"


class TestDigits(Here, DataConformance):
    component, embedded = "digits", True


class TestMnist(Here, DataConformance):
    """Its files are not there: only that is tested."""

    component = "mnist"


class TestIdentity(Here, ParametrisationConformance):
    component = "identity"


class TestUpsampled(Here, ParametrisationConformance):
    component = "upsampled"


class TestRandom(Here, SelectionConformance):
    component = "random"


class TestHerding(Here, SelectionConformance):
    component, options = "herding", {"features": "pixels"}


class TestKMeans(Here, SelectionConformance):
    component, options = "k-means", {"features": "pixels"}


class TestComposed(Here, SelectionConformance):
    component, options = "composed", {"teacher_epochs": 1}


class TestSoft(Here, SelectionConformance):
    component, options = "soft", {"of": "random", "teacher_epochs": 1, "epochs": 2}


class TestVico(Here, FormatConformance):
    component = "vico"


class TestMtt(Here, FormatConformance):
    component = "mtt"


class TestMttWhitened(Here, FormatConformance):
    component, options, whitened = "mtt", {"zca": "whitened"}, True


class TestDatm(Here, FormatConformance):
    component = "datm"


class TestIdc(Here, FormatConformance):
    component, options = "idc", {"factor": 1}


class TestKipFiles(Here, FormatConformance):
    component, whitened = "kip", True


class TestKipFilesNormalised(Here, FormatConformance):
    component, options = "kip", {"zca": "none"}


class TestDDRanking(Here, FormatConformance):
    component = "dd-ranking"


class TestPng(Here, FormatConformance):
    component, tolerance = "png", 1 / 510


class TestHuggingFace(Here, FormatConformance):
    component, tolerance = "hf", 1 / 510


class TestContrast(Here, StudyConformance):
    component, options = "contrast", {"ratios": (1.0,), "shown": 1.0, "steps": 1, "count": 40, "seeds": 1}


class TestNtkVelocity(Here, StudyConformance):
    component, settings, options = (
        "ntk-velocity",
        {"arch.width": 2, "run.network_steps": 0, "run.real_batch": 4},
        {"data": "digits", "ipc": 1, "outer_loops": 2, "inner_loops": 3, "seeds": 1},
    )


class TestCsv(Here, ObserverConformance):
    component = "csv"


class TestPaper(Here, RecipeConformance):
    component = "paper"


class TestOfficial(Here, RecipeConformance):
    component = "official"


class TestOverview(Here, TableConformance):
    component = "overview"


class TestWarmUps(Here, TableConformance):
    component = "warm-up"


class TestInstalled(SelectionConformance):
    """One line opts in: what is installed is where components are found."""

    component = "random"


@pytest.mark.parametrize("path", sorted((ROOT / "dcc_core").glob("*.py")), ids=lambda p: p.name)
def test_the_core_does_not_need_its_kit(path):
    """Nor pytest."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    assert [n for n in names if n.startswith(("dcc_core.testing", "pytest"))] == []
