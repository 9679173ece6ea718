"""`dcc report`: runs of every kind in one page, and one message for what is no run."""

import base64
import io
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from shown_runs import HOSTILE, large, made, registry_of, renamed

from dcc_core import DccError, hookimpl
from dcc_core.cli.app import cli
from dcc_core.errors import Stopped
from dcc_plugins.data.folder import ImageFolder
from dcc_plugins.pages.page import render_page
from dcc_plugins.pages.record import read_run
from dcc_plugins.pages.sprites import ENCODINGS, draw_sprites


def report(*arguments):
    return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def text_of(*runs):
    return render_page([read_run(run, registry_of()) for run in runs]).decode()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("runs") / "mine")


def test_a_page_is_written_and_not_overwritten(run, tmp_path):
    out = tmp_path / "page.html"
    result = report(run, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"out": str(out), "bytes": out.stat().st_size, "runs": [str(run)]}
    again = report(run, "--out", out)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert report(run, "--out", out, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "is not a folder; name a folder written by dcc-run or dcc select"),
        (lambda folder: folder.mkdir(), "is not a run folder: it has neither report.json nor a checkpoint"),
        (lambda folder: folder.write_text("x"), "is not a folder"),
    ],
)
def test_what_is_no_run_is_one_message(tmp_path, make, message):
    make(tmp_path / "x")
    result = report(tmp_path / "x", "--out", tmp_path / "page.html")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("Error: ") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_run_nearby_is_the_hint(run):
    assert f"e.g. '{run}'" in report(run.parent).stderr


@pytest.mark.parametrize(
    "damage",
    [
        '{"method": "x", "config": {}, "versions": {}, "seconds": {}, "by_architecture": {"linear": {"random": {}}}}',
        "{",
        "[]",
        '{"method": 1}',
        '{"method": "x", "config": {"a": 3}, "versions": {}, "seconds": {}}',
        '{"method": "x", "config": {}, "versions": {}, "seconds": {"load": NaN}}',
    ],
)
def test_a_damaged_report_is_one_message(run, tmp_path, damage):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "report.json").write_text(damage)
    result = report(tmp_path / "run", "--out", tmp_path / "page.html")
    assert result.exit_code == 2
    assert re.search(r"Error: report '.*report.json' (is damaged|cannot be read)", result.stderr)


def test_numbers_that_cannot_be_are_drawn_all_the_same(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    told = json.loads((run / "report.json").read_text())
    told["by_architecture"]["linear"]["condensed"] |= {"mean": 7.5, "ci95": [0.9, 0.1], "std": None}
    told["by_architecture"]["mlp"]["random"] |= {"mean": float("nan"), "ci95": None}
    told["config"]["run.outer_loops"]["value"] = "many"
    told["config"]["run.sets"]["value"] = {"a": [1]}
    (tmp_path / "run" / "report.json").write_text(json.dumps(told))
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"set": 0, "outer": 9, "inner": 0, "loss": NaN, "phase": "<b>"}\n')
        file.write('{"set": 0, "outer": 9, "inner": 1, "loss": Infinity, "phase": ""}\n')
        file.write('{"set": 0, "step": 3, "mean": 2, "accuracies": [], "architecture": "x", "protocol": "dc"}\n')
        file.write('{"set": 0, "step": 4, "mean": NaN, "accuracies": [NaN], "architecture": "<b>", "protocol": "dc"}\n')
    text = text_of(tmp_path / "run", run)
    assert "750.0" in text
    assert "<b>" not in text
    assert text.count("<svg") == 3


def test_strange_lines_among_the_metrics_are_left_out(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('[1]\n{"set": 0, "outer": -1, "inner": 0, "loss": 1, "phase": ""}\n{"set": 0, "outer": 0, "in')
    assert len(read_run(tmp_path / "run", registry_of()).steps) == 12


def test_the_page_says_what_the_report_says(run):
    text = text_of(run)
    told = json.loads((run / "report.json").read_text())
    for network, row in told["by_architecture"].items():
        assert f"<td>{100 * row['condensed']['mean']:.1f}</td>" in text
        assert f'<th scope="row">{network}</th>' in text
    for key, entry in told["config"].items():
        assert f'<th scope="row">{key}</th>' in text
        assert entry["origin"] in text
    assert all(phase in text for phase in told["seconds"])
    assert "the first of 2 sets" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "collective"}, "<dd>3 warm-up, 9 after it</dd>"),
        ({"loss": "collective", "loss.warmup_outer": 9}, "<dd>12 warm-up</dd>"),
        ({"loss": "class-wise"}, None),
    ],
)
def test_the_page_says_how_much_was_warm_up(tmp_path, options, said):
    folder = made(tmp_path, {**options, "run.sets": 1, "score.arch": "linear"})
    page = render_page([read_run(folder, registry_of())]).decode()
    assert ("image updates</dt>" in page) == bool(said)
    assert said is None or said in page


def test_a_selection_and_all_images_have_pages(tmp_path):
    chosen = made(tmp_path / "chosen", {"selection": "random"}, selecting=True)
    assert text_of(chosen).count('<img class="strip"') == 6
    full = made(tmp_path / "full", {"selection": "full", "score.full_epochs": 1}, selecting=True)
    assert "There are no images" in text_of(full)


def test_an_unfinished_selection_has_no_image_updates(tmp_path):
    class Ending:
        @hookimpl
        def dcc_evaluated(self, report):
            if report.score.architecture == "mlp":  # the second, when the first is kept
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        made(tmp_path / "run", {"selection": "random"}, Ending(), selecting=True)
    text = text_of(tmp_path / "run")
    assert '<p class="state"><strong>interrupted</strong></p>' in text
    assert text.count('<img class="strip"') == 6
    assert '<th scope="row">linear</th><td>random</td>' in text


def test_a_run_that_cannot_be_decoded_shows_its_snapshots(run, tmp_path, monkeypatch):
    def gone(s, registry, step):
        raise DccError("no parametrisation named 'gone'")

    shutil.copytree(run, tmp_path / "run")
    monkeypatch.setattr("dcc_plugins.pages.record.make_pictures", gone)
    assert text_of(tmp_path / "run").count('<img class="strip"') == 6
    shutil.rmtree(tmp_path / "run" / "snapshots")
    with pytest.raises(DccError, match="no parametrisation named 'gone'"):
        text_of(tmp_path / "run")


def test_hostile_names_are_escaped_wherever_they_stand(run, tmp_path):
    """In names of classes, of folders, of networks, and in values of options."""
    folder = tmp_path / "<b onclick=x>"
    shutil.copytree(run, folder)
    renamed(folder)
    told = json.loads((folder / "report.json").read_text())
    told["method"] = HOSTILE[0]
    told["by_architecture"] = {HOSTILE[1]: told["by_architecture"]["linear"], HOSTILE[0]: {}}
    told["config"][HOSTILE[5]] = {"value": [HOSTILE[0], None], "origin": HOSTILE[1]}
    (folder / "report.json").write_text(json.dumps(told))
    text = text_of(folder, run)
    for bad in ("<script>window", "<img src=x", "<b onclick", "</title></style>"):
        assert bad not in text
    assert text.count("<script>") == 1


def test_pictures_take_the_room_that_there_is(tmp_path):
    pictures = list(read_run(large(tmp_path / "run", classes=20, ipc=10), registry_of()).pictures) * 3
    lossless = draw_sprites(pictures, 3_000_000)
    assert (lossless.words, len(lossless.steps)) == ("lossless", 3)
    small = draw_sprites(pictures, 500_000)
    assert small.words.startswith("JPEG")
    assert len(small.steps) == 3
    tiny = draw_sprites(pictures, 150_000)
    assert (tiny.words, len(tiny.steps), tiny.shown) == (ENCODINGS[-1].words, 1, (10,) * 20)
    least = draw_sprites(pictures, 50_000)
    assert 0 < least.shown[0] < 10
    for drawn, room in ((lossless, 3_000_000), (small, 500_000), (tiny, 150_000), (least, 50_000)):
        assert sum(map(len, drawn.urls)) < 1.15 * room


def test_previews_come_with_every_command_that_makes_or_shows_a_set(run, tmp_path, monkeypatch):
    """Where there is no terminal, they are one line."""
    monkeypatch.chdir(tmp_path)
    quick = ["--sets", "1", "--eval-nets", "1", "--protocol", "dc", "-o", "score.baseline=false"]
    for words in (
        ["report", str(run), "--preview"],
        ["inspect", str(run / "set.safetensors"), "--preview"],
        ["select", "--preview", *quick],
        ["run", "--preview", "--outer-loops", "1", "--inner-loops", "1", *quick],
    ):
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.stderr
        assert "no preview: the output is no terminal" in result.stdout.splitlines()


def test_real_pictures_are_shown_as_they_are_and_as_the_run_sees_them(tmp_path):
    """Of a photo that lies on its side: upright, then cropped and small. Gone with the files, never an error."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, color in (("ant", (255, 0, 0)), ("bee", (0, 0, 255))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(4):
            photo = np.full((40, 80, 3), color, np.uint8)
            photo[:, :20] = rng.integers(0, 256)
            Image.fromarray(photo).save(tmp_path / "photos" / name / f"{i}.jpg", exif=exif)
    data = {"data": f"folder:{tmp_path / 'photos'}", "data.channels": None, "data.size": "8", "data.fit": "crop"}
    folder = made(tmp_path / "run", {**data, "run.ipc": 1, "run.sets": 1, "arch": "linear", "score.arch": "linear"})
    page = render_page([read_run(folder, registry_of())]).decode()
    section = page[page.index("Real images</h2>") : page.index('id="curves"')]
    assert re.findall(r"<h3>(.*)</h3>", section) == ["ant", "bee"]
    kinds = re.findall(r'src="data:image/(jpeg|png);base64,([^"]+)"', section)
    sizes = [Image.open(io.BytesIO(base64.b64decode(text))).size for _, text in kinds]
    assert [kind for kind, _ in kinds] == ["jpeg", "png"] * 2
    assert sizes == [(40, 80), (8, 8)] * 2
    assert "as the run sees it, 8×8 pixels" in section
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "photos")
    assert ImageFolder(path=tmp_path / "photos").examples(1) and ImageFolder(path=packed).examples(1) == []
    shutil.rmtree(tmp_path / "photos")
    assert "Real images</h2>" not in render_page([read_run(folder, registry_of())]).decode()
