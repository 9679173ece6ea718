"""The distribution: what is built from a checkout works where nothing of the checkout is."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("dcc", "dataset_condensation", "__editable__")
"""How the entries of site-packages begin that belong to this project or its plugins."""

pytestmark = pytest.mark.slow


def call(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An sdist of the checkout, and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "checkout"
    names = call("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    call(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", folder, source)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    inside = folder / sdist.name.removesuffix(".tar.gz")
    call(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, inside)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    """The programs of a fresh environment: the wheel, and of what is installed here the packages that it needs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    needed = folder / "needed"
    needed.mkdir()
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if not entry.name.startswith(OURS) and not (needed / entry.name).exists():
                (needed / entry.name).symlink_to(entry)
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    call(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", built)
    (site / "needed.pth").write_text(f"{needed}\n")
    return folder / "venv" / "bin"


def test_the_wheel_holds_both_packages_and_their_data(built):
    names = set(zipfile.ZipFile(built).namelist())
    assert {"dcc_core/engine/algorithm.py", "dcc_core/engine/__init__.pyi", "dcc_core/py.typed"} <= names
    assert {"dcc_plugins/recipes/official.toml", "dcc_plugins/tables/overview.toml"} <= names
    assert {"dcc_plugins/pages/templates/page.html", "dcc_plugins/commands/templates/loss.py.tmpl"} <= names
    assert {"dcc_plugins/data/imagenet_wordnet.json", "dcc_plugins/studies/contrast.md"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"dcc_core", "dcc_plugins", "dataset_condensation-0.1.0.dist-info"}


def test_the_readmes_commands_work_from_it(environment, tmp_path):
    """The first as it stands but for its length; of the tests, those that the wheel brings: the kit, on a component."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = {"cwd": tmp_path, "env": clean}
    words = "--loss collective --aug dsa --outer-loops 2 --eval-nets 1 --protocol dc --quiet --out run"
    call(environment / "dcc-run", *words.split(), **where)
    assert (tmp_path / "run" / "set.safetensors").is_file()
    call(environment / "dcc", "report", "run", **where)
    (tmp_path / "test_kit.py").write_text(
        "import dcc_core\nfrom dcc_core.testing import SelectionConformance\n\n\n"
        f"def test_place():\n    assert not dcc_core.__file__.startswith({str(ROOT)!r})\n\n\n"
        "class TestRandom(SelectionConformance):\n    component = 'random'\n"
    )
    assert " passed" in call(environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", ".", **where)
