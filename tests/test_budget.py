"""Budgets: what has been used, which limit was reached, and the sentence that says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from small_runs import PLAIN, proposed

from automl_gpt_ray.book import Book
from automl_gpt_ray.budget import Budget, Price, Used, endings, price_of
from automl_gpt_ray.errors import LLMBudgetExceeded
from automl_gpt_ray.events import ReplyReceived, ResultReported, RunStarted, TrialEnded, TrialResumed, TrialStarted
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.records import Message, Observation, Prompt, TrialState, Usage
from automl_gpt_ray.run_budget import RunBudget, completed, rays_limits, within

PRICES = {"m": Price(1.0, 10.0), "m-mini": Price(0.1, 1.0)}


class Supply:
    """A prefetcher as a budget sees it."""

    def __init__(self, failure="", spent=None, owed=False):
        self.failure, self.spent, self.owed = failure, spent or {}, owed

    def owes(self, source):
        return self.owed


@pytest.fixture
def book():
    made = Book()
    made.record(RunStarted("accuracy", "max", 4, 0, PLAIN.default))
    return made


def begin(book, trial, steps=0, seconds=0.0, state=None):
    book.record(TrialStarted(trial, proposed(PLAIN.default, trial)))
    for step in range(1, steps + 1):
        book.record(ResultReported(trial, Observation(step, {"accuracy": 0.5}, seconds * step / steps)))
    if state:
        book.record(TrialEnded(trial, state))


def reply(model, *tokens):
    return ReplyReceived("c", "{}", model, Usage(*tokens), 0.1, "stop")


@pytest.mark.parametrize(
    ("limits", "used", "reason", "at_once"),
    [
        ({"trials": 12}, {"trials": 12}, "all 12 trials were run", False),
        (
            {"steps": 200},
            {"steps": 203},
            "the budget of 200 training steps was used up (203 spent)",
            True,
        ),
        ({"seconds": 60}, {"seconds": 60.04}, "the time budget of 60 s was used up (60.0 s spent)", True),
        ({"gpu_hours": 2.5}, {"gpu_hours": 2.51}, "the budget of 2.5 GPU-hours was used up (2.51 spent)", True),
        ({"tokens": 1_000_000}, {"tokens": 1_000_100}, "the budget of 1000000 tokens was used up", False),
        ({"money": 0.5}, {"money": 0.5}, "the budget of 0.5 US dollars was used up (0.5 spent)", False),
    ],
)
def test_each_limit_has_its_sentence(limits, used, reason, at_once):
    (found,) = endings(Budget(**limits), Used(**used))
    assert found.kind == next(iter(limits))
    assert found.reason.startswith(reason)
    assert found.at_once is at_once
    less = {kind: value * 0.9 for kind, value in limits.items()}
    assert endings(Budget(**limits), Used(**less)) == []


def test_what_stops_trials_is_named_first():
    budget = Budget(trials=1, tokens=1, steps=1)
    assert [e.kind for e in endings(budget, Used(trials=1, tokens=1, steps=1))] == ["steps", "tokens", "trials"]
    assert endings(Budget(), Used(10**9, 10**9, 1e9, 1e9, 10**9, 1e9)) == []


def test_tokens_and_money_end_nothing_where_the_classical_team_carries_on():
    budget = Budget(tokens=1, money=1.0, prices=PRICES, after_tokens="classical")
    assert endings(budget, Used(tokens=9, money=9.0)) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"trials": 0},
        {"steps": 1.5},
        {"seconds": float("inf")},
        {"gpu_hours": -1},
        {"tokens": "many"},
        {"money": float("nan")},
        {"epochs": 3},
        {"prices": {"m": {"input": 1}}},
        {"prices": {"m": {"input": -1, "output": 1}}},
        {"prices": {"m": {"input": 1, "output": 1, "cached": 1}}},
        {"after_tokens": "wait"},
    ],
)
def test_bad_budgets_are_refused(bad):
    with pytest.raises(ValidationError):
        Budget.model_validate(bad)


def test_prices_cover_dated_versions_only():
    assert price_of(PRICES, "m-2026-01-01") == PRICES["m"]
    assert price_of(PRICES, "m-mini-0613") == PRICES["m-mini"]
    assert price_of(PRICES, "m-maxi") is None
    assert Budget().cost({"m": Usage(1, 1)}) is None
    costs = Budget(prices=PRICES).cost({"m-mini": Usage(1_000_000, 0), "another": Usage(0, 1_000_000)})
    assert costs == pytest.approx(0.1 + 10.0)  # an unknown name is charged the highest price


def test_it_counts_what_the_book_holds(book):
    now = [100.0]
    begin(book, "t1", 4, 8.0, TrialState.COMPLETED)
    limits = RunBudget(Budget(prices=PRICES), book, gpus=0.5, before_s=50.0, clock=lambda: now[0])
    begin(book, "t2", 2, 4.0)
    limits.saw("t2")
    book.record(reply("m", 100, 10))
    book.record(reply("m-mini", 50, 5))
    now[0] += 6.0
    used = limits.used()
    assert (used.trials, used.steps, used.seconds, used.tokens) == (2, 6, 56.0, 165)
    assert used.money == pytest.approx((100 + 100 + 5 + 5) / 1e6)
    # The six seconds since the running trial reported are training too.
    assert used.gpu_hours == pytest.approx(0.5 * (8 + 4 + 6) / 3600)
    book.record(TrialEnded("t2", TrialState.STOPPED))
    limits.saw("t2")
    assert limits.used().gpu_hours == pytest.approx(0.5 * 12 / 3600)
    again = RunBudget(Budget(), book).used()
    assert (again.trials, again.steps) == (2, 6)


def test_a_trial_that_waits_or_was_stopped_by_a_decision_uses_no_gpu(book):
    now = [0.0]
    limits = RunBudget(Budget(gpu_hours=1), book, gpus=1.0, clock=lambda: now[0])
    for name, state in (("t1", TrialState.PAUSED), ("t2", TrialState.STOPPED)):
        begin(book, name, 2, 4.0)
        limits.saw(name)
        book.record(TrialEnded(name, state))  # by the scheduler, which tells nobody
    now[0] = 7200.0
    assert limits.used().gpu_hours == pytest.approx(8 / 3600)
    assert limits.ending(Supply()) is None
    book.record(TrialResumed("t1", "it promises most"))
    now[0] += 10.0  # its worker starts
    book.record(ResultReported("t1", Observation(3, {"accuracy": 0.5}, 6.0)))
    limits.saw("t1")
    now[0] += 5.0
    assert limits.used().gpu_hours == pytest.approx((10 + 5) / 3600)


def test_a_trial_that_repeats_steps_is_counted_once(book):
    limits = RunBudget(Budget(steps=5), book)
    begin(book, "t1", 3)
    limits.saw("t1")
    book.record(ResultReported("t1", Observation(2, {"accuracy": 0.5}, 1.0)))
    limits.saw("t1")
    assert limits.used().steps == 2


def test_running_trials_are_written_down_as_stopped_once(book):
    begin(book, "t1", 4, 1.0)
    begin(book, "t2", 1, 1.0)
    now = [0.0]
    limits = RunBudget(Budget(steps=5), book, gpus=1.0, clock=lambda: now[0])
    now[0] = 7.0
    assert limits.ending(Supply()).kind == "steps"
    assert limits.stops_trials()
    now[0] = 9.0
    assert limits.used().gpu_hours == pytest.approx((1 + 1 + 7 + 7) / 3600)  # until they were stopped
    version = book.version
    assert limits.stops_trials()
    assert book.version == version
    assert [t.state for t in book.history().trials] == [TrialState.COMPLETED, TrialState.STOPPED]
    assert book.decisions[-1].action == "finish"
    assert limits.ended_by == "the budget of 5 training steps was used up (5 spent)"


def test_the_last_trial_runs_on_until_a_harder_limit(book):
    now = [0.0]
    limits = RunBudget(Budget(trials=1, seconds=10), book, clock=lambda: now[0])
    assert limits.ending(Supply()) is None
    begin(book, "t1", 1)
    limits.saw("t1")
    assert limits.ending(Supply()).kind == "trials"
    assert not limits.stops_trials()
    assert book.decisions == []
    now[0] = 11.0
    assert limits.ending(Supply()).kind == "seconds"
    assert limits.stops_trials()


def test_a_run_that_ends_while_its_last_trial_trains_was_interrupted(book):
    limits = RunBudget(Budget(trials=1), book)
    begin(book, "t1", 1)
    limits.saw("t1")
    assert limits.ending(Supply()).kind == "trials"
    assert limits.ended_by == "interrupted"
    book.record(TrialEnded("t1", TrialState.COMPLETED))
    assert limits.ended_by == "all 1 trials were run"


def test_paid_proposals_are_trained_before_tokens_end_the_run(book):
    limits = RunBudget(Budget(tokens=100, trials=50), book)
    assert limits.urgent() == ()
    book.record(reply("m", 90, 20))
    assert limits.ending(Supply(owed=True)) is None
    assert limits.urgent() == ("language",)
    assert limits.ending(Supply(owed=False)).kind == "tokens"


def test_a_refused_call_ends_the_run_or_not(book):
    refused = Supply(spent={"language": "the language model's budget is spent: 90 of 100 tokens"})
    assert "90 of 100 tokens" in RunBudget(Budget(tokens=100), book).ending(refused).reason
    assert RunBudget(Budget(tokens=100, after_tokens="classical"), book).ending(refused) is None


def test_an_outage_that_ends_the_run_is_a_failure(book):
    begin(book, "t1", 1)
    limits = RunBudget(Budget(), book)
    assert limits.ending(Supply(failure="the server is down")).kind == "outage"
    assert limits.failed
    assert limits.stops_trials()
    assert (book.decisions[-1].action, book.decisions[-1].reason) == ("fail", "the server is down")


def test_ray_says_what_the_budget_does_not():
    told = rays_limits({"num_samples": 7, "time_budget_s": timedelta(minutes=1)})
    assert completed(Budget(steps=9), told).limits == {"seconds": 60.0, "steps": 9, "trials": 7}
    assert completed(Budget(trials=3, seconds=5), told).limits == {"trials": 3, "seconds": 5.0}
    assert completed(Budget(trials=50), told).limits["trials"] == 7  # Ray never asks for more
    assert completed(Budget(), rays_limits({})) == completed(Budget(), {}) == Budget()


def test_a_client_stays_within_what_the_run_has_left(book):
    prompt = Prompt((Message("user", "x" * 400),))
    book.record(reply("m", 90, 0))
    script = Scripted(["a"], repeat_last=True)
    assert within(script, Budget(steps=1), book.spending) is script
    within(script, Budget(tokens=190), book.spending).complete(prompt)
    for budget in (Budget(tokens=189), Budget(money=1e-4, prices={"m": Price(1.0, 1.0)})):
        with pytest.raises(LLMBudgetExceeded):
            within(script, budget, book.spending).complete(prompt)
    assert len(script.prompts) == 1
