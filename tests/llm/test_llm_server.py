"""The test server and its generic replies: what other tests lean on must itself hold."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from jsonschema import Draft202012Validator
from schema_answer import PLAIN_REPLY, SchemaAnswer, fill, schema_of

TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "minItems": 1},
                "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            },
            "required": ["name", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/tree",
}
SCHEMAS = {
    "number": {"type": "number", "minimum": 1e-6, "maximum": 0.1},
    "tight number": {"type": "number", "minimum": 0.12345678, "maximum": 0.12345679},
    "exclusive number": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "negative number": {"type": "number", "maximum": -3.5},
    "integer": {"type": "integer", "minimum": 3, "maximum": 5},
    "exclusive integer": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "multiple": {"type": "integer", "minimum": 10, "maximum": 100, "multipleOf": 16},
    "open integer": {"type": "integer", "minimum": 1000},
    "enum": {"enum": ["a", 2, None]},
    "const": {"const": {"kind": "fixed"}},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "short string": {"type": "string", "minLength": 7, "maxLength": 8},
    "long string": {"type": "string", "minLength": 300},
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
    "unique": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 4},
        "minItems": 4,
        "uniqueItems": True,
    },
    "empty array": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "maxItems": 2},
    "several types": {"type": ["integer", "null"], "minimum": 2},
    "map": {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 2},
    "required without a schema": {"type": "object", "required": ["a", "b"]},
    "one of": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}], "description": "either"},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "recursive": TREE,
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_replies_fit_the_schema(schema):
    validator = Draft202012Validator(schema)
    for seed in range(50):
        value = fill(schema, random.Random(seed))
        assert not [error.message for error in validator.iter_errors(json.loads(json.dumps(value)))]


def test_replies_vary_and_repeat():
    body = {
        "messages": [{"role": "user", "content": "ask"}],
        "response_format": {"json_schema": {"schema": SCHEMAS["number"]}},
    }
    other = {**body, "messages": [{"role": "user", "content": "ask else"}]}
    first, second = SchemaAnswer(), SchemaAnswer()
    series = [first(body) for _ in range(20)]
    assert len(set(series)) == 20
    assert [second(other) != second(body) for _ in range(20)] == [True] * 20
    third = SchemaAnswer()
    assert [third(body) for _ in range(20)] == series
    assert SchemaAnswer(seed=1)(body) != series[0]
    values = [float(text) for text in series]
    assert min(values) < 1e-4 < 1e-3 < max(values), "spread over the orders of magnitude"


def test_the_schema_is_found_in_the_prompt():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    text = f'Card: {{"type": "image", "n": 3}} {{broken.\nReply as:\n```json\n{json.dumps(schema, indent=2)}\n```\nNow.'
    body = {"messages": [{"role": "user", "content": text}, {"role": "user", "content": 'Last: {"best": 0.9}'}]}
    assert schema_of(body) == schema
    assert isinstance(json.loads(SchemaAnswer()(body))["a"], int)
    assert SchemaAnswer()({"messages": [{"role": "user", "content": "hello"}]}) == PLAIN_REPLY


def test_the_openai_package_itself_is_served(serve):
    server = serve()
    client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
    assert [model.id for model in client.models.list()] == ["test-model"]
    reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert reply.choices[0].message.content == PLAIN_REPLY
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert server.requests[0]["headers"]["authorization"] == "Bearer k"
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="m", input="x")


def test_it_runs_as_a_program():
    command = [sys.executable, "-m", "benchmarks.model_server", "--port", "0", "--latency", "0.01"]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        client = openai.OpenAI(base_url=url, api_key="k", max_retries=0)
        assert client.chat.completions.create(model="m", messages=[]).choices[0].message.content == PLAIN_REPLY
    finally:
        process.kill()
        process.communicate()
