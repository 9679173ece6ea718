"""Pictures are decoded once: the next run maps the same pixels, and whatever changes the pixels is another file."""

import os
import threading

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dcc_core.cli.app import cli
from dcc_plugins.data import picture_cache, picture_source
from dcc_plugins.data.folder import ImageFolder


@pytest.fixture(autouse=True)
def everything_is_kept(monkeypatch):
    monkeypatch.setattr(picture_cache, "WORTHWHILE", 0)


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(5):
            image = Image.fromarray(rng.integers(0, 256, (6, 4, 3), dtype=np.uint8))
            image.save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded."""
    seen = []
    read = picture_source.read_picture

    def recorded(path, out, **how):
        seen.append(path)
        return read(path, out, **how)

    monkeypatch.setattr(picture_source, "read_picture", recorded)
    return seen


def load(photos, **options):
    source = ImageFolder(path=photos, **options)
    return source.load(root=photos.parent / "root", download=False, progress=False)


def test_the_second_run_decodes_nothing_and_sees_the_same(photos, decoded):
    plain = ImageFolder(path=photos).load(root=None, download=False, progress=False)
    first = load(photos)
    assert len(decoded) == 20
    second = load(photos)
    assert len(decoded) == 20
    for data in (first, second):
        assert torch.equal(data.train.images, plain.train.images) and torch.equal(data.test.images, plain.test.images)
        assert torch.equal(data.train.labels, plain.train.labels)
    assert len(list((photos.parent / "root" / "dcc-cache").glob("*.npy"))) == 1


@pytest.mark.parametrize("change", ["size", "fit", "file", "new", "touched"])
def test_whatever_changes_pixels_is_decoded_again(photos, decoded, change):
    load(photos, size=(4,))
    count = len(decoded)
    options = {"size": {"size": (5,)}, "fit": {"size": (4,), "fit": "crop"}}.get(change, {"size": (4,)})
    if change == "file":
        Image.new("RGB", (4, 6)).save(photos / "ant" / "0.png")
    if change == "new":
        Image.new("RGB", (4, 6)).save(photos / "ant" / "9.png")
    if change == "touched":
        os.utime(photos / "ant" / "0.png", ns=(1, 1))
    load(photos, **options)
    assert len(decoded) >= 2 * count


def test_broken_files_are_remembered(photos, decoded):
    (photos / "ant" / "0.png").write_bytes(b"text")
    counts = [len(load(photos, broken="skip").train.labels) + len(load(photos, broken="skip").test.labels)]
    assert counts == [9] and len(decoded) == 10


def test_two_runs_at_once_both_get_there(photos):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load(photos))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert all(torch.equal(data.train.images, found[0].train.images) for data in found)
    assert not list((photos.parent / "root" / "dcc-cache").glob(".unfinished*"))


def test_a_place_that_cannot_be_written_to_costs_nothing(photos, caplog):
    (photos.parent / "root").write_text("a file where the folder would be")
    with caplog.at_level("WARNING", "dcc"):
        assert len(load(photos).train.labels) == 8
    assert "pictures are not kept for the next run" in caplog.text


def test_what_is_mapped_can_be_written_to_without_harm(photos):
    load(photos)
    data = load(photos)
    before = data.train.images[0].clone()
    data.train.images[0] = 7
    assert torch.equal(load(photos).train.images[0], before)


def test_the_command_says_and_removes(photos):
    load(photos)
    root = photos.parent / "root"
    for words, said in (
        (["cache"], "2 files, 0.0 MB, in"),
        (["cache", "--clear"], "removed from"),
        (["cache"], "0 files, 0.0 MB, in"),
    ):
        result = CliRunner().invoke(cli, [*words, "--data-root", str(root)])
        assert result.exit_code == 0 and said in result.stdout
    assert not list((root / "dcc-cache").iterdir())


@pytest.mark.parametrize("progress", [False, True])
def test_decoding_many_pictures_shows_how_far_it_is(tmp_path, capsys, monkeypatch, progress):
    """On stderr, and only where a run shows its progress."""
    monkeypatch.setattr("dcc_plugins.data.picture_source.MANY", 5)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    for i in range(12):
        (tmp_path / f"{i % 2}").mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / f"{i % 2}" / f"{i}.png")
    ImageFolder(path=tmp_path).load(root=tmp_path, download=False, progress=progress)
    shown = capsys.readouterr()
    assert ("decoding pictures" in shown.err) == progress
    assert shown.out == ""
