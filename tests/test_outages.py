"""Outages: what a run does while its language model cannot be asked, and that it says so."""

from __future__ import annotations

import threading
import time

import pytest
from small_runs import PLAIN, proposed

from automl_gpt_ray import prefetch
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import AdviceError, AdviceRejected, AdviceSpent, AdviceUnusable, JobError
from automl_gpt_ray.events import RunStarted
from automl_gpt_ray.outages import OutagePolicy, Outages
from automl_gpt_ray.prefetch import LaneRule, Prefetcher

SOON = 20.0


class Model:
    """A language model's advisor that raises `error` until it is set to None."""

    def __init__(self, error):
        self.error, self.calls, self.lock = error, 0, threading.Lock()

    def propose(self, history, n):
        with self.lock:
            self.calls += 1
            number = self.calls
        if self.error:
            raise self.error
        return [proposed({**PLAIN.default, "eta": 0.2 + number / 1e4}, number, "language", history.version)]


class Classical:
    def __init__(self):
        self.calls = 0

    def propose(self, history, n):
        self.calls += 1
        return [proposed({**PLAIN.default, "eta": 0.001 + self.calls / 1e4}, self.calls, "classical", history.version)]


def model_first(history, ready):
    return max(ready, default=None)  # `language` comes after `classical`


@pytest.fixture
def supply(monkeypatch):
    monkeypatch.setattr(prefetch, "RETRY_S", (0.01, 0.1))
    monkeypatch.setattr(prefetch, "RELUCTANT_S", 0.1)
    made = []

    def build(model, *policy):
        book = Book()
        book.record(RunStarted("accuracy", "max", 4, 0, PLAIN.default))
        team = {"language": model, "classical": Classical()}
        rules = {"language": LaneRule(workers=1, batch=1)}
        prefetcher = Prefetcher(book, PLAIN, team, model_first, rules=rules, outages=OutagePolicy(*policy))
        prefetcher.book = book
        made.append(prefetcher)
        prefetcher.start()
        return prefetcher

    yield build
    for prefetcher in made:
        prefetcher.stop()


def until(supply, condition):
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        supply.changed()
        if found := condition():
            return found
        time.sleep(0.01)
    return pytest.fail("waited in vain")


def told(supply):
    return [(d.action, d.reason) for d in supply.book.decisions]


DOWN = AdviceError("the server is down.", outage=True)


def test_waiting_starts_the_default_and_nobody_elses_proposals(supply):
    model = Model(DOWN)
    made = supply(model, "wait")
    until(made, lambda: made.outages() and made.book.queued("classical"))
    assert made.take("t0").source == "default"
    assert [made.take(f"t{n}") for n in range(1, 20)] == [None] * 19
    assert not made.exhausted
    ((action, reason),) = told(made)
    assert action == "outage"
    assert reason == "language cannot be asked: the server is down. Waiting for it, for as long as it takes"
    model.error = None
    found = until(made, lambda: made.take("t1"))
    assert (found.source, found.notes) == ("language", ())
    assert [action for action, _ in told(made)] == ["outage", "recovered"]
    assert until(made, lambda: made.take("t2")).source in ("language", "classical")


def test_what_the_model_proposed_before_it_went_is_handed_out(supply):
    model = Model(None)
    made = supply(model, "wait")
    until(made, lambda: made.book.queued("language"))
    model.error = DOWN
    made.take("t0")
    sources = []
    until(made, lambda: sources.append(getattr(made.take("t1"), "source", None)) or made.outages())
    assert made.take("t2") is None
    assert set(sources) >= {"language"}


def test_the_longest_wait_is_over_some_time():
    now, said = [0.0], []
    outages = Outages(OutagePolicy("wait", 30), said.append, clock=lambda: now[0])
    outages.begin("language", "down")
    assert outages.waits
    now[0] = 29.0
    outages.begin("language", "still down")
    assert outages.waits
    now[0] = 30.0
    assert not outages.waits
    assert not outages.waits
    assert [d.action for d in said] == ["outage", "outage"]
    assert "at most 30 s" in said[0].reason
    assert "waited 30 s for language" in said[1].reason
    assert "Carrying on with the classical advisor" in said[1].reason
    outages.end("language")
    outages.begin("language", "down again")
    assert outages.waits  # each outage is waited for anew


def test_failing_names_the_error(supply):
    made = supply(Model(DOWN), "fail")
    failure = until(made, lambda: made.failure)
    assert failure == "language could not be asked and `llm.on_outage` is `fail`: the server is down."
    assert "Ending the run" in told(made)[0][1]


def test_an_outage_told_once_ends_once():
    said = []
    outages = Outages(OutagePolicy(), said.append)
    outages.end("language")
    for _ in range(3):
        outages.begin("language", "down")
    assert outages.failure == ""
    assert not outages.waits
    assert outages.messages == {"language": "down"}
    outages.end("language")
    outages.end("language")
    assert [d.action for d in said] == ["outage", "recovered"]
    assert "language" not in outages


def test_one_whose_budget_is_spent_is_asked_no_more_and_not_waited_for(supply):
    model = Model(AdviceSpent("90 of 100 tokens"))
    made = supply(model, "wait")
    until(made, lambda: made.spent)
    calls = model.calls
    made.take("t0")
    found = until(made, lambda: made.take("t1"))
    assert found.source == "classical"
    assert found.notes == ("`language` could not be asked: 90 of 100 tokens",)
    for number in range(2, 6):
        until(made, lambda number=number: made.take(f"t{number}"))
    assert model.calls == calls == 1
    assert told(made) == [("budget", "language is asked no more: 90 of 100 tokens")]
    assert not made.owes("language")
    assert made.failure == ""


def test_three_unusable_answers_in_a_row_are_an_outage(supply):
    model = Model(AdviceUnusable("it wrote a poem"))
    made = supply(model)
    until(made, lambda: made.outages())
    assert model.calls == prefetch.UNUSABLE
    assert "3 answers in a row were unusable, the last one: it wrote a poem" in told(made)[0][1]
    model.error = None
    until(made, lambda: not made.outages())
    assert [action for action, _ in told(made)] == ["outage", "recovered"]


def test_one_that_refuses_is_asked_more_rarely(supply, monkeypatch):
    monkeypatch.setattr(prefetch, "RETRY_S", (0.01, 0.02))
    monkeypatch.setattr(prefetch, "RELUCTANT_S", 60.0)
    refused, down = supply(Model(AdviceRejected("bad key", outage=True))), supply(Model(DOWN))
    for made in (refused, down):
        lane = made._lanes["language"]
        until(made, lambda lane=lane: lane.failures >= 5)
        with made.book.lock:
            wait = lane.retry_at - time.monotonic()
        assert (wait > 0.05) == (made is refused)


@pytest.mark.parametrize("bad", [("give_up",), ("wait", 0), ("wait", float("nan"))])
def test_a_bad_policy_is_named(bad):
    with pytest.raises(JobError):
        OutagePolicy(*bad)
