"""A process that keeps freed memory does not fetch its pages again; one whose user has settled this is left alone."""

import os
import platform
import subprocess
import sys

import pytest

from dcc_core.compute.allocator import OWN_SETTINGS

FAULTS = """
import resource, torch
from dcc_core.compute.allocator import keep_freed_memory
kept = {keep} and keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        block = torch.ones(10 * 2**20)  # 40 MiB, more than glibc comes to keep by itself
        del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(), faults()
print(int(kept), faults())
"""
VERSION = tuple(int(n) for n in platform.libc_ver()[1].split(".") if n.isdigit())
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory is not glibc's to manage")


def measured(*, keep, **env):
    """Whether freed memory is kept, and the page faults of four rounds that allocate the same."""
    clean = {k: v for k, v in os.environ.items() if k not in OWN_SETTINGS}
    code = FAULTS.format(keep=keep)
    out = subprocess.run([sys.executable, "-c", code], env=clean | env, capture_output=True, text=True, check=True)
    kept, faults = out.stdout.split()
    return kept == "1", int(faults)


@glibc
@pytest.mark.skipif(VERSION < (2, 35), reason="this glibc keeps smaller blocks alone")
def test_pages_are_fetched_once():
    """The least of three tries: a system that takes idle pages back adds faults, and nothing takes faults away."""
    tries = [measured(keep=True) for _ in range(3)]
    _, many = measured(keep=False)
    assert all(kept for kept, _ in tries)
    assert 10 * min(few for _, few in tries) < many


@glibc
@pytest.mark.parametrize("name", OWN_SETTINGS)
def test_own_settings_stand(name):
    kept, _ = measured(keep=True, **{name: "glibc.malloc.check=0" if name == "GLIBC_TUNABLES" else "1000000"})
    assert not kept
