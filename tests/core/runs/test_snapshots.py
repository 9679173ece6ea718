"""Images that a run keeps on the way: few, the same after any interruption, and no business of the set file's."""

import json

import pytest
import torch
from interrupting import Interrupting
from shown_runs import large, made, registry_of

from dcc_core import DccError, load_set
from dcc_core.errors import Stopped
from dcc_core.runs.snapshots import MOST, make_pictures, snapshot_steps
from dcc_core.runs.stopwatch import Stopwatch
from dcc_plugins.pages.record import read_run
from dcc_plugins.pages.snapshots import read_snapshots

STEPS = 12


def test_moments_lie_evenly_from_the_first_step_to_the_last():
    assert snapshot_steps((4,), 4, 3) == {0, 4, 8, 12}
    assert snapshot_steps((12,), 100, 10) >= {0, 1000}
    assert len(snapshot_steps((12,), 100, 10)) == 12
    assert snapshot_steps((1,), 4, 3) == {12}
    assert snapshot_steps((0,), 4, 3) == snapshot_steps((), 4, 3) == set()
    assert snapshot_steps((12,), 2, 1) == {0, 1, 2}


def test_moments_may_be_a_list_of_outer_loops():
    assert snapshot_steps((0, 1, 4, 10), 4, 3) == {0, 3, 12}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return made(tmp_path_factory.mktemp("whole") / "run")


def test_a_run_keeps_its_first_set_on_the_way(whole):
    kept = list(read_snapshots(whole))
    assert [p.step for p in kept] == sorted(snapshot_steps((12,), STEPS, 1))
    final = load_set(whole / "set.safetensors")
    assert torch.equal(kept[-1].images, (final.images.clamp(0, 1) * 255).round().to(torch.uint8))
    assert kept[0].images.shape == (12, 3, 8, 8)
    assert not torch.equal(kept[0].images, kept[-1].images)
    assert kept[0].class_names == final.class_names


def test_snapshots_and_curves_leave_the_set_file_as_it_is(whole, tmp_path):
    without = made(tmp_path / "without", {"run.snapshots": 0})
    curved = made(tmp_path / "curved", {"run.snapshots": 3, "score.curve": 1, "run.sets": 1})
    assert not (without / "snapshots").exists()
    sets = [(run / "set.safetensors").read_bytes() for run in (whole, without)]
    assert sets[0] == sets[1]
    first = load_set(curved / "set.safetensors")
    assert torch.equal(first.images, load_set(whole / "set.safetensors").images)
    assert "score.curve" not in first.provenance.config
    record = read_run(curved, registry_of())
    assert [row.step for row in record.curve] == [0, 6, 12]
    assert record.curve[-1].accuracies == tuple(first.provenance.scores[0]["accuracies"][:1])
    assert "curve" in json.loads((curved / "report.json").read_text())["seconds"]


def test_a_curve_is_scored_on_the_validation_part_where_there_is_one(tmp_path):
    apart = {"data.validation": 0.5, "run.snapshots": "0,1", "score.curve": 1, "run.sets": 1}
    curve = read_run(made(tmp_path / "apart", apart), registry_of()).curve
    other = read_run(made(tmp_path / "same", {**apart, "score.part": "validation"}), registry_of())
    assert [row.accuracies for row in curve] == [row.accuracies for row in other.curve]


@pytest.mark.parametrize("every", ["0s", "1h"])
def test_an_interrupted_run_has_no_moment_twice(whole, tmp_path, every):
    options = {"run.checkpoint": every, "run.snapshots": 4, "score.curve": 1, "run.sets": 1}
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        made(out, options, Interrupting(5))
    record = read_run(out, registry_of())
    assert (record.state, record.done, record.report.method) == ("interrupted", 5, "collective")
    assert [p.step for p in record.pictures] == [0, 4, 5]
    assert [row.step for row in record.curve] == [0, 4]
    assert record.value("run.ipc") == 2
    made(out, options)
    record = read_run(out, registry_of())
    assert [p.step for p in record.pictures] == [0, 4, 8, 12]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in lines if row.get("subject") == "moment"] == [0, 4, 8, 12]
    for mine, theirs in zip(
        read_snapshots(out), (p for p in read_snapshots(whole) if p.step in (0, 4, 8, 12)), strict=True
    ):
        assert torch.equal(mine.images, theirs.images)


def test_what_an_earlier_run_kept_goes_with_it(tmp_path):
    from dcc_core.runs.run_folder import RunFolder

    made(tmp_path / "run", {"run.sets": 1})
    RunFolder(tmp_path / "run", overwrite=True)
    assert len(list(read_snapshots(tmp_path / "run"))) == 12, "nothing goes before the next run begins"
    assert made(tmp_path / "again", {"run.snapshots": 2, "run.sets": 1}).is_dir()


def test_of_many_images_the_first_are_kept(tmp_path):
    s = load_set(large(tmp_path / "run", classes=3, ipc=12) / "set.safetensors")
    pictures = make_pictures(s, registry_of(), 7)
    assert pictures.counts == (12, 12, 12)
    assert len(pictures.images) == 3 * MOST
    assert torch.equal(pictures.images[MOST], (s.images[12] * 255).round().to(torch.uint8))


def test_time_within_a_phase_within_a_phase_counts_once(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr("dcc_core.runs.stopwatch.time.perf_counter", lambda: next(now))
    clock = Stopwatch()
    with clock("condense"):  # begins at 0
        with clock("curve"):  # from 1 to 2
            pass
        with clock("curve"):  # from 3 to 4
            pass
    assert clock.so_far() == {"curve": 2, "condense": 3}  # to 5


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x00" * 64])
def test_a_damaged_snapshot_is_one_message(tmp_path, content):
    made(tmp_path / "run", {"run.sets": 1, "run.snapshots": 2})
    (tmp_path / "run" / "snapshots" / "00000000.safetensors").write_bytes(content)
    with pytest.raises(DccError, match=r"snapshot '.*00000000.safetensors' is damaged"):
        _ = read_run(tmp_path / "run", registry_of()).pictures
