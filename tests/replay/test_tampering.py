"""Journals that were changed after the run: each change is found and named."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.queue_rules import OUTDATED
from automl_gpt_ray.replay import replay
from replay.played import Model, drive, nth, rewrite, search


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A run with a model that had to repair its first reply, and failed for good in another."""
    folder = tmp_path_factory.mktemp("honest")
    searcher = search(folder, Model(lambda n: "rubbish {" if n in (0, 2, 3, 4, 5) else None))
    drive(searcher, 30, pace=0.01)
    for more in range(30, 130, 10):
        seen = [entry.event for entry in read_journal(folder / FILE_NAME)]
        sources = {e.source for e in seen if e.kind == "advice"}
        if sources >= {"language", "local"} and {"call_failed", "dropped"} <= {e.kind for e in seen}:
            break
        drive(searcher, 10, first=more, pace=0.02)
    searcher.close()
    report = replay(folder)
    assert (report.different, report.differences) == (0, ())
    kinds = {"prompts", "replies", "choices", "trust", "classical proposals", "local proposals", "language proposals"}
    assert set(report.tallies) >= kinds
    return folder


@pytest.fixture
def run(honest, tmp_path):
    return shutil.copytree(honest, tmp_path / "run")


def inner(event, name, **changes):
    return {**event, name: {**event[name], **changes}}


def first_of(event, **changes):
    """The first proposal of an advice, changed."""
    return {**event, "proposals": [{**event["proposals"][0], **changes}, *event["proposals"][1:]]}


def chosen(number, edit):
    """A change of the `number`-th (from 0) trial that was not drawn for want of a proposal."""
    done = []

    def change(event):
        if event["kind"] != "trial_started" or event["proposal"]["source"] == "random":
            return event
        done.append(1)
        return edit(event) if len(done) == number + 1 else event

    return change


def of(source, edit):
    """A change of the first advice of `source`."""
    done = []

    def change(event):
        fits = event["kind"] == "advice" and event["source"] == source and event["proposals"] and not done
        if fits:
            done.append(1)
        return edit(event) if fits else event

    return change


def unusable(event):
    """Whether a reply came but could not be used; what the network did cannot be derived."""
    return event["kind"] == "call_failed" and not event["error"].startswith("LLM")


REASON = re.compile(r'("reason":\s*")')
CONFIG = {"encode": "one-hot", "depth": 3, "booster": "gbtree", "eta": 0.0123, "seed": 7}


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        (chosen(6, lambda e: inner(e, "proposal", config=CONFIG)), "choices", "config"),
        (chosen(6, lambda e: inner(e, "proposal", reason="I say so")), "choices", "reason"),
        (chosen(6, lambda e: inner(e, "shares", classical=0.999)), "trust", "classical"),
        (of("classical", lambda e: first_of(e, config=CONFIG)), "classical proposals", "config"),
        (of("local", lambda e: first_of(e, notes=["x"])), "local proposals", "notes"),
        (of("language", lambda e: first_of(e, reason="so the model said")), "language proposals", "reason"),
        (of("language", lambda e: first_of(e, reason="so the model said")), "replies", "reason"),
        (of("start", lambda e: first_of(e, config=CONFIG)), "default proposals", "config"),
        (of("classical", lambda e: {**e, "problems": ["made up"]}), "classical proposals", "problems"),
        (
            nth("prompt", 0, lambda e: {**e, "messages": [{"role": "user", "content": "what now?"}]}),
            "prompts",
            "messages",
        ),
        (lambda e: {**e, "text": REASON.sub(r"\1forged: ", e["text"])} if "text" in e else e, "replies", "reason"),
        (lambda e: {**e, "error": "no_such_error"} if unusable(e) else e, "replies", "error"),
        (nth("dropped", 0, lambda e: {**e, "proposal": "classical-1-0"}), "proposals", ""),
        (lambda e: {**e, "reason": OUTDATED} if e["kind"] == "dropped" else e, "drops", ""),
        (nth("result", 5, lambda e: inner(e, "observation", metrics={"accuracy": 0.999})), "proposals", ""),
        (nth("team", 0, lambda e: inner(e, "recipe", priors={"classical": 0.9, "local": 0.1})), "trust", ""),
        (nth("run_started", 0, lambda e: {**e, "mode": "min"}), "trust", ""),
    ],
)
def test_a_change_is_found(run, change, kind, where):
    before = (run / FILE_NAME).read_bytes()
    rewrite(run, change)
    assert (run / FILE_NAME).read_bytes() != before
    report = replay(run)
    assert report.different >= 1
    # Only the first differences are listed; all are counted.
    assert sum(tally.different for named, tally in report.tallies.items() if kind in named) >= 1, report.tallies
    assert not where or any(kind in d.kind and where in d.where for d in report.differences), report.differences
    assert all(d.recorded != d.derived for d in report.differences)


def test_the_number_of_the_event_is_told(run):
    started = [e for e in read_journal(run / FILE_NAME) if e.event.kind == "trial_started"]
    rewrite(run, nth("trial_started", 12, lambda e: inner(e, "proposal", notes=["forged"])))
    (found,) = replay(run).differences
    assert (found.seq, found.subject) == (started[12].seq, f"trial {started[12].event.trial}")
    assert (found.where, found.recorded) == ("notes[0]", "forged")


def test_an_advice_that_no_reply_holds(run):
    def forged(event):
        return {**event, "source": "language", "history_version": event["history_version"]}

    rewrite(run, of("classical", forged))
    assert any(d.kind == "language proposals" for d in replay(run).differences)


def test_a_journal_that_breaks_the_rules_is_different_and_no_crash(run):
    rewrite(run, nth("trial_started", 3, lambda e: inner(e, "proposal", config={"eta": "fast", "x": None})))
    report = replay(run)
    assert report.different >= 1
    assert json.dumps(report.to_dict())


def test_the_differences_shown_are_few_and_all_are_counted(run):
    rewrite(run, lambda e: inner(e, "proposal", reason="x") if e["kind"] == "trial_started" else e)
    report = replay(run)
    assert (
        report.tallies["choices"].different + report.tallies.get("random draws", report.tallies["choices"]).different
        >= 30
    )
    assert len(report.differences) == 20
