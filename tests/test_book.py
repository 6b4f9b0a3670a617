"""The book: nothing but the events applied, whether they come one by one or from a journal."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import replace

import pytest
from small_runs import PLAIN, proposed

from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import (
    AdviceGiven,
    CallFailed,
    CheckpointSaved,
    Decision,
    PromptSent,
    ProposalDropped,
    ReplyReceived,
    ResultReported,
    RunEnded,
    RunResumed,
    RunStarted,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
)
from automl_gpt_ray.events import Tested as Scored  # pytest would collect the name
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.records import Message, Observation, Proposal, TrialState, Usage

START = RunStarted("accuracy", "max", 4, 0, PLAIN.default)


def begun(journal=None, mode="max"):
    book = Book(journal)
    book.record(RunStarted("accuracy", mode, 4, 0, PLAIN.default))
    return book


def start(book, trial="t1", number=1):
    book.record(TrialStarted(trial, proposed(PLAIN.default, number)))


def report(book, step, value, trial="t1"):
    return book.record(ResultReported(trial, Observation(step, {"accuracy": value}, float(step))))


def random_events(seed, count=80):
    """A random run: events may come late, twice, or of trials nobody started."""
    rng = random.Random(seed)
    yield RunStarted("accuracy", rng.choice(["max", "min"]), 4, seed, PLAIN.default)
    for number in range(1, count + 1):
        trial = f"t{rng.randrange(8)}"
        kind = rng.randrange(11)
        proposals = tuple(proposed({**PLAIN.default, "depth": rng.randint(1, 12)}, number * 10 + i) for i in range(2))
        value = rng.choice([rng.random(), rng.random(), math.nan, math.inf])
        if kind <= 4:
            yield ResultReported(trial, Observation(rng.randint(1, 4), {"accuracy": value}, rng.random()))
        elif kind == 5:
            yield AdviceGiven("classical", number, proposals, ("one was bad",))
        elif kind == 6:
            yield ProposalDropped(f"classical-{rng.randrange(10 * number + 2)}", "stale")
        elif kind == 7:
            yield TrialStarted(trial, proposals[0])
        elif kind == 8:
            failure = rng.choice([None, "oom", "nan", "error"])
            yield TrialEnded(trial, rng.choice(list(TrialState)), failure)
        elif kind == 9:
            yield rng.choice(
                [
                    ReplyReceived("c", "{}", "m", Usage(5, 7), 0.5, "stop"),
                    CallFailed("c", "LLMUnavailable", "down"),
                    Decision("run", "outage", "down", "x"),
                ]
            )
        else:
            yield rng.choice([RunResumed("x"), Scored(trial, {"accuracy": value}), RunEnded("done")])


def state(book):
    # repr: NaN is not equal to itself.
    return repr(
        (
            book.history(),
            book.version,
            book.ended_version,
            book.spending,
            book.decisions,
            book.tested,
            book.ended,
            book.started,
            book.queued(),
            [book.epochs_since(v) for v in range(book.version + 1)],
        )
    )


@pytest.mark.parametrize("seed", range(25))
def test_a_book_from_the_journal_equals_the_live_one(tmp_path, seed):
    path = tmp_path / "j"
    book, snapshots = Book(Journal(path)), []
    for event in random_events(seed):
        book.record(event)
        snapshots.append(state(book))
    book.close()
    again = Journal(path)
    assert state(Book(again)) == snapshots[-1]
    assert state(Book().replay(e.event for e in again.entries)) == snapshots[-1]
    # ... and so it was at every moment before.
    for cut in (1, len(snapshots) // 2):
        assert state(Book().replay(e.event for e in again.entries[:cut])) == snapshots[cut - 1]
    again.close()


def test_a_rebuilt_book_goes_on(tmp_path):
    book = begun(Journal(tmp_path / "j"))
    start(book)
    report(book, 1, 0.5)
    book.close()
    again = Book(Journal(tmp_path / "j"))
    assert report(again, 2, 0.6) == again.version == 4
    again.close()
    assert [e.seq for e in read_journal(tmp_path / "j")] == [1, 2, 3, 4]
    assert again.history().best.curve("accuracy") == ((1, 0.5), (2, 0.6))


def test_an_event_that_cannot_be_written_is_not_applied(tmp_path):
    journal = Journal(tmp_path / "j")
    book = begun(journal)
    before = state(book)
    journal.close()
    with pytest.raises(JournalError):
        start(book)
    assert state(book) == before


def test_a_journal_without_its_beginning_is_refused(tmp_path):
    book = begun(Journal(tmp_path / "j"))
    start(book)
    report(book, 1, 0.5)
    book.close()
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    (tmp_path / "j").write_bytes(b"".join([b"garbage\n", *lines[1:]]))
    with pytest.raises(JournalError, match="first event"):
        Book(Journal(tmp_path / "j"))


def test_an_empty_book_has_no_history():
    with pytest.raises(RuntimeError, match="RunStarted"):
        Book().history()


def test_steps_reported_again_after_a_restart_replace_the_old_ones():
    book = begun()
    start(book)
    for step, value in ((1, 0.1), (2, 0.2), (3, 0.3), (2, 0.25)):
        report(book, step, value)
    assert book.trial("t1").curve("accuracy") == ((1, 0.1), (2, 0.25))
    report(book, 3, 0.35)
    assert book.trial("t1").curve("accuracy") == ((1, 0.1), (2, 0.25), (3, 0.35))


def test_results_of_nobody_change_nothing():
    book = begun()
    before = book.history().trials
    report(book, 1, 0.5, "ghost")
    book.record(TrialEnded("ghost", TrialState.FAILED, "oom"))
    assert book.history().trials == before
    assert book.epochs_since(0) == 0
    assert book.trial("ghost") is None


def test_a_paused_trial_that_reports_runs_again():
    book = begun()
    start(book)
    book.record(TrialEnded("t1", TrialState.PAUSED))
    report(book, 1, 0.5)
    assert book.trial("t1").state is TrialState.RUNNING
    book.record(TrialEnded("t1", TrialState.STOPPED))
    report(book, 2, 0.5)
    assert book.trial("t1").state is TrialState.STOPPED


def test_a_failed_trial_that_is_asked_for_again_is_running():
    book = begun()
    start(book)
    book.record(TrialEnded("t1", TrialState.FAILED, "oom"))
    report(book, 1, 0.5)
    assert book.trial("t1").state is TrialState.RUNNING
    assert book.trial("t1").failure is None


def test_a_requeued_trial_is_none_and_its_proposal_comes_next():
    book = begun()
    start(book)
    proposal = book.trial("t1").proposal
    book.record(AdviceGiven("local", 1, (replace(proposal, id="other"),)))
    book.record(TrialRequeued("t1", "lost"))
    book.record(TrialRequeued("ghost", "lost"))
    assert book.trial("t1") is None
    assert [p.id for p in book.queued()] == [proposal.id, "other"]


def test_a_reply_is_unread_until_its_proposals_are_queued_or_it_failed():
    book = begun()
    proposal = Proposal("language-c1-0", {}, "why", "language")
    for call in ("c1", "c2", "c3"):
        book.record(PromptSent(call, "propose", 1, (Message("user", "?"),), 1))
    assert book.unread() == []
    for call in ("c1", "c2", "c3"):
        book.record(ReplyReceived(call, "!", "m", Usage(), 1.0, "stop"))
    assert [prompt.call for prompt, _ in book.unread()] == ["c1", "c2", "c3"]
    book.record(AdviceGiven("language", 1, (proposal,)))
    book.record(CallFailed("c2", "no_json", "rubbish"))
    assert [prompt.call for prompt, _ in book.unread()] == ["c3"]
    book.record(PromptSent("c3-repair", "repair", 1, (Message("user", "?"),), 1))
    assert book.unread() == []


def test_checkpoints_are_remembered_by_step():
    book = begun()
    start(book)
    book.record(CheckpointSaved("t1", 1, "/a"))
    book.record(CheckpointSaved("t1", 2, "/b"))
    assert book.checkpoints("t1") == {1: "/a", 2: "/b"}
    assert book.checkpoints("t9") == {}


def test_time_without_a_driver_is_not_counted(tmp_path):
    now = iter([100.0, 101.0, 500.0, 502.0])
    journal = Journal(tmp_path / "journal.jsonl", clock=lambda: next(now))
    book = begun(journal)
    book.record(Decision("run", "note", "still there", "test"))
    book.record(RunResumed())
    book.record(Decision("run", "note", "there again", "test"))
    assert book.seconds == 3.0
    book.close()
    again = Journal(tmp_path / "journal.jsonl")
    assert Book(again).seconds == 3.0
    again.close()


@pytest.mark.parametrize(("mode", "values", "bests"), [("max", [0.5, 0.4, 0.6], 2), ("min", [0.5, 0.4, 0.6], 2)])
def test_a_new_best_is_an_epoch(mode, values, bests):
    book = begun(mode=mode)
    for number, value in enumerate([*values, math.nan, math.inf, -math.inf]):
        start(book, f"t{number}", number)
        report(book, 1, value if mode == "max" else 1 - value, f"t{number}")
    assert book.epochs_since(0) == bests == book.history().epoch


def test_a_leader_that_climbs_on_is_one_epoch():
    book = begun()
    start(book)
    start(book, "t2", 2)
    for step in (1, 2, 3):
        report(book, step, 0.1 * step)
    assert book.epochs_since(0) == 1
    report(book, 1, 0.9, "t2")
    report(book, 4, 0.95)
    assert book.epochs_since(0) == 2


def test_a_new_class_of_failure_is_an_epoch():
    book = begun()
    for number, failure in enumerate(["oom", "oom", "nan", None]):
        start(book, f"t{number}", number)
        book.record(TrialEnded(f"t{number}", TrialState.FAILED if failure else TrialState.COMPLETED, failure))
    assert book.epochs_since(0) == 2


def test_epochs_since_counts_what_came_after():
    book = begun()
    start(book)
    before = book.version
    at = report(book, 1, 0.5)
    assert (book.epochs_since(before), book.epochs_since(at)) == (1, 0)
    report(book, 2, 0.4)
    start(book, "t2", 2)
    later = report(book, 1, 0.6, "t2")
    assert [book.epochs_since(v) for v in (before, at, later - 1, later)] == [2, 1, 1, 0]


def test_a_second_end_refines_the_failure():
    book = begun()
    start(book)
    book.record(TrialEnded("t1", TrialState.FAILED, "error"))
    assert book.epochs_since(0) == 1
    book.record(TrialEnded("t1", TrialState.FAILED, "oom", "out of memory"))
    assert book.trial("t1").failure == "oom"
    assert book.epochs_since(0) == 2
    # The first word was taken back, so a real `error` is new; another `oom` is not.
    for number, failure in ((2, "oom"), (3, "error")):
        start(book, f"t{number}", number)
        before = book.epochs_since(0)
        book.record(TrialEnded(f"t{number}", TrialState.FAILED, failure))
        assert book.epochs_since(0) - before == (failure == "error")


def test_the_queue():
    book = begun()
    one, two, three = proposed({}, 1), proposed({}, 2, "local"), proposed({}, 3)
    book.record(AdviceGiven("x", 1, (one, two)))
    book.record(AdviceGiven("x", 1, (three,)))
    assert book.queued() == [one, two, three]
    assert book.queued("classical") == [one, three]
    book.record(ProposalDropped(one.id, "stale"))
    book.record(ProposalDropped("ghost", "stale"))
    book.record(TrialStarted("t1", three))
    assert book.queued() == [two] == list(book.history().pending)


def test_a_snapshot_does_not_change():
    book = begun()
    first = book.history()
    assert book.history() is first
    start(book)
    assert first.trials == ()
    assert len(book.history().trials) == 1


def test_spending_is_the_sum_of_the_calls():
    book = begun()
    for _ in range(3):
        book.record(ReplyReceived("c", "{}", "m", Usage(10, 2), 0.5, "stop"))
    book.record(CallFailed("c", "LLMUnavailable", "down", 9.0))
    spent = book.spending
    assert (spent.calls, spent.failures, spent.usage, spent.seconds) == (3, 1, Usage(30, 6), 1.5)


def test_threads_see_versions_that_only_grow(tmp_path):
    book, versions = begun(Journal(tmp_path / "j")), []

    def work(number):
        start(book, f"t{number}", number)
        for step in range(1, 6):
            with book.lock:
                versions.append(report(book, step, 0.1 * step, f"t{number}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book.close()
    assert versions == sorted(versions)
    again = Book(Journal(tmp_path / "j"))
    assert again.history() == book.history()
    assert all(t.last_step == 5 for t in again.history().trials)
