"""YAML: numbers as people write them, repeated keys, and files that are none."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from automl_gpt_ray.errors import CardError, JobError
from automl_gpt_ray.yaml_file import build, dump_yaml, parse_yaml, read_yaml

# The first example of a process also builds tables of characters.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")


def parse(text):
    return parse_yaml(text, "x.yaml", CardError)


def problem(call, *args):
    with pytest.raises(CardError) as caught:
        call(*args)
    (found,) = caught.value.problems
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5e1", 5.0),
        ("1e", "1e"),
        ("e-4", "e-4"),
        ("'1e-4'", "1e-4"),
    ],
)
def test_exponents_are_numbers(text, value):
    result = parse(f"a: {text}")["a"]
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize("text", ["yes", "No", "on", "OFF", "y", "n"])
def test_only_true_and_false_are_switches(text):
    assert parse(f"a: [{text}, true, False]")["a"] == [text, True, False]


def test_repeated_keys_are_refused_where_they_stand():
    found = problem(parse, "a: 1\nb:\n  c: 1\n  c: 2\n")
    assert (found.field, found.got) == ("line 4, column 3", "key `c` is given twice")


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "? [a]\n: 1",
        "a: 2020-99-99",
        "a: " + "[" * 3000,
        "a: " + "9" * 5000,
        "a: \0",
        "!!python/object/apply:os.getcwd []",
    ],
)
def test_what_is_no_yaml_is_a_problem_on_one_line(text):
    found = problem(parse, text)
    assert found.rule == "must be valid YAML"
    assert "\n" not in str(found)


@pytest.mark.parametrize("text", ["", "- 1", "just text", "~"])
def test_only_mappings_are_taken(text):
    assert problem(parse, text).rule == "must be a mapping of keys to values"


@pytest.mark.timeout(10)
def test_an_alias_bomb_is_refused_quickly():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(CardError):
        build(_Record, parse("\n".join(lines)), "x.yaml", CardError)


def test_files(tmp_path):
    missing = problem(read_yaml, tmp_path / "no.yaml", CardError)
    assert (missing.got, missing.remedy) == ("No such file or directory", "check the path")
    (tmp_path / "latin.yaml").write_bytes("a: é".encode("latin-1"))
    assert problem(read_yaml, tmp_path / "latin.yaml", CardError).remedy == "save the file as UTF-8 text"
    assert problem(read_yaml, tmp_path, CardError).got == "Is a directory"
    (tmp_path / "bom.yaml").write_text("\ufeffa: 1", encoding="utf-8")
    assert read_yaml(tmp_path / "bom.yaml", CardError) == {"a": 1}


def test_the_class_of_error_is_the_callers():
    with pytest.raises(JobError, match="must be a mapping"):
        parse_yaml("1", "job.yaml", JobError)


class _Record(BaseModel, extra="forbid"):
    low: float
    high: float


def test_build_tells_every_problem():
    with pytest.raises(CardError) as caught:
        build(_Record, {"low": "x", "hihg": 1}, "x.yaml", CardError)
    assert str(caught.value).splitlines() == [
        "x.yaml: 3 problems in the card",
        "  - `low`: input should be a valid number, unable to parse string as a number, got 'x'.",
        "  - `high`: required key is missing. Add it.",
        "  - `hihg`: unknown key, got 1. Did you mean `high`?",
    ]


class _Outer(BaseModel, extra="forbid"):
    inner: dict[str, list[_Record]] | None = None


def test_an_inner_key_that_is_unknown_is_likened_to_those_beside_it():
    values = {"inner": {"x": [{"low": 0, "high": 1, "hihg": 1}]}}
    with pytest.raises(CardError, match=r"`inner.x.0.hihg`: unknown key, got 1. Did you mean `high`"):
        build(_Outer, values, "x.yaml", CardError)


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=12),
)


@given(st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1, max_size=6), plain | st.lists(plain)))
def test_dump_and_parse_round_trip(value):
    assert parse(dump_yaml(value)) == value


def test_texts_that_look_like_numbers_stay_texts():
    value = {"a": "1e-4", "b": "yes", "c": "1", "d": "null"}
    assert parse(dump_yaml(value)) == value
