"""Ray Tune domains: what Ray samples is valid, ranges survive the round trip, bad spaces are explained."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ray import tune
from ray.tune.search.sample import Float, Integer
from ray.tune.search.variant_generator import generate_variants

from automl_gpt_ray.errors import SpaceError
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter
from automl_gpt_ray.ray_tune.domains import flatten, from_ray, nest, read_config, to_ray
from automl_gpt_ray.space import SearchSpace

PARAMETERS = {
    "float": FloatParameter(low=0.1, high=0.9),
    "float_log": FloatParameter(low=1e-5, high=1e-1, log=True),
    "float_point": FloatParameter(low=0.3, high=0.3),
    "float_grid": FloatParameter(low=0.2, high=1.0, step=0.1),
    "float_log_grid": FloatParameter(low=0.5, high=8.0, step=0.5, log=True),
    "float_grid_from_zero": FloatParameter(low=0.0, high=1.0, step=0.25),
    "int": IntParameter(low=1, high=3),
    "int_log": IntParameter(low=1, high=100, log=True),
    "int_point": IntParameter(low=5, high=5),
    "int_grid": IntParameter(low=2, high=10, step=2),
    "int_log_grid": IntParameter(low=16, high=128, step=16, log=True),
    "choice": ChoiceParameter(choices=["a", 1, True, None, 0.5]),
    "constant": ConstantParameter(value="x"),
    "empty": ConstantParameter(value=None),
}
OFF_GRID = {
    "float_off": FloatParameter(low=0.05, high=0.95, step=0.1),
    "int_off": IntParameter(low=1, high=12, step=3, log=True),
    "ragged": FloatParameter(low=0.0, high=1.0, step=0.3),
}
CONDITIONAL = {
    "model/kind": ChoiceParameter(choices=["svm", "net"]),
    "data/scale": ChoiceParameter(choices=[True, False], when={"model/kind": ["svm"]}),
    "model/layers": IntParameter(low=1, high=4, when={"model/kind": ["net"]}),
    "model/dropout": FloatParameter(low=0.0, high=0.5, when={"model/layers": [3, 4]}),
    "model/norm": ConstantParameter(value="batch", when={"model/kind": ["net"]}),
}


def drawn(space, n=200):
    param_space = to_ray(space)
    np.random.seed(0)  # noqa: NPY002 - what Ray draws from
    for _ in range(n):
        for _, config in generate_variants(param_space):
            yield config


@pytest.mark.parametrize(
    "parameters", [{n: p} for n, p in {**PARAMETERS, **OFF_GRID}.items()] + [CONDITIONAL], ids=lambda p: next(iter(p))
)
def test_everything_ray_samples_is_valid(parameters):
    space = SearchSpace(parameters)
    assert [p for config in drawn(space) for p in space.problems(read_config(space, config))] == []


@pytest.mark.parametrize(
    "name", ["int", "int_grid", "int_log_grid", "float_grid", "float_log_grid", "float_off", "int_off"]
)
def test_ray_samples_every_value_of_a_grid(name):
    space = SearchSpace({name: {**PARAMETERS, **OFF_GRID}[name]})
    parameter = space.parameters[name]
    values = {round(config[name], 9) for config in drawn(space, 600)}
    step = parameter.step
    assert values == {round(parameter.low + i * step, 9) for i in range(parameter.grid_size)}


def test_round_trip_keeps_every_range():
    space = SearchSpace(PARAMETERS)
    assert from_ray(to_ray(space)) == space


def test_round_trip_keeps_conditions_and_puts_parents_first():
    again = from_ray(to_ray(SearchSpace(CONDITIONAL)))
    assert again.parameters == CONDITIONAL
    seen = list(again.parameters)
    assert all(seen.index(parent) < seen.index(n) for n, p in again.parameters.items() for parent in p.when)


def test_a_parent_of_a_later_group_comes_first():
    parameters = {
        "a/x": IntParameter(low=1, high=2),
        "b/kind": ChoiceParameter(choices=[1, 2]),
        "a/y": IntParameter(low=1, high=2, when={"b/kind": [2]}),
        "a/z": IntParameter(low=1, high=2, when={"a/y": [1]}),
    }
    space = SearchSpace(parameters)
    assert list(flatten(to_ray(space))) == ["a/x", "a/y", "a/z", "b/kind"]
    assert from_ray(to_ray(space)).parameters == parameters
    assert {len(read_config(space, config)) for config in drawn(space, 50)} == {2, 3, 4}


def test_conditionals_take_every_branch_and_leave_nothing_inactive():
    space = SearchSpace(CONDITIONAL)
    shapes = {tuple(read_config(space, config)) for config in drawn(space)}
    assert shapes == {
        ("model/kind", "data/scale"),
        ("model/kind", "model/layers", "model/norm"),
        ("model/kind", "model/layers", "model/dropout", "model/norm"),
    }


def test_conditionals_work_within_the_experiment_that_tune_resolves():
    space = SearchSpace(CONDITIONAL)
    np.random.seed(0)  # noqa: NPY002 - what Ray draws from
    for _ in range(50):
        (_, spec), *_ = generate_variants({"config": to_ray(space), "run": "x"})
        assert space.problems(read_config(space, spec["config"])) == []


def test_conditional_domains_can_be_pickled():
    space = SearchSpace(CONDITIONAL)
    assert from_ray(pickle.loads(pickle.dumps(to_ray(space)))).parameters == CONDITIONAL


def test_a_large_grid_off_rays_multiples_is_refused():
    with pytest.raises(SpaceError) as caught:
        to_ray(SearchSpace({"x": FloatParameter(low=0.0005, high=2.0, step=0.001)}))
    assert str(caught.value).splitlines()[1] == (
        "  - `x`: Ray needs `low` to be a multiple of `step`, or at most 1000 values, "
        "got 2000 values in steps of 0.001 from 0.0005. "
        "Move `low` onto a multiple of `step`, or enlarge or remove `step`."
    )


@pytest.mark.parametrize(
    ("domain", "parameter"),
    [
        (tune.uniform(0, 1), FloatParameter(low=0, high=1)),
        (Float(0, 1), FloatParameter(low=0, high=1)),
        (tune.loguniform(1e-4, 1), FloatParameter(low=1e-4, high=1, log=True)),
        (tune.quniform(0.2, 1, 0.2), FloatParameter(low=0.2, high=1.0, step=0.2)),
        (tune.qloguniform(0.1, 1, 0.1), FloatParameter(low=0.1, high=1.0, step=0.1, log=True)),
        (tune.randint(0, 10), IntParameter(low=0, high=9)),
        (Integer(0, 10), IntParameter(low=0, high=9)),
        (tune.lograndint(1, 10), IntParameter(low=1, high=9, log=True)),
        (tune.qrandint(0, 10, 5), IntParameter(low=0, high=10, step=5)),
        (tune.qrandint(1, 11, 5), IntParameter(low=5, high=10, step=5)),
        (tune.qrandint(0, 10, 1), IntParameter(low=0, high=9)),
        (tune.qlograndint(4, 64, 4), IntParameter(low=4, high=64, step=4, log=True)),
        (tune.choice(["a", None]), ChoiceParameter(choices=["a", None])),
        (tune.choice([np.int64(3), np.float64(0.5)]), ChoiceParameter(choices=[3, 0.5])),
        (np.float32(0.5), ConstantParameter(value=0.5)),
        (True, ConstantParameter(value=True)),
        (None, ConstantParameter(value=None)),
    ],
)
def test_from_ray(domain, parameter):
    assert from_ray({"x": domain}).parameters == {"x": parameter}


def test_the_centre_of_what_ray_draws_is_what_we_start_from():
    assert from_ray({"m": {"lr": tune.loguniform(1e-4, 1.0)}}).default == {"m/lr": 0.01}


def test_constants_that_are_no_scalars_are_left_to_ray():
    assert list(from_ray({"a": 1, "layers": [64, 64], "kind": dict, "x": tune.uniform(0, 1)}).parameters) == ["a", "x"]


def test_dicts_with_keys_that_are_no_texts_are_constants_for_ray():
    weights = {0: 1.0, 1: 5.0}
    param_space = {"weights": weights, "m": {"ids": {"deep": {7: "a"}}, "x": tune.uniform(0, 1)}, "by": {(1, 2): {}}}
    assert list(from_ray(param_space, default={"weights": weights, "m": {"x": 0.5}}).parameters) == ["m/x"]
    with pytest.raises(SpaceError, match="keys must be texts"):
        from_ray({"weights": {0: tune.uniform(0, 1), 1: 5.0}})


def test_an_object_to_choose_is_called_one():
    # As the Tuner hands over `tune.choice([SGD, Adam])`.
    with pytest.raises(SpaceError) as caught:
        from_ray({"optimiser": tune.choice([("__ref_ph", "12f8b5a5"), ("__ref_ph", "391d545b")])})
    assert caught.value.problems[0].got == "an object"


def test_every_problem_is_told_at_once():
    param_space = {
        "grid": tune.grid_search([1, 2]),
        "m": {"normal": tune.randn(0, 1), "f": tune.sample_from(lambda config: 1), "g": lambda: 1},
        "classes": tune.choice([1, [2, 3]]),
        "open": Float(None, 1.0),
        "layers": [tune.randint(1, 5), tune.randint(1, 5)],
        "deep": ({"u": [tune.grid_search([1])]},),
        "q": Integer(1, 3).quantized(8),
        "a/b": 1,
        3: tune.uniform(0, 1),
    }
    with pytest.raises(SpaceError) as caught:
        from_ray(param_space, default={"nothing": 1})
    told = {p.field: (p.rule, p.remedy) for p in caught.value.problems}
    assert set(told) == {
        "grid",
        "m/normal",
        "m/f",
        "m/g",
        "classes",
        "open",
        "layers",
        "deep",
        "q",
        "a/b",
        "3",
        "nothing",
    }
    assert told["grid"] == ("grids are not searched adaptively", "write `tune.choice([...])`")
    assert told["m/normal"][1] == "write `tune.uniform(-3, 3)`, for example"
    assert told["m/f"][0] == told["m/g"][0] == "functions have no range to search"
    assert told["classes"][0] == "choices must be texts, numbers, booleans or None"
    assert told["layers"][0] == told["deep"][0] == "lists must hold no ranges to search"
    assert told["open"][0] == "must be bounded on both sides"
    assert told["q"][0] == "`low` <= `high` must hold, got 8 > 0"
    assert told["a/b"] == ("keys must be texts without `/`", "nest a dict instead of writing `/`")


@pytest.mark.parametrize("default", [{"m": {"lr": 0.5}, "depth": 3.0}, {"m/lr": 0.5, "depth": 3}])
def test_default_nested_or_flat(default):
    space = from_ray({"m": {"lr": tune.uniform(0, 1)}, "depth": tune.randint(1, 5), "seed": 1}, default)
    assert space.default == {"m/lr": 0.5, "depth": 3, "seed": 1}


def test_numbers_of_numpy_are_defaults():
    default = {"a": np.int64(3), "b": np.float32(0.5), "c": np.int64(16), "d": np.bool_(True), "e": np.int64(1)}
    space = {
        "a": tune.randint(1, 5),
        "b": tune.uniform(0, 1),
        "c": tune.choice([8, 16]),
        "d": tune.choice([True]),
        "e": 1,
    }
    started = from_ray(space, default).default
    assert started == {"a": 3, "b": 0.5, "c": 16, "d": True, "e": 1}
    assert [type(value) for value in started.values()] == [int, float, int, bool, int]


def test_wrong_defaults_are_told_at_once():
    with pytest.raises(SpaceError) as caught:
        from_ray({"a": tune.randint(1, 5), "b": tune.choice(["x"]), "c": 1}, {"a": 5, "b": "y", "c": 2})
    assert [(p.field, p.rule, p.got) for p in caught.value.problems] == [
        ("a", "`default` must be between 1 and 4", "5"),
        ("b", "`default` must be one of 'x'", "'y'"),
        ("c", "`default` is fixed at 1", "2"),
    ]


def test_nest_and_flatten():
    flat = {"a": 1, "b/c": 2, "b/d/e": None}
    assert nest(flat) == {"a": 1, "b": {"c": 2, "d": {"e": None}}}
    assert flatten(nest(flat)) == flat
    assert flatten({"a": {}, "b/c": 1}) == {"b/c": 1}


@pytest.mark.parametrize("config", [{"a": 1, "a/b": 2}, {"a/b": 2, "a": 1}])
def test_a_name_is_a_value_or_a_group(config):
    with pytest.raises(SpaceError, match="stands for a value and for a group of values"):
        nest(config)
