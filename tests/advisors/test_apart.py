"""An advisor in a process of its own says what it would say here, and its death costs nothing but time."""

from __future__ import annotations

import io
import logging
from dataclasses import replace

import pytest

from automl_gpt_ray.advisors import apart as apart_module
from automl_gpt_ray.advisors.answering import serve
from automl_gpt_ray.advisors.apart import Apart
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.local import LocalAdvisor
from automl_gpt_ray.advisors.questions import MESSAGE, Ask, Opening
from automl_gpt_ray.advisors.recipe import apart, recipe_of
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.records import Observation, TrialState
from tests.small_runs import CONDITIONAL, bare_brief, made_history, proposed

BRIEF = bare_brief(CONDITIONAL)
ADVISOR = ClassicalAdvisor(CONDITIONAL, seed=3)
LONG = made_history(CONDITIONAL, 48)
START_S = 60


class Elsewhere:
    """Must not be asked: it is another process's turn."""

    def propose(self, history, n):
        raise AssertionError("asked in this process")


class Here:
    """Answers in this process."""

    def propose(self, history, n):
        return [proposed({"here": True})]


def short(history, length):
    return replace(history, trials=history.trials[:length], version=history.version + length)


def started(inner):
    """An advisor whose process is ready, with `inner` for this process."""
    advisor = apart(ADVISOR, BRIEF)
    advisor.propose(short(LONG, 20), 1)
    assert advisor._process.ready.wait(START_S)
    advisor.advisor = inner
    return advisor


@pytest.fixture
def asked():
    advisor = started(Elsewhere())
    yield advisor
    advisor.close()


def test_it_says_what_the_advisor_says_however_the_history_goes_on(asked):
    assert asked.propose(LONG, 3) == ADVISOR.propose(LONG, 3)
    # Trials that went on, ended, were added, wait: the process learns of each.
    trials = list(LONG.trials)
    seen = (*trials[5].observations, Observation(9, {"accuracy": 0.99}, 9.0))
    trials[5] = replace(trials[5], state=TrialState.COMPLETED, observations=seen)
    trials += made_history(CONDITIONAL, 6, seed=8).trials
    later = replace(LONG, trials=tuple(trials), pending=tuple(ADVISOR.propose(LONG, 2)), version=170, epoch=3)
    assert asked.propose(later, 2) == ADVISOR.propose(later, 2)
    # A trial taken out moves those behind it.
    fewer = replace(later, trials=tuple(trials[:3] + trials[4:]), version=171)
    assert asked.propose(fewer, 2) == ADVISOR.propose(fewer, 2)


def test_only_what_changed_is_sent(asked):
    asked.propose(LONG, 1)
    sent = []
    asked._process._send = sent.append
    asked._process._receive = lambda: MESSAGE.dump_json(apart_module.Answer())
    more = made_history(CONDITIONAL, 2, seed=9).trials
    asked.propose(replace(LONG, trials=(*LONG.trials, *more)), 1)
    assert [index for index, _ in sent[0].changed] == [48, 49]


def test_short_histories_are_answered_here():
    advisor = Apart(Here(), Opening({}, {}), from_trials=1000)
    assert advisor.propose(LONG, 1)[0].config == {"here": True}
    assert advisor._process is None


def test_a_process_that_dies_is_started_once_more(caplog):
    advisor = started(Here())
    first = advisor._process
    first._process.kill()
    with caplog.at_level(logging.WARNING):
        assert advisor.propose(LONG, 1)[0].config == {"here": True}
    assert "started again" in caplog.text
    assert advisor.propose(LONG, 1)[0].config == {"here": True}  # not ready yet
    assert advisor._process.ready.wait(START_S)
    assert advisor.propose(LONG, 2) == ADVISOR.propose(LONG, 2)
    advisor._process._process.kill()
    assert advisor.propose(LONG, 1)[0].config == {"here": True}
    assert "the driver does its work" in caplog.text
    assert advisor.propose(LONG, 1)[0].config == {"here": True}
    assert advisor._process is None


def test_closing_ends_the_process():
    advisor = started(Elsewhere())
    process = advisor._process._process
    advisor.close()
    assert process.poll() is not None
    advisor.advisor = Here()
    assert advisor.propose(LONG, 1)
    assert advisor._process is None


def test_a_process_that_cannot_be_started_is_done_without(monkeypatch, caplog):
    monkeypatch.setattr(apart_module, "_PROGRAM", ("/nowhere/python",))
    advisor = Apart(Here(), Opening({}, {}))
    with caplog.at_level(logging.WARNING):
        assert advisor.propose(LONG, 1)[0].config == {"here": True}
    assert "cannot start" in caplog.text


def test_a_refusal_is_an_advice_error_here_too():
    # Local moves need a trial with a value; a process says so like the advisor itself.
    advisor = apart(LocalAdvisor(CONDITIONAL), BRIEF)
    blank = replace(LONG, trials=tuple(replace(t, observations=()) for t in LONG.trials))
    with pytest.raises(AdviceError):
        advisor.propose(blank, 1)
    assert advisor._process.ready.wait(START_S)
    advisor.advisor = Elsewhere()
    with pytest.raises(AdviceError, match="local moves need"):
        advisor.propose(blank, 1)
    advisor.close()


def test_values_that_json_has_no_word_for_arrive():
    ask = Ask(1, 1, ((0, made_history(CONDITIONAL, 4).trials[3]),), LONG.objective, (), 1, 0, 4)
    nan = Ask(1, 1, ((0, replace(ask.changed[0][1], observations=(Observation(1, {"a": float("nan")}, 1.0),))),),
              LONG.objective, (), 1, 0, 4)  # fmt: skip
    found = MESSAGE.validate_json(MESSAGE.dump_json(nan))
    assert isinstance(found, Ask)
    assert str(found.changed[0][1].observations[0].metrics["a"]) == "nan"


def test_the_process_wants_an_opening_first():
    with pytest.raises(TypeError, match="opening"):
        serve([MESSAGE.dump_json(apart_module.Answer())], io.BytesIO())


def test_its_recipe_is_that_of_the_advisor():
    assert recipe_of(apart(ADVISOR, BRIEF)) == recipe_of(ADVISOR)
