"""What leaves `replies`: checked values or a stated error, whatever a model wrote."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import CONDITIONAL, CONSTANT, MINIMISE, bare_brief, full_brief, valid_item

from automl_gpt_ray.cards import parse_data_card
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter
from automl_gpt_ray.records import LogPoint, Objective
from automl_gpt_ray.replies import MAX_POINTS, MAX_REPLY, Drafts, ReplyError, extract_json, parse_proposals
from automl_gpt_ray.space import SearchSpace

BRIEF = bare_brief(CONDITIONAL)
DEFAULT = {"booster": "gbtree", "eta": 0.3, "seed": 7}
NO_LOG = "no predicted log was given"
POINT = {"step": 1, "value": 0.5, "low": 0.4, "high": 0.6}


def reply(*items):
    return json.dumps({"proposals": list(items)})


def one(log=None, reason="why", **values):
    item = {"reason": reason, "hyperparameters": values}
    return item if log is None else {**item, "predicted_log": log}


def read(text, brief=BRIEF, **arguments):
    return parse_proposals(text, brief, **arguments)


GOOD = reply(one(eta=0.1, booster="gbtree"))
NESTED = '{"reason": "x", "hyperparameters": {"eta": '

FAULTS = {
    "empty": ("", "empty", "no answer"),
    "blank": (" \n\t ", "empty", "no answer"),
    "prose": ("I would lower the learning rate.", "no_json", "one JSON object"),
    "only thinking": ("<think>hm</think>", "empty", "no answer"),
    "unclosed thinking": (f"<think>{GOOD}", "empty", "no answer"),
    "a number": ("3", "no_json", "got '3'"),
    "a string": ('"eta"', "no_json", "one JSON object"),
    "null": ("null", "no_json", "one JSON object"),
    "cut off": (GOOD[:-4], "no_json", "one JSON object"),
    "a refusal": ("I'm sorry, but I can't help with that.", "no_json", "one JSON object"),
    "NaN": ('{"proposals": [{"reason": "x", "hyperparameters": {"eta": NaN}}]}', "no_json", "one JSON object"),
    "Infinity": ('{"proposals": [{"hyperparameters": {"eta": -Infinity}}]}', "no_json", "one JSON object"),
    "1e999": ('{"proposals": [{"hyperparameters": {"eta": 1e999}}]}', "no_usable_proposal", "between 0.01 and 0.5"),
    "400 digits": ('{"proposals": [{"hyperparameters": {"eta": %s}}]}' % ("9" * 400), "no_usable_proposal", "between"),
    "5000 digits": ('{"proposals": [{"hyperparameters": {"eta": %s}}]}' % ("9" * 5000), "no_json", "one JSON object"),
    "brackets": ("[" * 100_000, "no_json", "one JSON object"),
    "closed brackets": ("[" * 50_000 + "]" * 50_000, "no_json", "one JSON object"),
    "braces": ('{"a":' * 30_000, "no_json", "one JSON object"),
    "10 MB": ("x" * 10_000_000, "too_long", "under 200000 characters"),
    "an empty list": ("[]", "wrong_shape", "non-empty list"),
    "no proposals": ('{"proposals": []}', "wrong_shape", "non-empty list"),
    "proposals of text": ('{"proposals": "eta=0.1"}', "wrong_shape", "non-empty list"),
    "something else": ('{"answer": 42}', "wrong_shape", "got {'answer': 42}"),
    "list of numbers": ("[1, 2]", "no_usable_proposal", "proposals[1]: must be an object, got 2"),
    "list of lists": ("[[[]]]", "no_usable_proposal", "must be an object"),
    "group of text": (reply({"reason": "x", "hyperparameters": "eta=1"}), "no_usable_proposal", "must be an object"),
    "nothing given": (reply(one()), "no_usable_proposal", "at least one hyperparameter"),
    "all null": (reply(one(eta=None, booster=None)), "no_usable_proposal", "at least one hyperparameter"),
    "only the constant": (reply(one(seed=7)), "no_usable_proposal", "at least one hyperparameter"),
    "another constant": (reply(one(eta=0.1, seed=8)), "no_usable_proposal", "is fixed at 7"),
    "unknown name": (reply(one(eta=0.1, etaa=1)), "no_usable_proposal", "unknown hyperparameter, got 1. Did you mean"),
    "dunder name": (reply(one(eta=0.1, __class__="x")), "no_usable_proposal", "`__class__`: unknown"),
    "path": (reply(one(**{"eta": 0.1, "../../etc/passwd": 1})), "no_usable_proposal", "unknown hyperparameter"),
    "code": (reply(one(eta="__import__('os').system('true')")), "no_usable_proposal", "must be a number"),
    "string number": (reply(one(eta="0.1")), "no_usable_proposal", "`eta`: must be a number, got '0.1'"),
    "boolean": (reply(one(eta=True)), "no_usable_proposal", "`eta`: must be a number"),
    "list value": (reply(one(eta=[0.1])), "no_usable_proposal", "`eta`: must be a number"),
    "object value": (reply(one(booster={"a": 1})), "no_usable_proposal", "`booster`: must be one of"),
    "too low": (reply(one(eta=0.001)), "no_usable_proposal", "between 0.01 and 0.5, got 0.001"),
    "too high": (reply(one(eta=0.51)), "no_usable_proposal", "between 0.01 and 0.5"),
    "off the grid": (reply(one(booster="dart", rate_drop=0.25)), "no_usable_proposal", "multiple of 0.1"),
    "other choice": (reply(one(booster="gblinear")), "no_usable_proposal", "'gbtree', 'dart'"),
    "last duplicate key counts": (
        '{"proposals": [{"hyperparameters": {"eta": 0.1, "eta": 9}}]}',
        "no_usable_proposal",
        "got 9",
    ),
    "control characters in a name": (
        '{"proposals": [{"hyperparameters": {"\\ud800\\u0007\\u001b[31m": 1}}]}',
        "no_usable_proposal",
        "[31m`: unknown",
    ),
    "many unknown names": (
        reply(one(**{f"k{i}": 1 for i in range(9000)})),
        "no_usable_proposal",
        "9000 unknown hyperparameters, such as 'k0'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(name):
    text, kind, words = FAULTS[name]
    result = read(text)
    assert isinstance(result, ReplyError)
    assert result.kind == kind
    assert words in str(result)
    assert len(str(result)) < 15_000
    str(result).encode()  # can be written down


def config(**values):
    return {**DEFAULT, **values}


USABLE = {
    "plain": (GOOD, [config(eta=0.1)]),
    "code fence": (f"Here:\n```json\n{GOOD}\n```\nGood luck!", [config(eta=0.1)]),
    "nameless fence": (f"```\n{GOOD}```", [config(eta=0.1)]),
    "prose around": (f"Sure! {GOOD} Hope it helps.", [config(eta=0.1)]),
    "thinking before": (f"<think>or {{maybe}} not</think>\n{GOOD}", [config(eta=0.1)]),
    "only the end of thinking": (f"or {{maybe}} not</think>{GOOD}", [config(eta=0.1)]),
    "thinking twice": (f"<think>a</think><think>b</think>{GOOD}", [config(eta=0.1)]),
    "thinking in a reason": (reply(one(eta=0.1, reason="<think> about it")), [config(eta=0.1)]),
    "a byte-order mark of prose": (f"\ufeff{GOOD}", [config(eta=0.1)]),
    "a bare list": (json.dumps([one(eta=0.1)]), [config(eta=0.1)]),
    "a bare proposal": (json.dumps(one(eta=0.1)), [config(eta=0.1)]),
    "whole number for a float": (reply(one(booster="dart", rate_drop=0)), [config(booster="dart", rate_drop=0.0)]),
    "inactive left out": (reply(one(eta=0.1, rate_drop=None, skip=None)), [config(eta=0.1)]),
    "inactive given": (reply(one(eta=0.1, rate_drop=0.2, skip=False)), [config(eta=0.1)]),
    "inactive given badly": (reply(one(eta=0.1, rate_drop=77)), [config(eta=0.1)]),
    "conditional null": (
        reply(one(booster="dart", rate_drop=None)),
        [config(booster="dart", rate_drop=0.1, skip=True)],
    ),
    "conditions of conditions": (
        reply(one(booster="dart", rate_drop=0.2, skip=False)),
        [config(booster="dart", rate_drop=0.2, skip=False)],
    ),
    "unknown group": (reply({**one(eta=0.1), "architecture": {"depth": 99}}), [config(eta=0.1)]),
    "duplicates": (reply(one(eta=0.1), one(eta=0.1), one(eta=0.2)), [config(eta=0.1), config(eta=0.2)]),
    "one bad among good": (reply(one(eta=9), one(eta=0.2), "x"), [config(eta=0.2)]),
    "the constant given": (reply(one(eta=0.1, seed=7)), [config(eta=0.1)]),
}


@pytest.mark.parametrize("name", USABLE)
def test_what_can_be_used_is(name):
    text, configs = USABLE[name]
    result = read(text)
    assert isinstance(result, Drafts), result
    assert [d.config for d in result.drafts] == configs
    assert all(CONDITIONAL.validate(d.config) == d.config for d in result.drafts)


def test_types_are_those_of_the_space():
    drafts = read(reply(one(booster="dart", rate_drop=0))).drafts
    assert type(drafts[0].config["rate_drop"]) is float
    whole = full_brief()
    drafts = read(reply({"reason": "x", "architecture": {"depth": 3.0}}), whole).drafts
    assert type(drafts[0].config["depth"]) is int


def test_a_boolean_is_no_whole_number():
    result = read(reply({"reason": "x", "architecture": {"depth": True}}), full_brief())
    assert "must be a whole number" in str(result)


def test_missing_values_are_noted():
    (draft,) = read(reply(one(eta=0.1))).drafts
    assert draft.notes == ("booster was not given: the default was used", NO_LOG)


def test_problems_say_which_proposal_they_are_of():
    result = read(reply(one(eta=9), one(eta=0.2), one(eta=0.2)))
    assert [p.split(":")[0] for p in result.problems] == ["proposals[0]", "proposals[2]"]
    assert "already ran" in result.problems[1]


def test_a_setting_that_is_taken_is_refused():
    taken = frozenset({CONDITIONAL.key(config(eta=0.1))})
    result = read(reply(one(eta=0.1), one(eta=0.10000000000000001)), taken=taken)
    assert isinstance(result, ReplyError)
    assert str(result).count("already ran") == 2
    assert len(read(reply(one(eta=0.1), one(eta=0.2)), taken=taken).drafts) == 1


def test_a_thousand_proposals_are_read_up_to_a_limit():
    result = read(reply(*(one(eta=0.02 + i / 10_000) for i in range(1000))))
    assert len(result.drafts) == 64
    assert "1000 proposals are too many" in result.problems[0]


def test_problems_are_bounded():
    result = read(reply(*(one(eta=9, **{"k" * 2000: i}) for i in range(50))))
    assert "more problems" in result.problems[-1]
    assert len(str(result)) < 15_000


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("a\x00b\nc\x1b[31m\u202e", "a b c [31m"),
        ("   ", "no reason was given"),
        (5, "no reason was given"),
        (None, "no reason was given"),
        ("x" * 5000, "x" * 499 + "…"),
        ("größer 😀", "größer 😀"),
        ("\ud800", ""),
    ],
)
def test_reasons_are_one_printable_line(reason, shown):
    assert read(reply(one(eta=0.1, reason=reason))).drafts[0].reason == (shown or "no reason was given")


# A Data Card says what its metrics mean; without one an accuracy may be in per cent.
CARDED = replace(
    BRIEF,
    data=parse_data_card(
        {
            "name": "d",
            "task": "classification",
            "input_type": "tabular",
            "metric": "accuracy",
            "label_space": {"column": "y", "classes": [0, 1]},
        }
    ),
)


def log_of(points, brief=CARDED):
    (draft,) = parse_proposals(reply(one(eta=0.1, booster="gbtree", log=points)), brief).drafts
    return draft.predicted_log, draft.notes


BAD_LOGS = {
    "not a list": ({"1": 0.5}, "must be a non-empty list"),
    "empty": ([], "must be a non-empty list"),
    "text": ("rising", "must be a non-empty list"),
    "point of text": (["rising"], "each point must be an object"),
    "low above high": ([{**POINT, "low": 0.7, "high": 0.2}], "low <= value <= high"),
    "value outside": ([{**POINT, "value": 0.9}], "low <= value <= high"),
    "step 0": ([{**POINT, "step": 0}], "whole number from 1 to 4"),
    "step too late": ([{**POINT, "step": 5}], "whole number from 1 to 4"),
    "half a step": ([{**POINT, "step": 1.5}], "whole number from 1 to 4"),
    "repeated step": ([POINT, POINT], "a step stands twice"),
    "missing low": ([{"step": 1, "value": 0.5, "high": 0.6}], "must be finite numbers"),
    "null": ([{**POINT, "value": None}], "must be finite numbers"),
    "boolean": ([{**POINT, "value": True}], "must be finite numbers"),
    "string": ([{**POINT, "value": "0.5"}], "must be finite numbers"),
    "accuracy 1.7": ([{**POINT, "value": 1.7, "high": 1.8}], "accuracy must lie in [0, 1], got 1.7"),
    "percent": ([{"step": 1, "value": 85, "low": 80, "high": 90}], "accuracy must lie in [0, 1], got 85"),
    "negative": ([{"step": 1, "value": -0.1, "low": -0.2, "high": 0.1}], "accuracy must lie in [0, 1]"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_a_bad_log_is_ignored_and_said_so(name):
    points, words = BAD_LOGS[name]
    log, notes = log_of(points)
    assert log is None
    assert words in notes[-1]


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999"])
@pytest.mark.parametrize("key", ["step", "value", "low", "high"])
def test_numbers_that_fit_no_float(key, number):
    text = reply(one(eta=0.1, log=[{**POINT, key: "HERE"}])).replace('"HERE"', number)
    (draft,) = read(text).drafts
    assert draft.predicted_log is None
    assert "must be finite numbers" in draft.notes[-1]


def test_somebody_elses_accuracy_may_be_in_per_cent():
    log, notes = log_of([{"step": 1, "value": 85, "low": 80, "high": 120}], BRIEF)
    assert (log.points, notes) == ((LogPoint(1, 85, 80, 120),), ())


def test_a_good_log_is_sorted_and_clipped_to_the_metric():
    log, notes = log_of([{"step": 4.0, "value": 0.9, "low": 0.8, "high": 1.2}, {**POINT, "low": -0.5}])
    assert log.points == (LogPoint(1, 0.5, 0.0, 0.6), LogPoint(4, 0.9, 0.8, 1.0))
    assert (log.metric, log.source, notes) == ("accuracy", "language", ())


def test_a_metric_of_unknown_range_takes_any_number():
    point = {"step": 1, "value": 85, "low": -3, "high": 1e6}
    assert log_of([point], bare_brief(CONDITIONAL, Objective("mine", "max")))[0].final.value == 85
    assert log_of([point], replace(CARDED, objective=MINIMISE))[0].final.low == 0


def test_a_space_without_choice_has_no_proposals():
    assert isinstance(read(reply(one(seed=7, kind="x")), bare_brief(CONSTANT)), ReplyError)


SLOW = {
    "fence and spaces": "```" + " " * (MAX_REPLY - 10) + "x",
    "fences": "```" * (MAX_REPLY // 3),
    "fences apart": "``` " * (MAX_REPLY // 4),
    "thoughts": "<think>" * (MAX_REPLY // 7),
    "ends of thoughts": "</think>" * (MAX_REPLY // 8),
    "pairs": "<think></think>" * (MAX_REPLY // 15),
    "open braces": "{" * MAX_REPLY,
    "open brackets": "[" * MAX_REPLY,
    "empty proposals": "[" + "{}," * 66_000 + "{}]",
    "quotes": '{"' * (MAX_REPLY // 2),
    "names": reply(one(**{f"k{i}": 1 for i in range(14_000)})),
    "one name": reply(one(**{"k" * 190_000: 1})),
    "line ends": "\n" * MAX_REPLY,
    "quotes that are escaped": '\\"' * (MAX_REPLY // 2),
    "commas and spaces": ("," + " " * 99) * (MAX_REPLY // 100),
    "comments": "// " * (MAX_REPLY // 3),
    "json fences": "```json\n{}\n```" * (MAX_REPLY // 14),
}


@pytest.mark.parametrize("name", SLOW)
def test_no_reply_takes_long(name):
    began = time.perf_counter()
    read(SLOW[name], full_brief())
    assert time.perf_counter() - began < 1.0


names = st.sampled_from(["proposals", "reason", "hyperparameters", "predicted_log", *CONDITIONAL.parameters]) | st.text(
    max_size=4
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["dart", 0.1, 7]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
values = st.dictionaries(st.sampled_from([*CONDITIONAL.parameters]), junk, max_size=5)
items = st.fixed_dictionaries({}, optional={"reason": junk, "hyperparameters": values | junk, "predicted_log": junk})
fuzzy = st.fixed_dictionaries({"proposals": st.lists(items, max_size=4)})


def only_allowed_values(text):
    result = read(text)
    assert isinstance(result, Drafts | ReplyError)
    for draft in result.drafts if isinstance(result, Drafts) else ():
        assert CONDITIONAL.problems(draft.config) == []
        assert CONDITIONAL.validate(draft.config) == draft.config
        assert draft.reason.isprintable()
        assert draft.reason
    for problem in result.problems:
        assert problem


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_any_text(text):
    only_allowed_values(text)


@settings(max_examples=150, deadline=None)
@given(junk | fuzzy)
def test_any_json(value):
    only_allowed_values(json.dumps(value))
    only_allowed_values(f"so: ```json\n{json.dumps(value)}```")


def test_every_valid_configuration_comes_back():
    rng = np.random.default_rng(3)
    for _ in range(50):
        wanted = CONDITIONAL.sample(rng)
        (draft,) = read(reply(valid_item(wanted, BRIEF))).drafts
        assert draft.config == wanted
        assert draft.notes == ()


ANALYSIS = '```json\n{"analysis": "wide"}\n```\nso\n'
FOUND = {
    "two fences": f"{ANALYSIS}```json\n{GOOD}\n```",
    "another kind of fence": f"As {{eta}} says:\n```json5\n{GOOD}\n```",
    "braces in the prose": f"With {{eta, depth}} in mind: {GOOD} Good luck {{you}}.",
    "two objects": f'{{"thoughts": "none"}}\n{GOOD}',
    "within another object": f'{{"answer": {GOOD}}}',
    "other tags": f"<thinking>{{hm}}</thinking>{GOOD}",
    "commas before brackets": GOOD.replace("}", ",}").replace("]", " ,\n]"),
    "comments": GOOD.replace(", ", ", // more, or less\n").replace("why", "https://why, ,] not"),
    "line breaks in a text": GOOD.replace("why", "why\n\tnot"),
}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_what_was_asked_for_is_found_among_the_rest(text):
    (draft,) = read(text).drafts
    assert draft.config["eta"] == 0.1


def test_a_parent_that_was_not_named_has_its_default():
    space = SearchSpace(
        {
            "kind": ConstantParameter(value="sgd"),
            "other": ChoiceParameter(choices=["a", "b"], default="a"),
            "rate": FloatParameter(low=0, high=1, default=0.1, when={"kind": ["sgd"]}),
            "more": FloatParameter(low=0, high=1, default=0.1, when={"other": ["a"]}),
            "none": FloatParameter(low=0, high=1, default=0.1, when={"other": ["b"]}),
        }
    )
    (draft,) = read(reply(one(rate=0.7, more=0.6, none=0.5)), bare_brief(space)).drafts
    assert draft.config == {"kind": "sgd", "other": "a", "rate": 0.7, "more": 0.6}


def test_a_long_predicted_log_keeps_its_end():
    brief = replace(BRIEF, max_steps=100)
    log = [{"step": i, "value": i / 200, "low": 0, "high": 1} for i in range(1, 101)]
    (draft,) = read(reply(one(log, eta=0.1)), brief).drafts
    assert (draft.predicted_log.final.step, draft.predicted_log.final.value) == (100, 0.5)
    assert draft.predicted_log.points[0].step == 1
    assert len(draft.predicted_log.points) == MAX_POINTS


def test_extract_json_returns_the_value():
    assert extract_json('x {"a": [1]} y', "a") == {"a": [1]}
    assert extract_json("[1]", "a") == [1]
