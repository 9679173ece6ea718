"""When to match, how often, and with which loss."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from dcc_core import DccError, MatchingLoss, Part, Schedule, State
from dcc_core.engine.matching_loss import published_schedule
from dcc_core.engine.step import Step
from dcc_plugins.losses import Collective
from dcc_plugins.warmup import Warmup


@pytest.mark.parametrize(
    ("ipc", "inner", "steps"),
    [
        (1, 10, 5),
        (2, 10, 10),
        (5, 10, 25),
        (10, 10, 50),
        (11, 11, 45),
        (15, 15, 33),
        (20, 20, 25),
        (30, 30, 20),
        (40, 40, 15),
        (45, 45, 11),
        (50, 50, 10),
        (100, 50, 10),
    ],
)
def test_published_schedule(ipc, inner, steps):
    assert published_schedule(ipc) == Schedule(inner, steps)


@dataclass(frozen=True, kw_only=True)
class Named(MatchingLoss):
    name: str

    def schedule(self, ipc):
        return Schedule(len(self.name), 0)

    def setup(self, run, synthetic):
        state = State()
        state.state_dict = lambda: {"name": torch.tensor(len(self.name))}
        return state

    def terms(self, step, state):
        yield Part(self.name)


def at(outer, inner, outer_loops=1000, inner_loops=20):
    return SimpleNamespace(
        outer=outer, inner=inner, run=SimpleNamespace(outer_loops=outer_loops, inner_loops=inner_loops)
    )


def which(loss, step):
    state = loss.setup(step.run, None)
    return [t.value for t in loss.terms(step, state)]


def test_warmup_holds_while_both_indices_are_below_their_bounds():
    loss = Warmup(first=Named(name="first"), then=Named(name="other"), outer=250, inner=10)
    for outer, inner, expected in [
        (0, 0, "first"),
        (249, 9, "first"),
        (249, 10, "other"),
        (250, 9, "other"),
        (250, 0, "other"),
        (999, 19, "other"),
    ]:
        assert which(loss, at(outer, inner)) == [expected], (outer, inner)


def test_warmup_lasts_a_quarter_of_the_outer_loops_by_default():
    loss = Warmup(first=Named(name="first"), then=Named(name="other"))
    assert which(loss, at(249, 0)) == ["first"]
    assert which(loss, at(250, 0)) == ["other"]
    assert which(loss, at(4, 9, outer_loops=20)) == ["first"]
    assert which(loss, at(5, 0, outer_loops=20)) == ["other"]
    assert which(loss, at(0, 0, outer_loops=3)) == ["other"]


def test_warmup_delegates_schedule_and_keeps_both_states():
    loss = Warmup(first=Named(name="first"), then=Named(name="longer"))
    assert loss.schedule(1) == Schedule(6, 0)
    assert loss.setup(SimpleNamespace(outer_loops=1000, inner_loops=10), None).state_dict() == {
        "first.name": torch.tensor(5),
        "then.name": torch.tensor(6),
    }


def phases(loss, **loops):
    """Where a loss is in its warm-up, over all steps of a run."""
    outer, inner = loops.get("outer_loops", 8), loops.get("inner_loops", 10)
    return [[loss.phase(at(o, i, outer, inner)) == "warm-up" for i in range(inner)] for o in range(outer)]


def test_bi_level_is_wholly_class_wise_in_the_first_quarter_of_ten_inner_loops():
    assert phases(Collective()) == [[True] * 10] * 2 + [[False] * 10] * 6


def test_bi_level_takes_explicit_bounds():
    assert phases(Collective(warmup_outer=1, warmup_inner=3), outer_loops=2, inner_loops=5) == [
        [True, True, True, False, False],
        [False] * 5,
    ]


def test_simple_warms_up_in_every_outer_loop():
    assert phases(Collective(warmup="simple")) == [[True] * 5 + [False] * 5] * 8


def test_no_warmup():
    assert phases(Collective(warmup="none")) == [[False] * 10] * 8


def test_simple_that_never_ends_is_refused():
    run = SimpleNamespace(outer_loops=4, inner_loops=10)
    with pytest.raises(DccError, match=r"warmup_inner=10 with warmup=simple never leaves .* 10 inner loops"):
        Collective(warmup="simple", warmup_inner=10).setup(run, None)
    Collective(warmup="simple", warmup_inner=9).setup(run, None)


@pytest.mark.parametrize(("outer", "warns"), [(4, True), (9, True), (3, False), (None, False)])
def test_a_warm_up_that_leaves_the_second_loss_nothing_is_said(make_job, caplog, outer, warns):
    from dcc_plugins.warmup import _warn

    _warn.cache_clear()
    with caplog.at_level("WARNING", "dcc"):
        make_job({"loss": "collective", "loss.warmup_outer": outer, "run.outer_loops": 4, "run.inner_loops": 2}).start()
    assert ("the warm-up lasts for all 4 outer loops: the loss after it has none" in caplog.text) == warns


@pytest.mark.parametrize("recipe", ["official", "paper"])
@pytest.mark.parametrize(("outer_loops", "warm"), [(1000, 250), (100, 25)])
def test_a_recipes_warm_up_is_a_quarter_of_the_outer_loops(make_job, recipe, outer_loops, warm):
    job = make_job({"recipe": recipe, "loss": "collective", "run.outer_loops": outer_loops, "run.real_batch": 2})
    run, synthetic, _ = job.start()
    steps = [Step(run, synthetic, outer=outer, inner=0, network=None) for outer in (warm - 1, warm)]
    assert [job.config.loss.phase(step) for step in steps] == ["warm-up", ""]
