"""The documentation site builds without a warning, and has what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dcc_core

ROOT = Path(__file__).parents[2]
TITLES = {
    "Start in five minutes",
    "Choose a loss",
    "Bring your data",
    "Writing a plugin",
    "Reproduce the paper",
    "The set file",
    "API",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, by page."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(out)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return {path.stem: path.read_text() for path in out.glob("*.html")}


def test_every_page_is_there_and_says_something(site):
    titles = {re.sub(r"<.*", "", h) for text in site.values() for h in re.findall(r"<h1[^>]*>(.*?)</h1>", text, re.S)}
    assert titles >= TITLES
    words = {name: len(re.sub("<[^>]+>", "", text).split()) for name, text in site.items() if name != "404"}
    assert [name for name, count in words.items() if count < 150] == []


def test_what_the_readme_leaves_out_is_there(site):
    assert not [name for name, text in site.items() if "<!-- README" in text]
    assert "scikit-learn's 8×8 handwritten digits" in site["index"]
    assert "downsampled ImageNet of Chrabaszcz" in site["data"]
    assert "--resume FOLDER" in site["running"]


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} == listed


def test_the_api_has_every_public_name(site):
    shown = set(re.findall(r'id="dcc_core\.[\w.]*?(\w+)"', site["api"]))
    assert set(dcc_core.__all__) - shown == set()


def test_nothing_comes_from_elsewhere(site):
    """No fonts, scripts or styles of other servers."""
    for text in site.values():
        assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+\.(?:js|css|woff2?)', text) == []
        assert "fonts.googleapis" not in text
