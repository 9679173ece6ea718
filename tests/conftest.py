import os
from pathlib import Path

import pytest
import toys

import dcc_plugins.manifest
from dcc_core.config import Config, resolve
from dcc_core.job import Job
from dcc_core.registry import Origin, Registry
from dcc_core.settings import Rank, Settings


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The built-in components and the toys."""
    return Registry([dcc_plugins.manifest, toys], [Origin("builtin", "dcc", "0.1"), Origin("toys", "dcc-toys", "1.0")])


@pytest.fixture(scope="session")
def configure(registry):
    """Resolve a configuration of dotted options over toy data: `configure({"loss": "dm"})`."""

    def build(options=None, **flags) -> Config:
        settings = Settings()
        settings.add({"data": "blobs"}, "test data", Rank.FILE)
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
