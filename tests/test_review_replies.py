"""Reviews out of a model's text: only what was asked about and is allowed leaves the parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema_answer import SchemaAnswer
from small_runs import full_brief

from automl_gpt_ray.prompts.review import review_schema
from automl_gpt_ray.replies import ReplyError
from automl_gpt_ray.review import Subject
from automl_gpt_ray.review_replies import Reviews, parse_reviews

BRIEF = full_brief()
ROOM = {"eta": (0.03, 1.0)}
ASKED = (Subject("t1", 2, room=ROOM), Subject("t2", 4, room=ROOM), Subject("t3", 4))
FINAL = {"value": 0.7, "low": 0.6, "high": 0.8}


def said(**changes):
    return {"trial": "t1", "action": "continue", "reason": "it climbs", "predicted_final": FINAL, **changes}


def parsed(*items):
    return parse_reviews(json.dumps({"reviews": items}), BRIEF, ASKED)


def problem(item):
    found = parsed(item)
    assert isinstance(found, ReplyError)
    return " ".join(found.problems)


def test_a_good_reply_is_read():
    revised = said(trial="t2", action="revise", changes={"eta": 0.05}, reason=" it  explodes\n")
    found = parsed(said(), revised)
    first, second = found.reviews
    assert (first.trial, first.step, first.action, first.predicted.value) == ("t1", 2, "continue", 0.7)
    assert (second.step, second.changes, second.reason) == (4, {"eta": 0.05}, "it explodes")
    assert first.predicted.step == BRIEF.max_steps
    assert found.problems == ()


def test_one_review_without_a_list_and_an_action_in_capitals_are_read():
    (only,) = parse_reviews(f"Well: {json.dumps(said(action=' Stop'))}", BRIEF, ASKED).reviews
    assert (only.trial, only.action) == ("t1", "stop")


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ("stop", "object"),
        (said(trial="t9"), "asked about"),
        (said(trial=["t1"]), "asked about"),
        (said(action="delete"), "action"),
        (said(action=["stop"]), "action"),
        (said(action="revise"), "object"),
        (said(action="revise", changes={}), "at least one"),
        (said(action="revise", changes={"eta": None}), "at least one"),
        (said(action="revise", changes={"depth": 3}), "may name eta"),
        (said(trial="t3", action="revise", changes={"eta": 0.1}), "may name nothing"),
        (said(action="revise", changes={"eta": 9}), "between"),
        (said(action="revise", changes={"eta": [0.1]}), "one value"),
        (said(action="revise", changes={"eta": "0.1; rm -rf /"}), "number"),
    ],
)
def test_what_is_wrong_is_said(item, word):
    assert word in problem(item)


def test_changes_of_a_trial_that_goes_on_are_ignored():
    assert parsed(said(changes={"eta": 0.05})).reviews[0].changes == {}


@pytest.mark.parametrize("final", [None, 3, {"value": 0.7}, {**FINAL, "low": 0.75}, {**FINAL, "value": 7, "high": 8}])
def test_a_bad_forecast_does_not_spoil_a_review(final):
    review = parsed(said(predicted_final=final)).reviews[0]
    assert review.predicted is None
    assert review.action == "continue"


def test_the_second_word_on_a_trial_and_strangers_are_left_out_and_told():
    found = parsed(said(), said(action="stop"), said(trial="other"))
    assert [r.action for r in found.reviews] == ["continue"]
    assert len(found.problems) == 2


@pytest.mark.parametrize("text", ["", "no", "{}", '{"reviews": []}', '{"reviews": {"t1": "stop"}}', "[]"])
def test_nothing_usable_is_an_error(text):
    assert isinstance(parse_reviews(text, BRIEF, ASKED), ReplyError)


@given(st.integers(0, 10_000))
def test_whatever_fits_the_schema_is_usable(seed):
    schema = review_schema(BRIEF, ASKED)
    body = {
        "messages": [{"role": "user", "content": str(seed)}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    found = parse_reviews(SchemaAnswer(seed)(body), BRIEF, ASKED)
    if isinstance(found, ReplyError):  # a revision that changes nothing is in the schema all the same
        assert all("changes" in p for p in found.problems)
    else:
        assert {r.trial for r in found.reviews} <= {subject.trial for subject in ASKED}


@given(st.text(max_size=300))
def test_any_text_is_an_outcome(text):
    assert isinstance(parse_reviews(text, BRIEF, ASKED), Reviews | ReplyError)
