"""The prefetcher: `take` never waits, and no lane's trouble is another's."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from small_runs import CONSTANT, PLAIN, TINY, proposed

from automl_gpt_ray import prefetch
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import AdviceError, JournalError
from automl_gpt_ray.events import (
    AdviceGiven,
    Decision,
    ProposalDropped,
    ResultReported,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.lanes import LANGUAGE, LaneRule
from automl_gpt_ray.prefetch import Prefetcher
from automl_gpt_ray.records import Observation, TrialState

SOON = 20.0


def until(condition, seconds=SOON, poke=None):
    """Wait until `condition()` is true; fail after many times what it should take.

    Lanes look about once a second by themselves; `poke` is a prefetcher whose lanes are woken meanwhile.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if poke:
            poke.changed()
        if found := condition():
            return found
        time.sleep(0.01)
    return pytest.fail("waited in vain")


class Counting:
    """Proposes settings that nobody has had, after `delay` seconds, or what `does` says."""

    def __init__(self, source="classical", delay=0.0, does=None):
        self.source, self.delay, self.does = source, delay, does
        self.calls, self.running, self.most = 0, 0, 0
        self.lock = threading.Lock()

    def propose(self, history, n):
        with self.lock:
            self.calls += 1
            call = self.calls
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            time.sleep(self.delay)
            if self.does:
                return self.does(history, n, call)
            return [self.make(call * 10 + i, history) for i in range(n)]
        finally:
            with self.lock:
                self.running -= 1

    def make(self, number, history):
        return proposed({**PLAIN.default, "eta": 0.001 + number / 1e5}, number, self.source, history.version)


def in_order(history, ready):
    return next(iter(ready), None)


@pytest.fixture
def supply():
    """Build a running prefetcher over an in-memory book; all are stopped at the end."""
    made = []

    def build(advisors, space=PLAIN, choose=in_order, book=None, start=True, recalled=(), **arguments):
        if not isinstance(advisors, dict):
            advisors = {advisors.source: advisors}
        book = book or Book()
        if book.started is None:
            book.record(RunStarted("accuracy", "max", 4, 0, space.default))
        prefetcher = Prefetcher(book, space, advisors, choose, **arguments)
        made.append(prefetcher)
        prefetcher.book = book
        if start:
            prefetcher.start(recalled)
        return prefetcher

    yield build
    for prefetcher in made:
        prefetcher.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(prefetch, "RETRY_S", (0.01, 0.1))


def take(supply, trial):
    return until(lambda: supply.take(trial), poke=supply)


def end(supply, trial, value=0.5, failure=None):
    if failure is None:
        supply.book.record(ResultReported(trial, Observation(1, {"accuracy": value}, 1.0)))
    supply.book.record(TrialEnded(trial, TrialState.FAILED if failure else TrialState.COMPLETED, failure))
    supply.changed()


def of_kind(book, kind, journal):
    return [e.event for e in read_journal(journal) if isinstance(e.event, kind)]


@pytest.fixture
def journalled(tmp_path):
    return Book(Journal(tmp_path / "j")), tmp_path / "j"


def test_take_never_waits_for_an_advisor(supply):
    made = supply(Counting(delay=0.5))
    taken = []
    for number in range(60):
        began = time.perf_counter()
        taken.append(made.take(f"t{number}"))
        assert time.perf_counter() - began < 0.25  # of 0.5 s that a call takes
        time.sleep(0.01)
    assert taken[0].source == "default"


def test_the_default_is_the_first_and_comes_at_once(supply):
    made = supply({"classical": Counting(delay=0.3), "language": Counting("language", delay=0.3)})
    first = made.take("t1")
    assert (first.source, first.config) == ("default", PLAIN.default)
    assert take(made, "t2").source in ("classical", "language", "random")
    assert made.book.trial("t1").proposal == first


def test_recalled_settings_come_next(supply):
    recalled = replace(proposed({**PLAIN.default, "depth": 2}), source="recalled", id="r1")
    made = supply(Counting(), recalled=[recalled])
    until(lambda: made.book.queued("classical"))
    assert [take(made, f"t{i}").source for i in range(3)] == ["default", "recalled", "classical"]


def test_a_resumed_run_does_not_begin_again(supply):
    one = supply(Counting(), start=False)
    one.book.record(TrialStarted("t1", proposed(PLAIN.default, source="default")))
    two = supply(Counting(), book=one.book)
    until(lambda: two.book.queued("classical"))
    assert two.book.queued("default") == []


def test_choose_decides_among_those_that_are_ready(supply):
    asked = []

    def choose(history, ready):
        asked.append(set(ready))
        return "b" if "b" in ready else None

    made = supply({"a": Counting("a"), "b": Counting("b")}, choose=choose)
    made.take("t0")
    until(lambda: made.book.queued("a") and made.book.queued("b"))
    assert made.take("t1").source == "b"
    assert asked[-1] == {"a", "b"}


def test_nobody_waits_while_the_cluster_idles(supply):
    release = threading.Event()
    made = supply(Counting(does=lambda *_: release.wait(SOON) and []), start=False)
    made.book.record(AdviceGiven("x", 1, ()))
    made.start()
    made.take("t1")
    end(made, "t1")
    emergency = made.take("t2")  # nothing runs: at once
    assert emergency.source == "random"
    assert PLAIN.problems(emergency.config) == []
    assert made.take("t3") is None  # something runs: after a while
    assert take(made, "t3").source == "random"
    release.set()


def test_stale_proposals_are_replaced_by_fresh_ones(supply, journalled):
    book, journal = journalled
    advisor = Counting()
    made = supply(advisor, book=book)
    made.take("t1")
    until(lambda: len(book.queued("classical")) >= 2)
    old = {p.id for p in book.queued("classical")}
    end(made, "t1")
    until(lambda: not old & {p.id for p in book.queued("classical")})
    dropped = of_kind(book, ProposalDropped, journal)
    assert {d.proposal for d in dropped} >= old
    assert all("latest results" in d.reason for d in dropped)
    assert len(book.queued("classical")) == 2


def test_language_proposals_are_dropped_after_too_many_bests(supply, journalled):
    book, journal = journalled
    calls = threading.Semaphore(1)

    def once(history, n, call):
        if not calls.acquire(blocking=False):
            raise AdviceError("no more ideas")
        return [proposed({**PLAIN.default, "depth": 2}, 1, "language", history.version)]

    made = supply(Counting("language", does=once), book=book)
    made.take("t1")
    until(lambda: book.queued("language"))
    for number in range(1, LANGUAGE.fresh_epochs + 1):
        book.record(TrialStarted(f"b{number}", proposed({**PLAIN.default, "depth": 3 + number}, number)))
        book.record(ResultReported(f"b{number}", Observation(1, {"accuracy": 0.1 * number}, 1.0)))
    made._drop_outdated()
    assert book.queued("language")  # old, but served
    book.record(TrialEnded("t1", TrialState.FAILED, "oom"))
    # ... for as long as no call could have been made since.
    until(lambda: made._drop_outdated() is not None and not book.queued("language"))
    made.take("t2")
    assert "too much has been learned" in of_kind(book, ProposalDropped, journal)[-1].reason
    assert book.history().trials[-1].proposal.source != "language"


def test_duplicates_between_lanes_are_refused(supply, journalled):
    book, journal = journalled
    same = {**PLAIN.default, "depth": 2}

    def one(source):
        return lambda history, n, call: [proposed(same, call, source, history.version)]

    made = supply({"a": Counting("a", does=one("a")), "b": Counting("b", does=one("b"))}, book=book)
    until(lambda: any(a.problems for a in of_kind(book, AdviceGiven, journal)))
    assert made.take("t0").source == "default"
    keys = [PLAIN.key(p.config) for p in book.queued()]
    assert len(keys) == len(set(keys)) == 1


def test_one_that_repeats_itself_is_asked_less_and_less(supply, monkeypatch):
    monkeypatch.setattr(prefetch, "RETRY_S", (0.2, 10.0))
    advisor = Counting(does=lambda history, n, call: [proposed(PLAIN.default, call)])
    made = supply(advisor)
    until(lambda: advisor.calls >= 2, poke=made)
    end_at = time.monotonic() + 0.5
    while time.monotonic() < end_at:
        made.changed()
        time.sleep(0.005)
    assert advisor.calls < 8
    assert made.book.queued("classical") == []


def test_one_thought_of_again_stands_in_the_queue_once(supply):
    made = supply(Counting(), start=False)
    book, lane = made.book, made._lanes["classical"]
    old = [proposed({**PLAIN.default, "depth": d}, d) for d in (1, 2, 3)]
    book.record(AdviceGiven("classical", 1, tuple(old)))
    book.record(TrialStarted("t1", proposed(PLAIN.default)))
    end(made, "t1")
    again = proposed({**PLAIN.default, "depth": 3}, 30, version=book.version)
    assert made._admit(lane, book.history(), [again], 1) == 1
    assert Counter(p.config["depth"] for p in book.queued()) == Counter([1, 2, 3])
    assert again in book.queued()


def down(history, n, call):
    raise AdviceError("the server is down", outage=True)


def test_an_outage_is_recorded_once_and_noted_on_trials(supply, journalled):
    book, journal = journalled
    advisor = Counting("language", does=down)
    made = supply({"language": advisor, "classical": Counting()}, book=book)
    until(lambda: advisor.calls >= 3, poke=made)
    assert made.outages() == {"language": "the server is down"}
    (decision,) = of_kind(book, Decision, journal)
    assert (decision.subject, decision.action) == ("run", "outage")
    assert "the server is down" in decision.reason
    assert book.decisions == [decision]
    assert made.take("t1").notes == ()  # the default is nobody's fallback
    second = take(made, "t2")
    assert second.notes == ("`language` could not be asked: the server is down",)
    assert book.trial("t2").proposal.notes == second.notes


def test_a_passing_lack_of_ideas_is_no_outage(supply):
    def none(history, n, call):
        raise AdviceError("no idea")

    advisor = Counting("language", does=none)
    made = supply(advisor)
    until(lambda: advisor.calls >= 3, poke=made)
    assert made.outages() == {}
    assert made.book.decisions == []


def test_it_recovers_after_an_outage(supply):
    def sometimes(history, n, call):
        if call in (1, 2, 5):
            raise AdviceError(f"down {call}", outage=True)
        return [Counting("language").make(call, history)]

    made = supply(Counting("language", does=sometimes), rules={"language": LaneRule(batch=1)})
    until(lambda: made.book.queued("language"), poke=made)
    assert made.outages() == {}
    made.take("t0")
    second = take(made, "t1")
    assert (second.source, second.notes) == ("language", ())
    # Every outage is told, not only the first.
    for number in range(2, 9):
        take(made, f"t{number}")
        end(made, f"t{number}")
    found = [(d.action, d.reason) for d in made.book.decisions]
    assert [action for action, _ in found] == ["outage", "recovered", "outage", "recovered"]
    assert "down 1. Carrying on with the classical advisor" in found[0][1]
    assert "can be asked again, after" in found[1][1]
    assert "down 5" in found[2][1]


@pytest.mark.parametrize("error", [ValueError("bug"), RecursionError(), KeyError("x"), AssertionError()])
def test_a_bug_in_an_advisor_does_not_end_its_lane(supply, error):
    def buggy(history, n, call):
        if call <= 2:
            raise error
        return [Counting().make(call, history)]

    made = supply(Counting(does=buggy))
    until(lambda: made.book.queued("classical"), poke=made)
    assert made.outages() == {}


@pytest.mark.parametrize("made", [None, ["no proposal"]])
def test_an_advisor_that_returns_no_proposals_is_told_and_asked_again(supply, made, caplog):
    supplied = supply(Counting(does=lambda history, n, call: made if call <= 2 else [Counting().make(call, history)]))
    until(lambda: supplied.book.queued("classical"), poke=supplied)
    assert "the advisor `classical` failed" in caplog.text


@pytest.mark.parametrize(("space", "count"), [(TINY, 6), (CONSTANT, 1)])
def test_an_exhausted_space_is_said_to_be(supply, space, count):
    made = supply({"classical": ClassicalAdvisor(space)}, space)
    taken = []
    end_at = time.monotonic() + SOON
    while not made.exhausted and time.monotonic() < end_at:
        if found := made.take(f"t{len(taken)}"):
            taken.append(space.key(found.config))
            end(made, f"t{len(taken) - 1}")
        time.sleep(0.01)
    assert made.exhausted
    assert len(taken) == len(set(taken)) == count


def test_it_is_dry_while_nobody_has_a_proposal(supply):
    def late(history, n, call):
        if call <= 2:
            raise AdviceError("not yet")
        return [Counting().make(call, history)]

    made = supply({"classical": Counting(does=late)})
    made.take("t0")  # the default
    until(lambda: made.dry, poke=made)
    until(lambda: made.book.queued("classical"), poke=made)
    assert not made.dry


def test_stop_ends_the_threads(supply):
    before = threading.active_count()
    made = supply({"language": Counting("language"), "classical": Counting()})
    threads = [t for lane in made._lanes.values() for t in lane.threads]
    assert len(threads) == LANGUAGE.workers + 1
    made.take("t1")
    made.stop()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert threading.active_count() <= before


@pytest.mark.parametrize("fails", [False, True])
def test_what_comes_after_the_end_is_not_written(supply, journalled, monkeypatch, fails):
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    book, journal = journalled
    release, entered = threading.Event(), threading.Event()

    def late(history, n, call):
        entered.set()
        release.wait(SOON)
        return down(history, n, call) if fails else [Counting().make(call, history)]

    made = supply(Counting(does=late), book=book)
    assert entered.wait(SOON)
    made.stop()
    book.close()
    size = journal.stat().st_size
    release.set()
    for thread in made._lanes["classical"].threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert raised == []
    assert journal.stat().st_size == size


def test_a_take_that_cannot_be_written_is_an_error(supply, journalled):
    book, _ = journalled
    made = supply(Counting(), book=book, start=False)
    book.record(AdviceGiven("x", 1, (proposed(PLAIN.default),)))
    book.close()
    with pytest.raises(JournalError):
        made.take("t1")
    assert book.trial("t1") is None


def test_advice_that_cannot_be_written_ends_the_run_and_not_a_thread_in_a_traceback(supply, journalled, monkeypatch):
    book, _ = journalled
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))
    made = supply(Counting(), book=book, start=False)
    book.close()
    for lane in made._lanes.values():
        monkeypatch.setattr(lane, "threads", [threading.Thread(target=made._work, args=(lane,))])
        lane.threads[0].start()
        lane.threads[0].join(SOON)
        assert not lane.threads[0].is_alive()
    assert raised == []
    with pytest.raises(JournalError):
        made.take("t1")


def test_several_calls_are_in_flight(supply):
    advisor = Counting("language", delay=0.2)
    made = supply(advisor, rules={"language": LaneRule(workers=4, batch=1, most=1, depth=8, fresh_ended=False)})
    lane = made._lanes["language"]
    with made.book.lock:
        lane.latency = 0.5
        made._stock.demand._takes.extend(time.monotonic() - 0.1 * i for i in range(20, 0, -1))
        made.book.record(TrialStarted("t0", proposed(PLAIN.default, source="default")))
        end(made, "t0")
    made.changed()

    # Calls that would be told the same are not made together.
    def learned():
        made.book.record(TrialEnded("t0", TrialState.COMPLETED))
        return advisor.most >= 3

    until(learned, poke=made)
    until(lambda: len(made.book.queued("language")) >= 4)
    assert advisor.most <= 4
    ids = [p.id for p in made.book.queued("language")]
    assert len(set(ids)) == len(ids)


def test_a_lane_works_no_further_ahead_than_its_depth(supply):
    advisor = Counting()
    made = supply(advisor, rules={"classical": LaneRule(batch=2, depth=3)})
    lane = made._lanes["classical"]
    with made.book.lock:
        lane.latency = 100.0
        made._stock.demand._takes.extend([time.monotonic() - 1.0, time.monotonic()] * 5)
        made.book.record(TrialStarted("t0", proposed(PLAIN.default, source="default")))
        end(made, "t0")
    made.changed()
    until(lambda: len(made.book.queued("classical")) >= 3)
    until(lambda: not lane.in_flight)
    assert len(made.book.queued("classical")) <= 4  # a call brings two
    calls = advisor.calls
    time.sleep(0.1)
    assert advisor.calls == calls


def test_many_takers_get_different_settings(supply):
    made = supply({"classical": Counting(), "language": Counting("language", delay=0.02)})
    found, lock = [], threading.Lock()

    def worker(number):
        for turn in range(5):
            chosen = take(made, f"t{number}-{turn}")
            with lock:
                found.append(chosen)

    threads = [threading.Thread(target=worker, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(found) == 30
    assert len({p.id for p in found}) == 30
    assert found[0] is not None
    assert [t.proposal.id for t in made.book.history().trials].count("default-1-0") == 1
