"""The search space: conditions, defaults, and every problem of a configuration at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from automl_gpt_ray.errors import SpaceError
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter
from automl_gpt_ray.space import SearchSpace, describe

# The first example of a process also builds tables of characters.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")

SPACE = SearchSpace(
    {
        "booster": ChoiceParameter(choices=["gbtree", "dart"], default="gbtree"),
        "eta": FloatParameter(low=0.01, high=0.5, log=True, default=0.3),
        "max_depth": IntParameter(low=1, high=12, default=6),
        "rate_drop": FloatParameter(low=0.0, high=0.5, step=0.1, default=0.1, when={"booster": ["dart"]}),
        "skip": ChoiceParameter(choices=[True, False], when={"rate_drop": [0.1, 0.2]}),
        "seed": ConstantParameter(value=7),
    }
)
FULL = {"booster": "dart", "eta": 0.1, "max_depth": 3, "rate_drop": 0.2, "skip": False, "seed": 7}
seeds = st.integers(0, 2**32 - 1)


@given(seeds)
def test_samples_are_valid(seed):
    config = SPACE.sample(np.random.default_rng(seed))
    assert SPACE.validate(config) == config


@given(seeds, st.floats(0.01, 2.0))
def test_neighbours_are_valid(seed, scale):
    rng = np.random.default_rng(seed)
    config = SPACE.sample(rng)
    near = SPACE.neighbour(config, rng, scale)
    assert SPACE.problems(near) == []


@given(seeds)
def test_a_neighbour_of_choices_is_another_configuration(seed):
    space = SearchSpace({"a": ChoiceParameter(choices=[1, 2]), "b": IntParameter(low=1, high=100)})
    config = {"a": 1, "b": 50}
    near = space.neighbour(config, np.random.default_rng(seed))
    assert near != config


junk = st.one_of(st.none(), st.text(max_size=4), st.floats(), st.integers(), st.lists(st.integers(), max_size=2))


@given(st.dictionaries(st.sampled_from([*SPACE.parameters, "unknown"]), junk))
def test_clip_is_valid_and_notes_every_problem(config):
    clipped, notes = SPACE.clip(config)
    assert SPACE.problems(clipped) == []
    assert len(notes) == len(SPACE.problems(config))


def test_clip_of_a_valid_configuration_changes_nothing():
    assert SPACE.clip(FULL) == (FULL, [])


def test_default():
    assert SPACE.default == {"booster": "gbtree", "eta": 0.3, "max_depth": 6, "seed": 7}


def test_every_problem_is_told_at_once():
    with pytest.raises(SpaceError) as caught:
        SPACE.validate({"booster": "gbtree", "eta": 0.7, "rate_drop": 0.1, "max_dept": 3})
    assert str(caught.value).splitlines() == [
        "configuration: 4 problems in the search space",
        "  - `max_dept`: unknown hyperparameter, got 3. Did you mean `max_depth`?",
        "  - `eta`: must be between 0.01 and 0.5, got 0.7.",
        "  - `max_depth`: is missing. The default is 6.",
        "  - `rate_drop`: exists only when booster is 'dart', got 0.1. Leave it out.",
    ]


def test_validate_gives_the_order_and_types_of_the_space():
    shuffled = dict(reversed({**FULL, "max_depth": 3.0}.items()))
    result = SPACE.validate(shuffled)
    assert list(result) == list(SPACE.parameters)
    assert type(result["max_depth"]) is int


def test_constants_need_not_be_written():
    space = SearchSpace({"kind": ConstantParameter(value="x"), "a": IntParameter(low=1, high=2, when={"kind": ["x"]})})
    assert space.validate({"a": 1}) == {"kind": "x", "a": 1}
    assert next(p.rule for p in space.problems({"kind": "y", "a": 1})) == "is fixed at 'x'"


def test_conditions_reach_grandchildren():
    active = [n for n in SPACE.parameters if SPACE.is_active(n, FULL)]
    assert active == list(SPACE.parameters)
    assert not SPACE.is_active("skip", {**FULL, "rate_drop": 0.3})
    assert not SPACE.is_active("skip", {"booster": "gbtree"})


def test_a_condition_on_true_does_not_hold_for_one():
    space = SearchSpace({"a": ChoiceParameter(choices=[1, True]), "b": IntParameter(low=1, high=2, when={"a": [True]})})
    assert space.is_active("b", {"a": True})
    assert not space.is_active("b", {"a": 1})


def test_ill_formed_conditions_are_told_at_once():
    late = {"b": [1]}
    with pytest.raises(SpaceError) as caught:
        SearchSpace(
            {
                "a": IntParameter(low=1, high=2, when=late),
                "b": IntParameter(low=1, high=2),
                "c": IntParameter(low=1, high=2, when={"bb": [1]}),
                "d": IntParameter(low=1, high=2, when={"b": [3]}),
                "e": IntParameter(low=1, high=2, when={"b": []}),
            }
        )
    assert [(p.field, p.rule, p.remedy) for p in caught.value.problems] == [
        ("a.when.b", "must name a parameter defined before", "define it earlier"),
        ("c.when.bb", "must name a parameter defined before", "did you mean `b`?"),
        ("d.when.b", "`b` must be between 1 and 2", ""),
        ("e.when.b", "must list at least one value", "remove the condition"),
    ]


def test_key_is_equal_for_configurations_that_train_the_same():
    assert SPACE.key({"a": 3, "b": 0.1}) == SPACE.key({"b": 0.1 + 1e-16, "a": 3.0})
    assert SPACE.key({"a": 1}) != SPACE.key({"a": True})
    assert SPACE.key({"a": 1}) != SPACE.key({"a": "1"})
    assert SPACE.key({"a": 0.1}) != SPACE.key({"a": 0.1000001})


def test_to_unit_marks_inactive_parameters():
    unit = SPACE.to_unit({k: v for k, v in FULL.items() if k != "skip"})
    assert unit.shape == (5,)
    assert math.isnan(unit[4])
    assert ((unit[:4] >= 0) & (unit[:4] <= 1)).all()


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (FloatParameter(low=0.01, high=0.5, log=True, default=0.3), "0.01 to 0.5, log scale; default 0.3"),
        (FloatParameter(low=0, high=4, step=1, default=1.0), "0 to 4, in steps of 1; default 1.0"),
        (IntParameter(low=1, high=1_234_567, default=1), "whole number 1 to 1234567; default 1"),
        (ChoiceParameter(choices=["a", None], when={"x": [1]}), "one of 'a', None; default 'a'; only when x is 1"),
        (ConstantParameter(value=3), "fixed at 3"),
    ],
)
def test_describe(parameter, words):
    assert describe(parameter) == words


def test_every_configuration_of_a_finite_space():
    space = SearchSpace(
        {
            "a": ChoiceParameter(choices=[1, True, None], default=1),
            "b": IntParameter(low=2, high=8, step=3, default=2, when={"a": [True]}),
            "c": FloatParameter(low=0.0, high=0.3, step=0.1, when={"b": [5]}),
            "seed": ConstantParameter(value=7),
        }
    )
    found = space.configurations(8)
    assert len({space.key(c) for c in found}) == len(found) == 1 + 1 + (2 + 4)
    assert all(not space.problems(c) for c in found)
    rng = np.random.default_rng(0)
    assert {space.key(space.sample(rng)) for _ in range(400)} == {space.key(c) for c in found}
    assert space.configurations(7) is None
    assert SearchSpace({"x": FloatParameter(low=0, high=1)}).configurations(10**6) is None
    assert SearchSpace({"x": IntParameter(low=0, high=10**9)}).configurations(1000) is None


@given(seeds)
def test_vectors_lie_in_the_unit_cube(seed):
    vector = SPACE.to_vector(SPACE.sample(np.random.default_rng(seed)))
    assert vector.shape == (SPACE.vector_size,)
    assert ((vector >= 0) & (vector <= 1)).all()


def test_a_vector_tells_choices_and_existence_apart():
    # booster (2), eta, max_depth, rate_drop (exists, value), skip (exists, 2)
    there = SPACE.to_vector(FULL)
    assert there[[0, 1, 4, 6, 7, 8]].tolist() == [0, 1, 1, 1, 0, 1]
    gone = SPACE.to_vector({"booster": "gbtree", "eta": 0.1, "max_depth": 3, "seed": 7})
    assert gone[[0, 1]].tolist() == [1, 0]
    assert gone[4:].tolist() == [0, 0.5, 0, 0, 0]
