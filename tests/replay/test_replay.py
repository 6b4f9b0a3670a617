"""A replay comes to the same as the run, and notices when it does not."""

from __future__ import annotations

import math
import threading
import time

import pytest
from small_runs import CONDITIONAL, MAXIMISE, MINIMISE, PLAIN, bare_brief, full_brief

from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.language import LanguageAdvisor
from automl_gpt_ray.advisors.local import LocalAdvisor
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import JobError, LLMUnavailable
from automl_gpt_ray.events import Decision, ProposalDropped, RunResumed
from automl_gpt_ray.journal import FILE_NAME, Journal, read_journal
from automl_gpt_ray.prefetch import Prefetcher
from automl_gpt_ray.replay import course, replay
from replay.played import Model, drive, faulty, nth, rewrite, search


def told(loop, count):
    """Train `count` trials of an ask/tell loop; some fail, one reports NaN."""
    metric = loop.history.objective.metric
    for _ in range(count):
        trial = loop.ask()
        number = len(loop.history.trials)
        for step in range(1, 5):
            value = math.nan if number == 7 and step == 2 else math.sin(number) ** 2 * step / 4
            loop.tell(trial.id, step, {metric: value}, seconds=0.1 * step)
        loop.end(trial.id, stopped=number % 5 == 0, failure="oom" if number % 6 == 0 else None)


def team(space, seed=0, **arguments):
    return Mixture(
        {"classical": ClassicalAdvisor(space, seed, "random"), "local": LocalAdvisor(space, seed)}, **arguments
    )


def asked(folder, count=25, space=PLAIN, objective=MINIMISE, seed=3, advisor=None, brief=None):
    book = Book(Journal(folder / FILE_NAME))
    told(AskTell(brief or bare_brief(space, objective), advisor or team(space, seed), book, seed), count)
    book.close()
    return folder


def searched(folder, llm=None, trials=30, **arguments):
    searcher = search(folder, llm)
    if arguments.get("first"):  # it goes on, as a driver says that takes up a run
        searcher.reconcile({})
    drive(searcher, trials, **arguments)
    searcher.close()
    return folder


def all_same(report):
    assert report.differences == ()
    assert report.different == 0
    return report.same > 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("space", "objective"), [(PLAIN, MINIMISE), (CONDITIONAL, MAXIMISE)])
def test_loops_without_a_cluster(tmp_path, seed, space, objective):
    report = replay(asked(tmp_path, 20, space, objective, seed))
    assert all_same(report)
    assert report.not_derivable == 0
    assert report.tallies["choices"].same == report.tallies["trust"].same == 20


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_advisor_alone(tmp_path, sampler):
    report = replay(asked(tmp_path, 15, advisor=ClassicalAdvisor(PLAIN, 9, sampler, startup=3)))
    assert all_same(report)
    assert report.tallies["classical proposals"].same == 14
    assert report.not_derivable == 0


def test_a_mixture_of_other_shares(tmp_path):
    mixed = team(PLAIN, priors={"classical": 0.2, "local": 0.8}, floors={"local": 0.5})
    report = replay(asked(tmp_path, 25, advisor=mixed))
    assert all_same(report)
    assert report.not_derivable == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_language_model_in_a_loop_without_a_cluster(tmp_path, seed):
    brief, book = full_brief(), Book(Journal(tmp_path / FILE_NAME))
    language = LanguageAdvisor(faulty(seed), brief, book.record)
    mixed = Mixture({"language": language, "classical": ClassicalAdvisor(brief.space, 1)})
    told(AskTell(brief, mixed, book, seed), 25)
    book.close()
    report = replay(tmp_path)
    assert all_same(report)
    assert report.tallies["prompts"].same >= report.tallies["language proposals"].same >= 3
    assert report.not_derivable == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_searcher_whose_model_fails_often(tmp_path, seed):
    report = replay(searched(tmp_path, faulty(seed), seed=seed))
    assert all_same(report)
    tallies = report.tallies
    assert tallies["trust"].same == 30
    assert tallies["choices"].same + (tallies["random draws"].same if "random draws" in tallies else 0) == 30
    assert tallies["prompts"].same >= 1
    assert set(tallies) >= {"default proposals", "classical proposals"}


def test_a_run_that_was_resumed(tmp_path):
    searched(tmp_path, faulty(1), 12)
    searched(tmp_path, faulty(2), 12, first=12)
    searched(tmp_path, None, 8, first=24)
    report = replay(tmp_path)
    assert all_same(report)
    assert report.tallies["trust"].same == 32
    assert any("resumed" in note for note in report.notes)


def test_stale_proposals(tmp_path, monkeypatch):
    monkeypatch.setattr(Prefetcher, "_recent", lambda self: {})  # as if its model could have answered since
    release = threading.Event()
    slow = Model(lambda n: release.wait(30) and None if n else None)
    brief = search(tmp_path / "x").brief
    members = {"language": LanguageAdvisor(slow, brief, lambda event: searcher.book.record(event))}
    members |= team(brief.space).advisors
    seldom = Mixture(members, {"language": 0.01, "classical": 0.5, "local": 0.49}, {})
    searcher = search(tmp_path, mixture=seldom)
    drive(searcher, 1, climb=True)
    while not searcher.book.queued("language"):
        time.sleep(0.002)
    for number in range(1, 12):
        while not searcher.book.queued("classical"):
            time.sleep(0.002)
        drive(searcher, 1, first=number, climb=True)
    release.set()
    searcher.close()
    dropped = [e.event for e in read_journal(tmp_path / FILE_NAME) if isinstance(e.event, ProposalDropped)]
    assert any("too much" in d.reason for d in dropped)
    report = replay(tmp_path)
    assert all_same(report)
    assert report.tallies["drops"].same >= 1


def test_an_outage_is_noted_on_trials_and_comes_out_the_same(tmp_path):
    messages = iter(range(1000))
    searched(tmp_path, Model(lambda n: LLMUnavailable(f"down for the {next(messages)}th time")), 15)
    events = [e.event for e in read_journal(tmp_path / FILE_NAME)]
    assert sum(isinstance(e, Decision) and e.action == "outage" for e in events) == 1
    assert any("could not be asked: down for the" in str(getattr(e, "proposal", "")) for e in events)
    assert all_same(replay(tmp_path))


def test_a_key_in_a_card_stays_out_and_the_prompts_are_the_same(tmp_path):
    searcher = search(tmp_path, Model(), data={"description": "Made with sk-abc123def456ghi789 of ours."})
    drive(searcher, 10)
    searcher.close()
    assert "sk-abc" not in (tmp_path / FILE_NAME).read_text()
    report = replay(tmp_path)
    assert all_same(report)
    assert report.tallies["prompts"].same >= 1


class Own:
    """Somebody's own advisor."""

    def __init__(self, space):
        self._advisor = LocalAdvisor(space, 7)
        self._first = ClassicalAdvisor(space, 7, "random")

    def propose(self, history, n):
        return (self._first if len(history.trials) < 3 else self._advisor).propose(history, n)


def test_what_a_strange_advisor_proposed_is_said_not_to_be_derivable(tmp_path):
    report = replay(asked(tmp_path, 6, advisor=Own(PLAIN)))
    assert report.different == 0
    assert report.not_derivable == 5
    reasons = {reason for tally in report.tallies.values() for reason in tally.reasons}
    assert reasons == {"the advisor `Own` is not one of this package's"}
    assert report.tallies["choices"].same == 6


def test_a_mixture_with_a_stranger_is_judged_in_part(tmp_path):
    space = search(tmp_path / "x").brief.space
    mixed = Mixture({"classical": ClassicalAdvisor(space, 1), "own": Own(space)})
    searcher = search(tmp_path / "run", mixture=mixed)
    drive(searcher, 12)
    searcher.close()
    report = replay(tmp_path / "run")
    assert report.different == 0
    assert report.tallies["classical proposals"].same >= 1
    assert report.tallies["trust"].same == 12


def test_no_more_of_the_past_is_kept_than_is_needed(tmp_path, monkeypatch):
    kept, remember = [], course.Course._remember

    def counted(self, seq):
        remember(self, seq)
        kept.append(len(self._moments))

    monkeypatch.setattr(course.Course, "_remember", counted)
    assert all_same(replay(asked(tmp_path, 60)))
    assert max(kept) == 1


@pytest.mark.parametrize("content", [None, b"", b'{"name": "x"}\n', b"\x00\xff\n" * 9])
def test_there_must_be_the_journal_of_a_run(tmp_path, content):
    if content is not None:
        (tmp_path / FILE_NAME).write_bytes(content)
    for place in (tmp_path, tmp_path / FILE_NAME):
        with pytest.raises(JobError, match=r"the (folder|journal) of a run"):
            replay(place)


def test_nothing_is_written(tmp_path):
    asked(tmp_path, 8)
    (tmp_path / FILE_NAME).open("ab").write(b'{"crc":"torn')
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    replay(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_version_that_is_not_ours_is_said(tmp_path):
    asked(tmp_path, 4)
    rewrite(tmp_path, nth("team", 0, lambda e: {**e, "versions": {**e["versions"], "optuna": "0.1"}}))
    assert any("made with optuna 0.1, this is" in note for note in replay(tmp_path).notes)


def test_a_journal_without_its_team(tmp_path):
    asked(tmp_path, 5)
    rewrite(tmp_path, nth("run_started", 0, lambda e: {**e, "brief": {}}))
    report = replay(tmp_path)
    assert report.different == 0
    assert report.tallies["choices"].same == 5  # the head of the queue, whoever put it there
    assert report.not_derivable == report.tallies["trust"].not_derivable + 5 == 10


@pytest.mark.parametrize("line", [1, 2, 20, 60])
def test_a_lost_line_leaves_the_rest_not_derivable_and_nothing_different(tmp_path, line):
    asked(tmp_path, 15)
    path = tmp_path / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[: line - 1], b"#" + lines[line - 1], *lines[line:]]))
    report = replay(tmp_path)
    assert report.different == 0
    assert report.not_derivable >= 10
    assert report.notes[0] == "1 lines of the journal cannot be read"


def test_a_run_that_went_on_after_damage_is_derived_from_there(tmp_path):
    asked(tmp_path, 6)
    path = tmp_path / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:20]) + b"#" + b"".join(lines[20:]))
    journal = Journal(path)
    book = Book(journal)
    book.record(RunResumed(journal.damage))
    told(AskTell(bare_brief(PLAIN, MINIMISE), team(PLAIN, 3), book, 3), 10)
    book.close()
    report = replay(tmp_path)
    assert report.different == 0
    assert report.tallies["choices"].same >= 10
    assert report.tallies["choices"].not_derivable >= 1
