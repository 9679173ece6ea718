"""Notebooks of the documentation, run as they stand."""

import os
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest


def run_notebook(notebook, folder, **environment):
    """The cells of a notebook after a run in a folder, from the first to the last, with this Python's commands."""
    read = nbformat.read(notebook, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        for name, value in environment.items():
            patch.setenv(name, str(value))
        where = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(read, timeout=120, kernel_name="python3", resources=where).execute()
    return read.cells


def text(cell):
    """What a cell prints and shows as text."""
    return "".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", []))
