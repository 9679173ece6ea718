import os

os.environ.pop("PYTEST_ADDOPTS", None)  # options of this session, not of those that tests start

workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if workers > 1:  # before torch is imported: workers that share cores, each with a thread for every core, only wait
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

import shutil
from pathlib import Path

import pytest
import toys

import dcc_plugins.manifest
from dcc_core import load_set
from dcc_core.config.settings import Rank, Settings
from dcc_core.jobs.configuration import Config, resolve
from dcc_core.jobs.job import Job
from dcc_core.plugins.registry import Origin, Registry
from dcc_plugins.exchange.conversion import convert

BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update", "--disable-sync"]


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where jobs, steps and the kit run, e.g. cuda")


def pytest_configure(config):
    """On a CPU, a GPU is hidden from this process and from those that it starts: every machine runs the same tests."""
    os.environ["DCC_TEST_DEVICE"] = config.getoption("--device")
    if config.getoption("--device") == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The built-in components and the toys."""
    return Registry([dcc_plugins.manifest, toys], [Origin("builtin", "dcc", "0.1"), Origin("toys", "dcc-toys", "1.0")])


@pytest.fixture(scope="session")
def configure(registry):
    """Resolve a configuration of dotted options over toy data: `configure({"loss": "means"})`."""

    def build(options=None, **flags) -> Config:
        settings = Settings()
        settings.add({"data": "blobs", "run.device": os.environ["DCC_TEST_DEVICE"]}, "test data", Rank.FILE)
        settings.add({**(options or {}), **flags}, "test", Rank.OPTION)
        return resolve(registry, settings)

    return build


@pytest.fixture(scope="session")
def make_job(registry, configure):
    """A `Job` over toy data, in float64 unless asked otherwise."""

    def build(options=None, **flags) -> Job:
        return Job(configure({"run.precision": "float64", **(options or {})}, **flags), registry)

    return build


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("DCC_TEST_DATA")
    if not folder:
        pytest.skip("DCC_TEST_DATA is not set: it names a folder with CIFAR-10, MNIST and ImageNet32")
    return Path(folder)


@pytest.fixture
def import_set(tmp_path, registry):
    """Read a file in a format: the set as it is then read from its set file."""

    def convert_and_load(source, name, **more):
        options = {"overwrite": True, "registry": registry, **more}
        convert(source, tmp_path / "read.safetensors", source_format=name, **options)
        return load_set(tmp_path / "read.safetensors")

    return convert_and_load


@pytest.fixture
def round_trip(tmp_path, registry, import_set):
    """A set that is written in a format, and read again; and what was said of it."""

    def there_and_back(s, name, **more):
        s.save(tmp_path / "ours.safetensors")
        options = more.pop("options", {})
        (tmp_path / "theirs").unlink() if (tmp_path / "theirs").is_file() else None
        shutil.rmtree(tmp_path / "theirs", ignore_errors=True)
        done = convert(
            tmp_path / "ours.safetensors",
            tmp_path / "theirs",
            target_format=name,
            options=options,
            registry=registry,
            overwrite=True,
        )
        return import_set(tmp_path / "theirs", name, options=options, **more), done.notes

    return there_and_back


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window; tests of it are skipped where there is none."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield browser
        browser.close()
