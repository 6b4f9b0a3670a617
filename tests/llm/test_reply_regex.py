"""Numbers that stay in their range, and schemas as expressions that Python's own `re` can check."""

from __future__ import annotations

import json
import math
import random
import re

import numpy as np
import pytest

from automl_gpt_ray.llm.number_pattern import decimal_pattern, integer_pattern

pytest.importorskip("outlines_core")

from automl_gpt_ray.llm.constrained import Grammar, Reply, VocabularyUnsuitable, spelling
from automl_gpt_ray.llm.reply_regex import SchemaUnsupported, reply_regex

ASCII = {code - 32: chr(code) for code in range(32, 127)}


@pytest.mark.parametrize("ends", [(3, 120), (0, 0), (0, 9), (-7, 1005), (-40, -3), (99, 101), (1, 64)])
def test_whole_numbers_are_those_of_the_range(ends):
    pattern = re.compile(integer_pattern(*ends))
    matched = {n for n in range(ends[0] - 50, ends[1] + 1200) if pattern.fullmatch(str(n))}
    assert matched == set(range(ends[0], ends[1] + 1))
    assert not any(pattern.fullmatch(text) for text in ("007", "1.0", "", "-", "+3", "1" * 30))


@pytest.mark.parametrize("seed", range(40))
def test_decimals_are_those_of_the_range(seed):
    rng = random.Random(seed)
    low, high = sorted(float(f"{rng.choice([1, 1, -1]) * 10 ** rng.uniform(-7, 5):.3g}") for _ in range(2))
    pattern = re.compile(decimal_pattern(low, high))
    for _ in range(60):
        near = rng.choice([low, high, rng.uniform(low, high), rng.uniform(2 * low - high, 2 * high - low)])
        for text in (repr(float(f"{near:.3g}")), f"{near:.{rng.randint(1, 9)}f}", f"{near:.3e}"):
            if pattern.fullmatch(text):
                assert low <= float(text) <= high
        short = f"{near:.3g}"
        if low <= float(short) <= high and abs(near) > 1e-6 and "e+" not in short:
            assert pattern.fullmatch(short), (low, high, short)


@pytest.mark.parametrize(
    ("ends", "inside", "outside"),
    [
        ((0.001, 0.5), ["0.001", "0.0375", "0.5", "0.50"], ["0", "0.51", "0.0009", "0.037512", ".5", "1e-3"]),
        ((1e-5, 0.1), ["1e-5", "1e-05", "2.5e-5", "0.00001", "0.1"], ["9e-6", "1e-06", "0.11", "1e-500"]),
        ((0.0, 1.0), ["0", "0.0", "1", "1.0", "0.5"], ["-0.1", "1.1", "00", "0." + "0" * 40]),
        ((-2.5, 0.75), ["-2.5", "-0.1", "0.75", "0"], ["-2.51", "0.76", "--1"]),
        ((0.99, 0.999), ["0.99", "0.999", "0.9905"], ["0.9", "1", "0.9991"]),
        ((30.0, 30.0), ["30", "30.0"], ["30.1", "29.9"]),
        ((1.0, 1e30), ["1", "1e20", "2.5e+29"], ["1e31", "9" * 20]),
    ],
)
def test_decimals_by_example(ends, inside, outside):
    pattern = re.compile(decimal_pattern(*ends))
    assert [text for text in inside if not pattern.fullmatch(text)] == []
    assert [text for text in outside if pattern.fullmatch(text)] == []


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="low"):
        integer_pattern(2, 1)
    with pytest.raises(ValueError, match="no number of 4 digits"):
        decimal_pattern(1.00001, 1.00002)


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        ({"enum": ["ü|(", None, True, 0.5]}, ['"\\u00fc|("', "null", "true", "0.5"], ['"ü|("', '"a"']),
        ({"type": "integer", "minimum": 2, "exclusiveMaximum": 9}, ["2", "8"], ["9", "1", "2.0"]),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, ["0.1", "1"], ["0", "0.0", "2"]),
        ({"type": "number"}, ["-3.25", "0", "999999"], ["1" * 8, "0." + "1" * 9]),
        ({"type": "integer", "minimum": 5}, ["5", "1000"], ["4", "9" * 12]),
        ({"type": ["integer", "null"], "minimum": 1, "maximum": 3}, ["null", "2"], ["4", '"2"']),
        ({"type": "string"}, ['"a b, {c}"'], ['""', '"a\\n"', '"é"', 'a"']),
        ({"type": "array", "items": {"type": "boolean"}}, ["[]", "[true, false]"], ["[" + "true," * 8 + "true]"]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer", "minimum": 1, "maximum": 2}}}, ["1"], ["3"]),
    ],
)
def test_schemas_by_example(schema, inside, outside):
    pattern = re.compile(reply_regex(schema))
    assert [text for text in inside if not pattern.fullmatch(text)] == []
    assert [text for text in outside if pattern.fullmatch(text)] == []


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "array"}, {"type": "wrong"}])
def test_what_has_no_bound_is_refused(schema):
    with pytest.raises(SchemaUnsupported):
        reply_regex({"type": "object", "properties": {"a": schema}, "required": ["a"]})


def test_a_reply_spelt_by_chance_ends_and_fits():
    schema = {"type": "object", "properties": {"x": {"type": "number", "minimum": 0.1, "maximum": 30.0}}}
    schema["properties"]["why"] = {"type": "string"}
    schema["required"] = ["x", "why"]
    texts = spelling({**ASCII, 95: ' "', 96: '","', 97: "the ", 98: "é", 99: ""})
    assert set(texts) == set(range(98))
    grammar = Grammar(reply_regex(schema), texts, max_string=12)
    longest = 0
    for seed in range(50):
        rng, reply = np.random.default_rng(seed), Reply(grammar, 120)
        while not reply.finished:
            reply.advance(int(rng.choice(np.flatnonzero(reply.allowed()))))
        value = json.loads(reply.text)
        assert math.isfinite(value["x"])
        assert 0.1 <= value["x"] <= 30
        assert 1 <= len(value["why"]) <= 12
        longest = max(longest, len(value["why"]))
    assert longest == 12


def test_a_vocabulary_that_cannot_spell_is_refused():
    with pytest.raises(VocabularyUnsuitable, match='no token for "'):
        spelling({token: text for token, text in ASCII.items() if text != '"'})
