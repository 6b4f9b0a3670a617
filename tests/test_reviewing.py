"""Reviewing: what is asked, what is followed, what is void, and that every review has an outcome in the journal."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest
from small_runs import full_brief, proposed

from automl_gpt_ray.advisors.reviewer import LanguageReviewer
from automl_gpt_ray.audit import ADVISED, DISCARDED, PAUSE, REVISE, STOP
from automl_gpt_ray.book import Book
from automl_gpt_ray.curves.gate import Gate
from automl_gpt_ray.errors import AdviceError, AdviceSpent, AdviceUnusable, LLMUnavailable
from automl_gpt_ray.events import (
    AdviceGiven,
    CallFailed,
    Decision,
    ForecastMade,
    PromptSent,
    ReplyReceived,
    ResultReported,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.prompts.review import MOST
from automl_gpt_ray.records import LogPoint, Observation, PredictedLog, TrialState, Usage
from automl_gpt_ray.review import Review, ReviewsRead, Subject
from automl_gpt_ray.reviewing import Reviewing
from automl_gpt_ray.reviews import Reviews

BRIEF = full_brief()
FINAL = LogPoint(8, 0.4, 0.3, 0.5)
ROOM = {"eta": (0.03, 1.0)}


class Says:
    """A reviewer that says one thing of every trial."""

    def __init__(self, action="continue", changes=None, error=None):
        self.action, self.changes, self.error = action, changes or {}, error
        self.asked = []

    def review(self, history, subjects):
        self.asked.append([s.trial for s in subjects])
        if self.error:
            raise self.error
        return [Review(s.trial, s.step, self.action, "because", FINAL, self.changes) for s in subjects]


class Keeper:
    """A scorekeeper that trusts, or does not."""

    def __init__(self, trusts=True):
        self.trusts = trusts

    def gate(self, source):
        assert source == "language"
        return Gate(self.trusts, 9, 2.0, 0.5)


class Run:
    """A book with a reviewing over it; trial t0 is the best, others run."""

    def __init__(self, reviewer, trusts=True, revise=lambda review: "", background=False):
        self.events, reviews = [], Reviews()
        self.book = Book(also=lambda event: (self.events.append(event), reviews.note(event)))
        self.book.record(RunStarted("accuracy", "max", 8, 0, BRIEF.space.default))
        keeper, forecast = Keeper(trusts), lambda trial: PredictedLog("accuracy", (FINAL,), "gp")
        self.revised = []
        told = (self.book, BRIEF, _Noted(reviewer, self.book), reviews, keeper, forecast, 2)
        self.reviewing = Reviewing(
            *told, lambda review: self.revised.append(review) or revise(review), lambda trial: ROOM, background
        )
        for number in range(3):
            self.book.record(TrialStarted(f"t{number}", proposed({**BRIEF.space.default, "depth": number + 1}, number)))
        self.report("t0", 0.9, 1, 2)

    def report(self, trial, value, first, last):
        for step in range(first, last + 1):
            self.book.record(ResultReported(trial, Observation(step, {"accuracy": value}, float(step))))

    def at(self, trial, step, value=0.3):
        known = self.book.trial(trial).last_step
        self.report(trial, value, known + 1, step)
        return self.book.trial(trial)

    def queue(self):
        self.book.record(AdviceGiven("classical", 0, (proposed({**BRIEF.space.default, "depth": 9}, 99),)))
        return self

    def decided(self):
        return [(d.subject, d.action) for d in self.book.decisions]


class _Noted:
    """As a reviewer of a model's: what it says is written down before it is returned."""

    def __init__(self, reviewer, book):
        self.reviewer, self.book = reviewer, book

    def review(self, history, subjects):
        found = self.reviewer.review(history, subjects)
        self.book.record(ReviewsRead("c", tuple(found)))
        return found


def test_a_trial_is_asked_about_at_milestones_with_what_the_predictor_expects():
    run = Run(Says())
    run.reviewing.ask(run.at("t1", 1))
    assert run.reviewing._reviewer.reviewer.asked == []
    run.reviewing.ask(run.at("t1", 2))
    assert run.reviewing._reviewer.reviewer.asked == [["t1"]]
    assert run.reviewing.verdict(run.book.trial("t1")) is None
    assert run.decided() == []


def test_a_trial_that_reports_only_now_and_then_is_asked_about():
    run = Run(Says())
    for step in (1, 3, 5):
        run.report("t1", 0.3, step, step)
        run.reviewing.ask(run.book.trial("t1"))
    assert run.reviewing._reviewer.reviewer.asked == [["t1"], ["t1"]]


def test_every_forecast_in_a_review_is_entered_for_scoring():
    run = Run(Says())
    run.reviewing.ask(run.at("t1", 2))
    made = [e for e in run.events if isinstance(e, ForecastMade)]
    assert [(e.trial, e.step, e.log.source, e.log.final) for e in made] == [("t1", 2, "language", FINAL)]


@pytest.mark.parametrize(("action", "ends"), [("stop", True), ("pause", False)])
def test_a_trusted_reviewer_is_followed(action, ends):
    run = Run(Says(action)).queue()
    run.reviewing.ask(run.at("t1", 2))
    choice = run.reviewing.verdict(run.book.trial("t1"))
    assert (choice.ends, choice.by, choice.reason, choice.predicted) == (ends, "language", "because", 0.4)
    run.book.record(Decision("t1", STOP if ends else PAUSE, choice.reason, choice.by, 2, choice.predicted))
    assert run.reviewing.verdict(run.book.trial("t1")) is None


def test_one_that_has_earned_nothing_is_written_down_and_not_followed():
    run = Run(Says("stop"), trusts=False)
    run.reviewing.ask(run.at("t1", 2))
    assert run.reviewing.verdict(run.book.trial("t1")) is None
    assert run.reviewing.verdict(run.book.trial("t1")) is None
    assert run.decided() == [("t1", ADVISED)]
    assert "have not earned a say" in run.book.decisions[0].reason


def test_the_best_so_far_is_neither_stopped_nor_paused():
    run = Run(Says("stop"))
    run.reviewing.ask(run.book.trial("t0"))
    assert run.reviewing.verdict(run.book.trial("t0")) is None
    assert run.decided() == [("t0", ADVISED)]


def test_nothing_is_paused_for_nobody():
    run = Run(Says("pause"))
    run.reviewing.ask(run.at("t1", 2))
    assert run.reviewing.verdict(run.book.trial("t1")) is None
    assert run.decided() == [("t1", ADVISED)]


def test_a_revision_is_handed_on_once_whoever_is_trusted():
    run = Run(Says("revise", {"eta": 0.05}), trusts=False)
    run.reviewing.ask(run.at("t1", 2))
    for _ in range(3):
        assert run.reviewing.verdict(run.book.trial("t1")) is None
    assert [r.changes for r in run.revised] == [{"eta": 0.05}]
    assert run.decided() == [("t1", REVISE)]


def test_a_revision_that_is_refused_says_why():
    run = Run(Says("revise", {"eta": 0.05}), revise=lambda review: "too soon after the last")
    run.reviewing.ask(run.at("t1", 2))
    run.reviewing.verdict(run.book.trial("t1"))
    assert (run.book.decisions[0].action, run.book.decisions[0].reason) == (ADVISED, "too soon after the last")


@pytest.mark.parametrize("action", ["stop", "pause", "revise"])
def test_a_late_answer_is_discarded_and_recorded(action):
    run = Run(Says(action, {"eta": 0.05})).queue()
    run.reviewing.ask(run.at("t1", 2))
    assert run.reviewing.verdict(run.at("t1", 5)) is None
    assert run.decided() == [("t1", DISCARDED)]
    assert "3 steps have passed" in run.book.decisions[0].reason
    assert run.revised == []


@pytest.mark.parametrize("state", [TrialState.PAUSED, TrialState.COMPLETED, TrialState.FAILED])
def test_an_answer_about_a_trial_that_does_not_run_is_discarded(state):
    run = Run(Says("stop"))
    run.reviewing.ask(run.at("t1", 2))
    run.book.record(TrialEnded("t1", state))
    run.reviewing.verdict(run.at("t2", 1))
    assert run.decided() == [("t1", DISCARDED)]
    assert state.value in run.book.decisions[0].reason


def test_an_outage_is_said_once_and_running_trials_go_on():
    run = Run(Says(error=AdviceError("the server is down", outage=True)))
    for step in (2, 4):
        run.reviewing.ask(run.at("t1", step))
        assert run.reviewing.verdict(run.book.trial("t1")) is None
    assert run.decided() == [("run", "outage")]


@pytest.mark.parametrize("error", [AdviceSpent("no tokens left"), ZeroDivisionError("odd")])
def test_a_spent_budget_or_a_broken_reviewer_ends_the_reviewing(error):
    run = Run(Says(error=error))
    for step in (2, 4):
        run.reviewing.ask(run.at("t1", step))
    assert len(run.reviewing._reviewer.reviewer.asked) == 1


def test_trials_that_come_while_a_call_is_under_way_share_the_next(monkeypatch):
    from automl_gpt_ray import reviewing

    monkeypatch.setattr(reviewing, "GATHER_S", 0.0)
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Says):
        def review(self, history, subjects):
            entered.set()
            assert go_on.wait(30)
            return super().review(history, subjects)

    slow = Slow()
    run = Run(slow, background=True)
    run.reviewing.start()
    run.reviewing.ask(run.book.trial("t0"))
    assert entered.wait(30)
    entered.clear()
    run.reviewing.ask(run.at("t1", 2))
    run.reviewing.ask(run.at("t2", 2))
    go_on.set()
    assert entered.wait(30)
    run.reviewing.stop()
    run.reviewing._thread.join(30)
    assert slow.asked == [["t0"], ["t1", "t2"]]


def reply(*names, action="continue"):
    final = {"value": 0.4, "low": 0.3, "high": 0.5}
    reviews = [{"trial": n, "action": action, "reason": "because", "predicted_final": final} for n in names]
    return json.dumps({"reviews": reviews})


def asked(client, *names):
    run = Run(Says())
    subjects = [Subject(name, 2, room=ROOM) for name in names]
    return run, lambda: LanguageReviewer(client, BRIEF, run.book.record).review(run.book.history(), subjects)


def test_a_model_is_asked_once_about_all_and_everything_is_written_down():
    client = Scripted([reply("t0", "t1", action="stop")])
    run, review = asked(client, "t0", "t1")
    assert [(r.trial, r.action) for r in review()] == [("t0", "stop"), ("t1", "stop")]
    kinds = Counter(type(e) for e in run.events)
    assert kinds[PromptSent] == kinds[ReplyReceived] == kinds[ReviewsRead] == 1
    sent = next(e for e in run.events if isinstance(e, PromptSent))
    assert (sent.purpose, [s.trial for s in sent.subjects]) == ("review", ["t0", "t1"])
    assert run.book.unread() == []


def test_a_useless_reply_is_repaired_once_then_given_up():
    client = Scripted(["well...", reply("t1")])
    run, review = asked(client, "t1")
    assert [r.trial for r in review()] == ["t1"]
    assert [e.purpose for e in run.events if isinstance(e, PromptSent)] == ["review", "review repair"]
    client = Scripted(["well..."] * 2)
    run, review = asked(client, "t1")
    with pytest.raises(AdviceUnusable):
        review()
    assert [e.error for e in run.events if isinstance(e, CallFailed)] == ["no_json"]
    assert run.book.unread() == []


def test_a_server_that_is_down_is_an_advice_error():
    _, review = asked(Scripted([LLMUnavailable("down")]), "t1")
    with pytest.raises(AdviceError, match="down"):
        review()


def test_no_more_trials_than_fit_are_asked_about():
    names = [f"t{i}" for i in range(MOST + 3)]
    client = Scripted([reply("t0")])
    _, review = asked(client, *names)
    review()
    item = client.schemas[0]["properties"]["reviews"]["items"]["properties"]["trial"]
    assert item["enum"] == names[:MOST]


def test_a_reply_of_before_a_kill_is_read_when_the_run_goes_on():
    run = Run(Says())
    subject = Subject("t1", 0)
    run.book.record(PromptSent("c9", "review", run.book.version, (), subjects=(subject,)))
    run.book.record(ReplyReceived("c9", reply("t1", action="stop"), "m", Usage(), 1.0, "stop"))
    run.reviewing.start()
    assert run.book.unread() == []
    assert [e.trial for e in run.events if isinstance(e, ForecastMade)] == ["t1"]
    choice = run.reviewing.verdict(run.at("t1", 1))
    assert choice is not None
    assert choice.ends
