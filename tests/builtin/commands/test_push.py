"""`dcc push`, and `hf:owner/name` wherever a set file or data are named, against a Hub on this computer."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_pictures import write_split
from hub_server import TOKEN, FakeHub

from dcc_core import load_set

pytest.importorskip("datasets")

PROGRAM = """
import json, sys, traceback, warnings
from click.testing import CliRunner
from dcc_core.cli.app import cli
results = []
for line in json.loads(sys.argv[1]):
    if isinstance(line, str):
        try:
            results.append(["", str(eval(line)), ""])
        except Exception as error:
            results.append(["error", "", f"{type(error).__name__}: {error}"])
    else:
        done = CliRunner().invoke(cli, line)
        results.append([done.exit_code, done.stdout, done.stderr])
print()
print(json.dumps(results))
"""
"""Commands of `dcc`, and Python expressions, in one process: where the Hub is, the libraries read as they start."""
SMALL = "--outer-loops 1 --inner-loops 1 --network-steps 0 --sets 1 --eval-nets 1 --quiet -o arch.width=4"
RUN = ["run", *SMALL.split()]
PAGE = Path(__file__).parents[3] / "docs" / "hub.md"
EXAMPLES = [
    f"exec({code.replace('me/digits', 'me/tiny')!r}, shown := {{}}) or shown"
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
]
SET, PICTURES = f"({EXAMPLES[0]})['labels'].tolist()", f"list(({EXAMPLES[1]})['pictures']['label'])"
"""What the page shows, with the labels that come out."""


def in_process(place, lines, *, endpoint="http://127.0.0.1:9", token=None, **environment):
    """The outcomes of commands and expressions: exit code, stdout, stderr."""
    there = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    there |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(place / "home"), "HF_HUB_DISABLE_XET": "1", **environment}
    there |= {"HF_TOKEN": token} if token else {}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)], cwd=place, env=there, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def hub():
    return FakeHub()


@pytest.fixture(scope="module")
def endpoint(hub):
    with hub.serve() as address:
        yield address


@pytest.fixture(scope="module")
def pushed(tmp_path_factory, hub, endpoint):
    """A run on images of the Hub, its set pushed there, scored, inspected, loaded and refined from there."""
    place = tmp_path_factory.mktemp("pushed")
    write_split(place / "pictures", "train", range(12))
    write_split(place / "pictures", "test", range(100, 106))
    hub.add("some/pictures", {f"data/{file.name}": file.read_bytes() for file in (place / "pictures/data").iterdir()})
    lines = {
        "run": [*RUN, "--data", "hf:some/pictures", "--out", "mine"],
        "dry run": ["push", "mine", "me/tiny", "--dry-run", "--license", "cc-by-4.0", "--out", "dry"],
        "push": ["push", "mine", "me/tiny", "--private", "--license", "cc-by-4.0", "--json"],
        "branch": ["push", "mine/set.safetensors", "me/tiny", "--revision", "second"],
        "set": SET,
        "pictures": PICTURES,
        "eval": ["eval", "hf:me/tiny", "--nets", "1", "--json", "--quiet"],
        "inspect": ["inspect", "hf:me/tiny@second", "--json"],
        "init": [*RUN, "--data", "hf:some/pictures", "--init", "hf:me/tiny", "--out", "refined"],
        "convert": ["convert", "hf:me/tiny", "again", "--to", "png"],
    }
    outcomes = dict(zip(lines, in_process(place, list(lines.values()), endpoint=endpoint, token=TOKEN), strict=True))
    return place, outcomes


def test_everything_goes_well(pushed):
    assert {name: out[2] for name, out in pushed[1].items() if out[0] not in (0, "")} == {}


def test_what_is_pushed(pushed, hub):
    place, outcomes = pushed
    files = hub.repos["me/tiny"]["main"]
    assert files["set.safetensors"] == (place / "mine" / "set.safetensors").read_bytes()
    assert {"README.md", "grid.png", "dcc.json", "data/train-00000-of-00001.parquet"} < set(files)
    dry = {str(file.relative_to(place / "dry")): file for file in (place / "dry").rglob("*") if file.is_file()}
    assert {name: file.read_bytes() for name, file in dry.items()} == {
        name: held for name, held in files.items() if name != ".gitattributes"
    }
    done = json.loads(outcomes["push"][1])
    assert done["url"].endswith("/datasets/me/tiny") and done["commit"] == hub.commit("me/tiny", "main")[1]
    assert "me/tiny" in hub.closed
    assert set(hub.repos["me/tiny"]) == {"main", "second"}
    for held in files.values():
        assert TOKEN.encode() not in held


def test_the_card(pushed, hub):
    place, _ = pushed
    card = hub.repos["me/tiny"]["main"]["README.md"].decode()
    assert "license: cc-by-4.0" in card and "source_datasets:\n- some/pictures" in card
    report = json.loads((place / "mine" / "report.json").read_text())
    accuracies = [f"{100 * report['scores'][s][0]['mean']:.1f} ± 0.0" for s in ("condensed", "random")]
    assert f"| convnet | dc 1 | 1 | {' | '.join(accuracies)} |" in card
    assert "`ant`, `bee`" in card and "![The images, a row for each class](grid.png)" in card
    assert 'load_dataset("me/tiny", split="train")' in card and 'load_set("hf:me/tiny")' in card
    assert "- run.ipc: `1`" in card
    assert str(place) not in card


def test_what_is_loaded(pushed):
    place, outcomes = pushed
    assert (outcomes["set"][1], outcomes["pictures"][1]) == ("[0, 1]", "[0, 1]")
    assert json.loads(outcomes["eval"][1].splitlines()[-1])["accuracy"]["condensed"]["networks"] == 1
    about = json.loads(outcomes["inspect"][1].splitlines()[-1])["about"]
    assert about["config"]["data"] == "hf:some/pictures"
    first, refined = (load_set(place / name / "set.safetensors") for name in ("mine", "refined"))
    assert not torch.equal(first.images, refined.images)
    assert refined.provenance.config["run.init"].startswith("set file ")


def test_the_commit_is_in_the_provenance(pushed, hub):
    place, _ = pushed
    _, commit = hub.commit("some/pictures", "main")
    assert load_set(place / "mine" / "set.safetensors").provenance.data == f"hf:some/pictures@{commit}"
    assert f"commit {commit}" in (place / "mine" / "run.log").read_text()


def test_the_cache_is_enough_offline(pushed, hub, endpoint):
    place, _ = pushed
    hub.asked.clear()
    lines = [
        ["eval", "hf:me/tiny", "--nets", "1", "--json", "--quiet"],
        ["inspect", "hf:me/other"],
        ["show", "data", "hf:some/other"],
        ["push", "mine", "me/tiny"],
        ["show", "data", "hf:some/pictures"],
        ["show", "data", "hf:some/pictures@v2"],
        ["show", "data", f"hf:some/pictures@{'0' * 40}"],
    ]
    done = in_process(place, lines, endpoint=endpoint, token=TOKEN, HF_HUB_OFFLINE="1")
    assert [code for code, *_ in done] == [0, 2, 2, 2, 0, 2, 2]
    assert hub.asked == []
    off = "HF_HUB_OFFLINE or HF_DATASETS_OFFLINE keeps the network off"
    assert f"'me/other' is not in the cache of this computer, and {off}" in done[1][2]
    assert f"'some/other' is not in the cache of this computer, and {off}" in done[2][2]
    assert f"the Hub cannot be written, and {off}" in done[3][2]
    _, commit = hub.commit("some/pictures", "main")
    assert f"commit {commit}" in done[4][1]
    for (_, _, message), revision in zip(done[5:], ("v2", "0" * 40), strict=True):
        assert f"has 'some/pictures' at commit {commit}, which is not '{revision}'" in message


def test_what_is_not_there_is_one_message_each(pushed, hub, endpoint):
    place, _ = pushed
    hub.add("a/gated", {})
    hub.gated.add("a/gated")
    hub.forbidden.add("other/tiny")
    hub.add("two/sets", {"a.safetensors": b"", "b.safetensors": b""})
    signed_in = {
        "hf:no/such": "there is no data set 'no/such' on the Hub, or it is private and needs a token",
        "hf:some/pictures": "'some/pictures' holds no set file (set.safetensors)",
        "hf:two/sets": "'two/sets' has 2 .safetensors files and no set.safetensors",
        "hf:some/pictures@v9": "'some/pictures' has no revision 'v9'",
        "hf:a/gated": "'a/gated' is gated: ask for access at https://huggingface.co/datasets/a/gated",
    }
    lines = [["inspect", name] for name in signed_in]
    lines += [["push", "mine", "other/tiny"], ["push", "mine", "noslash"], ["push", "nothing", "me/tiny"]]
    messages = [*signed_in.values(), "no access to write 'other/tiny'", "'noslash' is no name of a repository"]
    messages += ["set file 'nothing' cannot be read"]
    for (code, _, stderr), message in zip(
        in_process(place, lines, endpoint=endpoint, token=TOKEN), messages, strict=True
    ):
        assert code == 2
        assert message in stderr
        assert stderr.count("Error: ") == 1
    (push, secret) = in_process(place, [["push", "mine", "me/new"], ["inspect", "hf:me/tiny"]], endpoint=endpoint)
    assert "no token for the Hugging Face Hub: `hf auth login` keeps a token" in push[2]
    assert "me/new" not in hub.repos
    assert secret[0] == 0 or "needs a token" in secret[2]  # of the cache, which was filled with a token


def test_a_hub_that_does_not_answer(pushed):
    place, _ = pushed
    ((code, _, stderr),) = in_process(place, [["inspect", "hf:no/such"]], token=TOKEN)
    assert code == 2
    assert "the Hub cannot be reached, and 'no/such' is not in the cache of this computer" in stderr
