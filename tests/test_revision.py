"""What may be changed about a trial that trains, what the book makes of it, and when it is taken back."""

from __future__ import annotations

import math

import pytest

from automl_gpt_ray.book import Book
from automl_gpt_ray.budget import Budget
from automl_gpt_ray.errors import Problem
from automl_gpt_ray.events import (
    AdviceGiven,
    CheckpointSaved,
    ResultReported,
    RunStarted,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
)
from automl_gpt_ray.lineage import (
    Origin,
    Revision,
    RevisionApplied,
    RevisionAsked,
    RevisionJudged,
    RevisionRolledBack,
)
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter, IntParameter
from automl_gpt_ray.records import LogPoint, Objective, Observation, PredictedLog, Proposal, TrialState
from automl_gpt_ray.revision import RevisionRule, ask, bounded, checked, floor_of, heir, judged, room
from automl_gpt_ray.run_budget import RunBudget
from automl_gpt_ray.space import SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatParameter(low=1e-5, high=1.0, log=True, default=0.1),
        "dropout": FloatParameter(low=0.0, high=0.5, default=0.1),
        "batch": ChoiceParameter(choices=[16, 32, 64], default=32),
        "depth": IntParameter(low=1, high=9, default=3),
    }
)
RULE = RevisionRule(hot=("lr", "dropout", "depth"), clone=("batch",), cooldown=2, most=2, patience=2)
CONFIG = dict(SPACE.default)


def book_of(values=(0.5,), config=None, journal=None):
    book = Book(journal)
    book.record(RunStarted("score", "max", 20, 0, CONFIG))
    book.record(TrialStarted("t", Proposal("p", config or CONFIG, "first", "default")))
    report(book, values)
    return book


def report(book, values, trial="t", start=None):
    first = (book.trial(trial).last_step if start is None else start) + 1
    for step, value in enumerate(values, first):
        book.record(ResultReported(trial, Observation(step, {"score": value}, float(step))))


def asked(book, changes, rule=RULE, **options):
    return ask(book, "t", changes, SPACE, rule, **{"reason": "to see", "by": "test", **options})


def apply(book, step, restart=None, floor=None, **changes):
    trial = book.trial("t")
    value = trial.observations[-1].metrics["score"]
    book.record(RevisionApplied("t", step, {**trial.config, **changes}, restart, value, floor))


def test_a_revision_is_written_down_as_it_was_checked():
    book = book_of((0.5, 0.4))
    found = asked(book, {"lr": 0.01, "depth": 3}, predicted=0.8)
    assert found == Revision("t", 2, {"lr": 0.01}, "to see", "test", 0.8)
    assert book.trial("t").lineage.asked == found
    assert book.trial("t").config == CONFIG, "nothing changes before it takes force"


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"lr": 0.009}, {}, "between 0.01 and 1 at once"),
        ({"lr": 0.5, "dropout": 0.45}, {}, "`dropout`: must change to between 0 and 0.35"),
        ({"depth": 8}, {}, "`depth`: must change to between 1 and 7"),
        ({"depth": 2.5}, {}, "must be a whole number"),
        ({"lr": math.nan}, {}, "`lr`: must be"),
        ({"lr": "0.05"}, {}, "`lr`: must be a number"),
        ({"momentum": 0.5}, {}, "`momentum`: must not change while a trial trains"),
        ({"lr": 0.1}, {}, "must change something"),
        ({}, {}, "must change something"),
        ({"lr": 0.05}, {"reason": " "}, "`reason`: must not be empty"),
        ({"lr": 0.05}, {"back_to": 3}, "`back_to`: must be a step from 0 to 1"),
        ({"lr": 0.05}, {"rule": RevisionRule()}, "Those that may: none"),
    ],
)
def test_what_is_not_allowed_is_refused_in_words(changes, options, words):
    book = book_of()
    before = book.version
    found = asked(book, changes, **options)
    assert isinstance(found, Problem)
    assert words in str(found)
    assert book.version == before


def test_ten_times_too_high_is_cured_at_once_and_more_is_bounded():
    assert isinstance(asked(book_of(), {"lr": 0.1 / 10}), Revision)
    assert bounded("lr", 1e-4, SPACE, RULE, CONFIG) == pytest.approx(0.01)
    assert bounded("lr", 0.05, SPACE, RULE, CONFIG) == 0.05
    assert bounded("lr", 1e-9, SPACE, RULE, {**CONFIG, "lr": 2e-5}) == 1e-5


def test_the_room_is_what_a_revision_would_be_allowed():
    trial = book_of().trial("t")
    told = room(trial, SPACE, RULE)
    assert told == {
        "lr": (pytest.approx(0.01), 1.0),
        "dropout": (0.0, pytest.approx(0.35)),
        "depth": (1, 7),
        "batch": None,
    }
    for name, ends in (("lr", (0.01, 1.0)), ("dropout", (0.0, 0.35)), ("depth", (1, 7))):
        for value in (*ends, *(float(f"{end:.4g}") for end in ends if name != "depth")):  # as a prompt tells them
            assert isinstance(checked(trial, {name: value}, SPACE, RULE, reason="a try", by="someone"), Revision)
    assert isinstance(checked(trial, {"depth": 8}, SPACE, RULE, reason="a try", by="someone"), Problem)


def test_there_is_no_room_where_nothing_may_be_revised_now():
    book = book_of()
    assert isinstance(ask(book, "t", {"lr": 0.01}, SPACE, RULE, reason="a try", by="someone"), Revision)
    assert room(book.trial("t"), SPACE, RULE) == {}


def test_revisions_are_few_and_far_between():
    book = book_of((0.5,))
    assert isinstance(asked(book, {"lr": 0.05}), Revision)
    assert "waits already" in str(asked(book, {"lr": 0.04}))
    apply(book, 2, lr=0.05)
    report(book, [0.5])
    assert "2 steps between two" in str(asked(book, {"lr": 0.04}))
    report(book, [0.5])
    assert isinstance(asked(book, {"lr": 0.04}), Revision)
    apply(book, 4, lr=0.04)
    report(book, [0.5] * 5)
    assert "2 times already" in str(asked(book, {"lr": 0.03}))
    book.record(TrialEnded("t", TrialState.STOPPED))
    assert "running or paused" in str(asked(book, {"lr": 0.03}))
    assert "one of this run" in str(ask(book, "x", {}, SPACE, RULE, reason="r", by="b"))


def test_the_schedule_tells_which_step_was_trained_with_what():
    book = book_of((0.5, 0.4))
    asked(book, {"lr": 0.01})
    apply(book, 3, lr=0.01)
    report(book, (0.6, 0.7))
    trial = book.trial("t")
    assert trial.lineage.schedule == ((3, {"lr": 0.01}),)
    assert trial.config == {**CONFIG, "lr": 0.01}
    assert trial.proposal.config == CONFIG
    assert [trial.lineage.config(CONFIG, step)["lr"] for step in (1, 2, 3, 4)] == [0.1, 0.1, 0.01, 0.01]
    (applied,) = trial.lineage.applied
    assert (applied.step, applied.before, applied.outcome) == (3, {"lr": 0.1}, "open")


def test_steps_trained_again_are_trained_with_the_values_of_now():
    book = book_of((0.5, 0.4, 0.3))
    asked(book, {"lr": 0.01})
    apply(book, 4, lr=0.01)
    report(book, (0.6,))
    report(book, (0.35,), start=1)  # its node died: it went on from the checkpoint of step 1
    assert book.trial("t").lineage.schedule == ((2, {"lr": 0.01}),)


def test_going_back_drops_what_came_after_and_counts_it():
    book = book_of((0.5, 0.4, 0.1))
    limits = RunBudget(Budget(steps=100), book)
    asked(book, {"lr": 0.01}, back_to=1)
    book.record(TrialEnded("t", TrialState.PAUSED))
    apply(book, 2, Origin("t", 1, "/one"), lr=0.01)
    assert book.trial("t").lineage.restart == Origin("t", 1, "/one")
    report(book, (0.6,), start=1)
    limits.saw("t")
    trial = book.trial("t")
    assert [o.step for o in trial.observations] == [1, 2]
    assert (trial.lineage.restart, trial.lineage.redone) == (None, 2)
    assert limits.used().steps == 4


@pytest.mark.parametrize(
    ("after", "expected", "failed"),
    [
        ((0.3,), None, None),
        ((0.3, 0.35), None, True),
        ((0.3, 0.45), None, False),
        ((math.nan,), None, True),
        ((0.45, math.nan), None, True),
        ((0.45, 0.5), 0.6, True),
        ((0.45, 0.5), 0.3, False),
    ],
)
def test_a_revision_fails_if_the_trial_got_worse_than_before_or_than_expected(after, expected, failed):
    book = book_of((0.5, 0.4))
    asked(book, {"lr": 0.01})
    apply(book, 3, None, expected, lr=0.01)
    report(book, after)
    found = judged(book.trial("t"), book.objective, RULE)
    assert (found and found.failed) == failed
    assert found is None or found.reason


@pytest.mark.parametrize(("mode", "floor"), [("max", 0.3), ("min", 0.8)])
def test_the_worse_end_of_a_forecast(mode, floor):
    log = PredictedLog("score", (LogPoint(1, 0.7, 0.3, 0.8),), "gp")
    assert floor_of(log, Objective("score", mode), 5) == floor
    assert floor_of(log, Objective("other", mode), 5) is None
    assert floor_of(None, Objective("score", mode), 5) is None


def test_what_was_judged_is_not_judged_again():
    book = book_of((0.5,))
    assert judged(book.trial("t"), book.objective, RULE) is None
    asked(book, {"lr": 0.01})
    apply(book, 2, lr=0.01)
    report(book, (0.6, 0.7))
    book.record(RevisionJudged("t", 3, "not worse"))
    report(book, (0.1, 0.1))
    assert judged(book.trial("t"), book.objective, RULE) is None


def test_a_roll_back_sets_the_values_back():
    book = book_of((0.5, 0.4))
    asked(book, {"lr": 1.0})
    apply(book, 3, lr=1.0)
    report(book, (0.2, 0.1))
    book.record(RevisionRolledBack("t", 4, 3, CONFIG, "worse", Origin("t", 2, "/two")))
    trial = book.trial("t")
    assert trial.config == CONFIG
    assert trial.lineage.applied[0].outcome == "rolled_back"
    report(book, (0.45,), start=2)
    assert [book.trial("t").lineage.config(CONFIG, s)["lr"] for s in (2, 3)] == [0.1, 0.1]


def test_a_structural_change_is_a_child_that_inherits_a_checkpoint():
    book = book_of((0.5, 0.4))
    book.record(CheckpointSaved("t", 2, "/two"))
    assert heir(book, "c") is None
    found = asked(book, {"batch": 64, "lr": 0.05})
    assert found.structural
    assert heir(book, "c") is None, "its parent still trains"
    book.record(TrialEnded("t", TrialState.STOPPED))
    proposal = heir(book, "c")
    child = book.trial("c")
    assert proposal.config == child.config == {**CONFIG, "batch": 64, "lr": 0.05}
    assert (proposal.source, proposal.reason) == ("revision", "to see")
    assert child.lineage.parent == Origin("t", 2, "/two")
    assert heir(book, "d") is None
    report(book, (0.6,), "c", start=2)
    limits = RunBudget(Budget(), book)
    assert limits.used().steps == 3, "the steps of the parent are its own"


def test_a_clone_that_ray_lost_is_due_again():
    book = book_of((0.5,))
    asked(book, {"batch": 64})
    book.record(TrialEnded("t", TrialState.STOPPED))
    first = heir(book, "c")
    assert book.trial("c").lineage.parent == Origin("t", 0), "its parent kept no checkpoint"
    book.record(TrialRequeued("c", "lost"))
    assert not book.history().pending
    assert heir(book, "d").config == first.config


def test_everything_comes_back_from_the_events():
    events = []
    book = Book(None, also=events.append)
    book.record(RunStarted("score", "max", 20, 0, CONFIG))
    book.record(AdviceGiven("start", 1, (Proposal("p", CONFIG, "first", "default"),)))
    book.record(TrialStarted("t", Proposal("p", CONFIG, "first", "default")))
    report(book, (0.5, 0.4))
    asked(book, {"lr": 0.01})
    apply(book, 3, lr=0.01)
    report(book, (0.3, 0.2))
    book.record(RevisionRolledBack("t", 4, 3, CONFIG, "worse", Origin("t", 2)))
    asked(book, {"batch": 16})
    again = Book().replay(events)
    assert again.history() == book.history()
    assert isinstance(events[-1], RevisionAsked) or book.trial("t").lineage.asked is None


def test_nothing_is_checked_against_what_was_proposed():
    book = book_of((0.5,))
    asked(book, {"lr": 0.01})
    apply(book, 2, lr=0.01)
    report(book, (0.5, 0.5))
    found = checked(book.trial("t"), {"lr": 0.001}, SPACE, RULE, reason="on", by="test")
    assert isinstance(found, Revision), "a hundred times too high is cured in two"
