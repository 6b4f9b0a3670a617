"""Errors: their words, their tree, and that showing a value costs little."""

from __future__ import annotations

import copy
import pickle

import pytest

from automl_gpt_ray import errors
from automl_gpt_ray.errors import MAX_SHOWN, CardError, LLMUnavailable, Problem, SpaceError, TrainingError


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.b", "must hold"), "`a.b`: must hold."),
        (Problem("a", "must hold", "3"), "`a`: must hold, got 3."),
        (Problem("a", "must hold", "3", "change it"), "`a`: must hold, got 3. Change it."),
        (Problem("a", "must hold", remedy="did you mean `b`?"), "`a`: must hold. Did you mean `b`?"),
    ],
)
def test_problem_words(problem, text):
    assert str(problem) == text


def test_the_number_of_problems_is_told():
    one, two = Problem("a", "r"), Problem("b", "s")
    assert str(CardError("x.yaml", [one])).splitlines() == ["x.yaml: 1 problem in the card", "  - `a`: r."]
    assert str(SpaceError("x", iter([one, two]))).splitlines()[0] == "x: 2 problems in the search space"


def test_shown_is_short_and_on_one_line():
    assert errors.shown("a\nb") == "'a\\nb'"
    long = errors.shown("x" * 1_000_000)
    assert len(long) == MAX_SHOWN
    assert long.startswith("'xxx")
    assert long.endswith("…")


@pytest.mark.timeout(10)
def test_showing_a_list_of_billions_made_of_aliases_is_cheap():
    value: list[object] = ["lol"] * 10
    for _ in range(30):
        value = [value] * 10
    assert len(errors.shown(value)) <= MAX_SHOWN


def test_did_you_mean():
    assert errors.did_you_mean("etaa", ["eta", "depth"]) == "did you mean `eta`?"
    assert errors.did_you_mean("zzz", ["eta", "depth"]) == "known: `depth`, `eta`"
    assert errors.did_you_mean("zzz", []) == ""
    assert len(errors.did_you_mean("zzz", [f"column_{i}" for i in range(10_000)])) < 1_000


@pytest.mark.parametrize("error", [SpaceError("x", [Problem("a", "r", "1", "do")]), TrainingError("oom", "CUDA")])
def test_errors_cross_process_borders(error):
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert str(copy.copy(error)) == str(error)


def test_retry_after_crosses_process_borders():
    assert pickle.loads(pickle.dumps(LLMUnavailable("busy", retry_after=2.5))).retry_after == 2.5


def test_finite_tells_missing_and_nan_from_zero():
    assert [errors.finite(v) for v in (0.0, None, float("nan"), float("inf"))] == [True, False, False, False]
