"""The one bar of a run: what it counts, and the time left, which measuring corrects."""

import contextlib

import pytest

from dcc_core.engine import ResumeState
from dcc_core.plugins import Score
from dcc_core.runs.checkpoint import Checkpoint, MeasuredScore
from dcc_core.runs.run_progress import RunProgress, follow_run
from dcc_plugins.terminal import Display


class Shown(Display):
    """A display that keeps what a run tells it."""

    def __init__(self):
        super().__init__(quiet=True)
        self.told = []

    @contextlib.contextmanager
    def track_run(self):
        yield lambda share, note: self.told.append((share, note))


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set."""
    now = [0.0]
    monkeypatch.setattr("dcc_core.runs.run_progress.time.perf_counter", lambda: now[0])
    return now


def progress_of(display, total, done=(), expected=(), spent=()):
    show = lambda share, note: display.told.append((share, note))  # noqa: E731
    return RunProgress(display, show, total, dict(done), dict(expected), dict(spent))


def test_the_forecast_is_corrected_as_work_is_done(clock):
    """10 s forecast for 100 updates that take 1 s each: near the forecast at first, near the truth at half of them."""
    display = Shown()
    run = progress_of(display, {"condense": 100, "score": 4}, expected={"condense": 10.0, "score": 8.0})
    assert run.left() == pytest.approx(18)
    with run.track("condensing", 100, "condense") as report:
        for done in range(1, 51):
            clock[0] = float(done)
            report(done, "")
    cost = (0.05 * 10 + 50) / (0.05 * 100 + 50)
    assert run.left() == pytest.approx(50 * cost + 8)
    assert 0.9 < cost < 1
    shares = [share for share, _ in display.told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(50 / (50 + run.left()))
    assert "54 s left, condensing 50/100" in display.told[-1][1]


def test_without_a_forecast_the_time_left_is_said_once_it_is_known(clock):
    display = Shown()
    run = progress_of(display, {"condense": 10, "score": 2})
    with run.track("condensing", 10, "condense") as report:
        clock[0] = 30.0
        report(10, "loss 1")
    assert display.told[-1] == (pytest.approx(10 / 12), "condensing 10/10 loss 1")
    with run.track("scoring", 2, "score") as report:
        clock[0] = 34.0
        report(1, "networks")
        assert display.told[-1][1].startswith("4.0 s left")
        clock[0] = 38.0
        report(2, "networks")
    assert display.told[-1] == (1.0, "0.0 s left, scoring 2/2 networks")


def test_work_that_is_not_needed_is_not_waited_for(clock):
    run = progress_of(Shown(), {"score": 8}, expected={"score": 8.0})
    with run.track("scoring condensed", 4, "score") as report:
        clock[0] = 4.0
        report(4, "")
    with run.track("scoring hard", 4, "score"):
        pass
    assert run.left() == 0


def test_a_resumed_run_goes_on_where_it_was(make_job, clock):
    """Two of four sets made, one of them scored by its measurement; the rest by the forecast of the first start."""
    job = make_job({"run.sets": 4, "run.outer_loops": 5, "run.inner_loops": 2, "score.nets": 3, "arch": "linear"})
    score = Score(accuracies=(0.5,) * 3, protocol="dc", version=1, architecture="linear", seconds=1.0, images_seen=1)
    begun = Checkpoint(
        config={},
        versions={},
        data="",
        threads=1,
        made=2,
        moment=ResumeState(outer=3),
        scores=(MeasuredScore.of(0, "condensed", "", score),),
        seconds={"condense": 26.0, "curve": 2.0, "score": 3.0},
        expected={"condense": 38.0, "curve": 2.0, "score": 12.0, "baseline": 12.0},
    )
    display = Shown()
    with follow_run(display, job, begun) as run:
        assert run.left() == pytest.approx((0.05 * 40 + 28) / (0.05 * 40 + 20) * 20 + 9 + 12)
        with run.track("condensing set 3/4", 10, "condense") as report:
            clock[0] += 1.0
            report(7, "")
        assert run.left() == pytest.approx((0.05 * 40 + 29) / (0.05 * 40 + 27) * 13 + 9 + 12)
        run.see({"subject": "random", "mean": 0.1})
        run.see({"subject": "condensed", "mean": 0.625})
        with run.track("scoring", 3, "score") as report:
            report(1, "networks")
    assert display.told[0][0] == pytest.approx(32 / (32 + (0.05 * 40 + 29) / (0.05 * 40 + 27) * 13 + 21))
    assert display.told[-1][1].endswith("scoring 1/3 networks, accuracy so far 62.5 %")


def test_all_real_images_are_counted_once(make_job):
    options = {"run.sets": 3, "score.nets": 2, "score.protocol": "lrs", "score.arch": "linear,mlp", "arch": "linear"}
    empty = Checkpoint(config={}, versions={}, data="", threads=1)
    with follow_run(Shown(), make_job(options), empty) as run:
        assert run._total["full data"] == 4
        assert run._total["baseline"] == 12
