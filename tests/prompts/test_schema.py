"""The schema of a reply: a valid one, that admits every reply the parser takes as asked."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_runs import CONDITIONAL, SPACES, bare_brief, full_brief, valid_item

from automl_gpt_ray.parameters import ChoiceParameter
from automl_gpt_ray.prompts.schema import reply_schema
from automl_gpt_ray.replies import Drafts, parse_proposals
from automl_gpt_ray.space import SearchSpace

jsonschema = pytest.importorskip("jsonschema")
STEPS = [1, 2, 3, 4]
BRIEFS = {**{name: bare_brief(space) for name, space in SPACES.items()}, "cards": full_brief()}


def fits(value, schema):
    return jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("name", BRIEFS)
def test_it_is_a_schema(name):
    schema = reply_schema(BRIEFS[name], 3, STEPS)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


def objects(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from objects(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects(inner)


def test_strict_servers_take_it():
    for schema in objects(reply_schema(full_brief(), 2, STEPS)):
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


@pytest.mark.parametrize("name", ["plain", "conditional", "tiny", "cards"])
def test_valid_values_fit_and_are_read(name):
    brief, rng = BRIEFS[name], np.random.default_rng(0)
    schema = reply_schema(brief, 1, STEPS)
    for _ in range(30):
        config = brief.space.sample(rng)
        reply = {"proposals": [valid_item(config, brief)]}
        assert fits(reply, schema)
        read = parse_proposals(json.dumps(reply), brief)
        assert isinstance(read, Drafts)
        assert read.drafts[0].config == config
        assert read.drafts[0].notes == ()


def test_only_a_conditional_hyperparameter_may_be_null():
    brief = bare_brief(CONDITIONAL)
    schema = reply_schema(brief, 1, STEPS)
    item = valid_item(CONDITIONAL.default, brief)
    assert item["hyperparameters"]["rate_drop"] is None
    assert fits({"proposals": [item]}, schema)
    item["hyperparameters"]["eta"] = None
    assert not fits({"proposals": [item]}, schema)


@pytest.mark.parametrize(
    "change",
    [{"eta": 0.6}, {"eta": "0.1"}, {"booster": "gblinear"}, {"unknown": 1}, {"seed": 7}],
)
def test_what_is_out_of_range_does_not_fit(change):
    brief = bare_brief(CONDITIONAL)
    item = valid_item(CONDITIONAL.default, brief)
    item["hyperparameters"] |= change
    assert not fits({"proposals": [item]}, reply_schema(brief, 1, STEPS))


def test_the_number_of_proposals_and_points_is_stated():
    brief = bare_brief()
    item = valid_item(brief.space.default, brief)
    schema = reply_schema(brief, 2, STEPS)
    assert [fits({"proposals": [item] * n}, schema) for n in range(4)] == [False, True, True, False]
    item["predicted_log"] = item["predicted_log"][:3]
    assert not fits({"proposals": [item]}, schema)


def test_choices_of_pages_of_text_are_not_listed():
    space = SearchSpace({"shape": ChoiceParameter(choices=["a", "x" * 10_000], default="a")})
    brief = bare_brief(space)
    schema = reply_schema(brief, 1, STEPS)
    assert len(json.dumps(schema)) < 2_000
    assert fits({"proposals": [valid_item({"shape": "x" * 10_000}, brief)]}, schema)
