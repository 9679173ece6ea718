"""Numbers that are not finite: named, taken back with a smaller image rate three times, then an end with all kept."""

from dataclasses import dataclass, replace
from typing import final

import pytest
import torch

from dcc_core import DccError, MatchingLoss, Part, State
from dcc_core.engine.algorithm import optimise
from dcc_core.engine.divergence import RATE_FACTOR, RETRIES
from dcc_core.engine.resume_state import ResumeState


@final
@dataclass(frozen=True, kw_only=True)
class Broken(MatchingLoss):
    """Goes wrong at one place of the run, in one class, unless the rate is low enough there."""

    where: str
    place: tuple[int, int] = (1, 1)
    until: float = 0.0

    def terms(self, step, state: State):
        for label in step.classes:
            images = step.synthetic.batch(label).images
            good = images.square().mean()
            (group,) = step.synthetic._optimiser.param_groups
            bad = label == 1 and (step.outer, step.inner) == self.place and group["lr"] > self.until
            if bad and self.where == "loss":
                yield Part(good * float("nan"))
            elif bad and self.where == "gradient":
                yield Part(good + (images - images.detach()).sqrt().sum())
            elif bad and self.where == "update":
                yield Part(good * 1e300 * 1e10)
            else:
                yield Part(good)


@pytest.fixture
def started(make_job):
    job = make_job({"run.outer_loops": 4, "run.inner_loops": 3, "run.network_steps": 0, "run.image_rate": 1.0})
    return job.start()


MESSAGES = {
    "loss": r"term 2 of the loss is nan, the gradient of 'images' of class blob 1 is not finite \(outer loop 1, inner",
    "gradient": r"the gradient of 'images' of class blob 1 is not finite \(outer loop 1, inner loop 1\)",
}


@pytest.mark.parametrize("where", MESSAGES)
def test_what_is_wrong_is_named_and_the_last_good_state_kept(started, where):
    run, synthetic, state = started
    seen = []
    hint = (
        rf", although the image rate was lowered {RETRIES} times by a factor of {RATE_FACTOR}; begin with a smaller one"
    )
    with pytest.raises(DccError, match=MESSAGES[where] + ".*" + hint):
        optimise(run, Broken(where=where), synthetic, state, watch=lambda r: seen.append((r.outer, r.inner)))
    assert torch.isfinite(synthetic.stored["images"]).all()
    assert seen == [(0, 0), (0, 1), (0, 2)] + [(1, 0)] * (RETRIES + 1)


def test_an_update_that_overflows_is_named(started):
    run, synthetic, state = started
    with pytest.raises(DccError, match="is not finite"):
        optimise(run, Broken(where="update"), synthetic, state)
    assert torch.isfinite(synthetic.stored["images"]).all()


@pytest.mark.parametrize(("until", "retries"), [(0.5, 1), (0.1, 2), (0.05, 3)])
def test_it_goes_on_with_a_smaller_rate(started, until, retries):
    run, synthetic, state = started
    seen = []
    notes = optimise(
        run, Broken(where="loss", until=until), synthetic, state, watch=lambda r: seen.append((r.outer, r.inner))
    )
    assert len(notes) == retries
    assert notes[-1].endswith(f": back to outer loop 1, with rates times {RATE_FACTOR**retries:.3g}")
    assert seen.count((1, 0)) == retries + 1
    assert seen[-1] == (3, 2)


def test_a_bad_state_is_not_gone_back_to(started):
    """Where the first step of an outer loop fails, the state it began with is the fault's."""
    run, synthetic, state = started
    seen = []
    broken = Broken(where="loss", place=(2, 0), until=0.5)
    optimise(run, broken, synthetic, state, watch=lambda r: seen.append((r.outer, r.inner)))
    assert seen[5:8] == [(1, 2), (1, 0), (1, 1)]


def test_what_follows_is_a_run_from_the_good_state_at_the_smaller_rate(make_job):
    """Images and momentum are as they were."""

    def images(rate, loss, begin=None):
        job = make_job({"run.outer_loops": 2, "run.inner_loops": 2, "run.network_steps": 0, "run.image_rate": rate})
        run, synthetic, state = job.start()
        moments = []
        optimise(run, loss, synthetic, state, keep=lambda capture, now=False: moments.append(capture()), begin=begin)
        return synthetic.stored["images"], moments

    taken_back, _ = images(1.0, Broken(where="loss", until=0.5))
    _, moments = images(1.0, Broken(where=""))
    after_first = next(m for m in moments if (m.outer, m.inner) == (1, 0))
    expected, _ = images(RATE_FACTOR, Broken(where=""), ResumeState(outer=1, tensors=after_first.tensors))
    assert torch.equal(taken_back, expected)


def test_a_resumed_run_is_taken_back_like_an_undisturbed_one(make_job):
    job = make_job({"run.outer_loops": 4, "run.inner_loops": 3, "run.network_steps": 0, "run.image_rate": 1.0})
    loss = Broken(where="loss", until=0.1)
    run, synthetic, state = job.start()
    moments = []
    notes = optimise(run, loss, synthetic, state, keep=lambda capture, now=False: moments.append(capture()))
    assert len(notes) == 2
    for moment in moments:
        again = job.start()
        assert optimise(run, loss, again.synthetic, again.state, begin=moment) == notes
        assert torch.equal(again.synthetic.stored["images"], synthetic.stored["images"])


@pytest.mark.parametrize("place", [(0, 1), (1, 2), (2, 0)])
def test_steps_that_are_read_in_blocks_are_taken_back_alike(make_job, place):
    """Nobody looks before an outer loop's end: the same retries, from the same state, and every good step reported."""
    job = make_job({"run.outer_loops": 3, "run.inner_loops": 3, "run.network_steps": 0, "run.image_rate": 1.0})
    found = []
    for looks in (True, False):
        run, synthetic, state = job.start()
        seen = []
        notes = optimise(
            run,
            Broken(where="loss", place=place, until=0.1),
            synthetic,
            state,
            watch=lambda r, seen=seen: seen.append((r.outer, r.inner, r.loss)),
            looks=lambda outer, inner, looks=looks: looks,
        )
        found.append((len(notes), [note.partition(": ")[2] for note in notes], seen, synthetic.stored["images"]))
    assert found[0][:3] == found[1][:3]
    assert found[0][0] == 2
    assert torch.equal(found[0][3], found[1][3])


def test_a_checkpoint_is_of_steps_that_were_read(started):
    """The steps before it are checked and reported first, so that a run does not resume from invalid numbers."""
    run, synthetic, state = started
    seen, kept = [], []

    def keep(capture, *, now=False):
        kept.append((capture().outer, len(seen)))

    def bad(outer, inner):
        return False

    with pytest.raises(DccError):
        optimise(run, Broken(where="loss"), synthetic, state, watch=seen.append, looks=bad, keep=keep)
    assert kept[:3] == [(0, 1), (0, 2), (1, 3)]


def test_a_step_that_is_done_again_for_want_of_memory_begins_with_the_state_it_had(started):
    """A loss that has moved on before memory runs out does not move on twice."""
    run, synthetic, _ = started

    class Count(State):
        value = torch.zeros(())

        def state_dict(self):
            return {"value": self.value}

        def load_state_dict(self, state):
            self.value = state["value"]

    class Hungry(MatchingLoss):
        failures = 2

        def terms(self, step, state):
            state.value = state.value + 1
            if self.failures:
                self.failures -= 1
                raise torch.OutOfMemoryError("no more")
            yield Part(step.synthetic.batch(0, 1, 2).images.square().mean())

    run.chunks.images = 64
    state = Count()
    optimise(replace(run, outer_loops=1), Hungry(), synthetic, state)
    assert state.value == run.inner_loops
