"""Parameters: what they allow, how they map to the unit interval, and what they refuse to be."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter, Parameter

# The first example of a process also builds tables of characters.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")

finite = st.floats(-1e6, 1e6, allow_nan=False)
anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))


@st.composite
def float_parameters(draw):
    log = draw(st.booleans())
    low = draw(st.floats(1e-8, 1e3) if log else finite)
    high = low + draw(st.floats(1e-6, 1e6))
    step = draw(st.none() | st.floats(1e-3, 1.0)) if not log else None
    return FloatParameter(low=low, high=high, log=log, step=step and step * (high - low))


@st.composite
def int_parameters(draw):
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    high = low + draw(st.integers(0, 1000))
    return IntParameter(low=low, high=high, log=log, step=draw(st.integers(1, 7)))


choices = st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)), min_size=1, max_size=6)


@st.composite
def choice_parameters(draw):
    unique = draw(choices.map(lambda items: list({(type(i).__name__, i): i for i in items}.values())))
    return ChoiceParameter(choices=unique)


parameters = st.one_of(
    float_parameters(), int_parameters(), choice_parameters(), st.builds(ConstantParameter, value=st.integers())
)


@given(parameters, st.floats(0, 1))
def test_from_unit_is_allowed(parameter, unit):
    assert parameter.fault(parameter.from_unit(unit)) == ""


@given(parameters, st.floats(0, 1))
def test_unit_round_trip(parameter, unit):
    value = parameter.from_unit(unit)
    back = parameter.from_unit(parameter.to_unit(value))
    if isinstance(parameter, FloatParameter) and not parameter.step:
        # Readable rounding moves a value by up to a part in 1e5 of the range, once each way.
        width = value * math.log(parameter.high / parameter.low) if parameter.log else parameter.high - parameter.low
        assert abs(back - value) <= 2.5e-5 * width + 1e-12 * abs(value)
    elif isinstance(parameter, FloatParameter):
        assert back == pytest.approx(value)
    else:
        assert back == value


@given(parameters, anything)
def test_clip_is_allowed(parameter, value):
    assert parameter.fault(parameter.clip(value)) == ""


@given(parameters)
def test_start_is_allowed(parameter):
    assert parameter.fault(parameter.start) == ""


@given(int_parameters())
def test_a_whole_number_that_is_allowed_survives_clip_and_unit(parameter):
    for value in (parameter.low, parameter.low + (parameter.grid_size - 1) * parameter.step):
        assert parameter.fault(value) == ""
        assert parameter.clip(value) == value
        assert parameter.from_unit(parameter.to_unit(value)) == value


@pytest.mark.parametrize("parameter", [IntParameter(low=1, high=4), FloatParameter(low=1.0, high=4.0, step=1.0)])
def test_grid_values_have_equal_shares(parameter):
    drawn = [parameter.from_unit((i + 0.5) / 4000) for i in range(4000)]
    assert {drawn.count(v) for v in (1, 2, 3, 4)} <= set(range(998, 1003))


def test_log_scale_is_geometric():
    assert FloatParameter(low=1e-4, high=1.0, log=True).from_unit(0.5) == 0.01
    assert FloatParameter(low=1e-4, high=1.0, log=True, default=0.5).start == 0.5
    assert FloatParameter(low=0.0, high=1.0).start == 0.5


def test_a_narrow_range_far_from_zero_keeps_its_values_apart():
    parameter = FloatParameter(low=1_000_000.0, high=1_000_001.0)
    assert len({parameter.from_unit(i / 10) for i in range(11)}) == 11


def test_values_are_short_to_read():
    assert FloatParameter(low=0.0, high=1.0).from_unit(1 / 3) == 0.333333


@pytest.mark.parametrize(
    ("parameter", "value", "fault"),
    [
        (FloatParameter(low=0, high=1), "0.5", "must be a number"),
        (FloatParameter(low=0, high=1), True, "must be a number"),
        (FloatParameter(low=0, high=1), math.nan, "must be between 0 and 1"),
        (FloatParameter(low=0, high=1), math.inf, "must be between 0 and 1"),
        (FloatParameter(low=0, high=1), 10**400, "must be between 0 and 1"),
        (FloatParameter(low=0, high=1, step=0.25), 0.3, "must be 0 plus a multiple of 0.25"),
        (FloatParameter(low=0, high=1), 1.0 + 1e-15, ""),
        (FloatParameter(low=0, high=1), 0, ""),
        (IntParameter(low=1, high=9), 3.0, ""),
        (IntParameter(low=1, high=9), 3.5, "must be a whole number"),
        (IntParameter(low=1, high=9), math.nan, "must be a whole number"),
        (IntParameter(low=1, high=9), math.inf, "must be between 1 and 9"),
        (IntParameter(low=1, high=9), 10**400, "must be between 1 and 9"),
        (IntParameter(low=1, high=9), False, "must be a whole number"),
        (IntParameter(low=1, high=9, step=4), 6, "must be 1 plus a multiple of 4"),
        (ChoiceParameter(choices=[1, True, None]), False, "must be one of 1, True, None"),
        (ChoiceParameter(choices=[1, "a"]), True, "must be one of 1, 'a'"),
        (ChoiceParameter(choices=[1, "a"]), 1.0, ""),
        (ChoiceParameter(choices=[1, "a"]), "1", "must be one of 1, 'a'"),
        (ConstantParameter(value=3), 3.0, ""),
        (ConstantParameter(value=1), True, "is fixed at 1"),
    ],
)
def test_fault(parameter, value, fault):
    assert parameter.fault(value) == fault


@pytest.mark.parametrize(
    ("parameter", "value", "clipped"),
    [
        (FloatParameter(low=0, high=1), "0.25", 0.25),
        (FloatParameter(low=0, high=1), 7, 1.0),
        (FloatParameter(low=0, high=1, default=0.3), [0.5], 0.3),
        (FloatParameter(low=0, high=1, default=0.3), "nan", 0.3),
        (FloatParameter(low=0, high=1, default=0.3), 10**400, 0.3),
        (FloatParameter(low=0.1, high=1, step=0.2), 0.95, 0.9),
        (IntParameter(low=1, high=10, step=4), 10, 9),
        (IntParameter(low=1, high=10), "4.4", 4),
        (ChoiceParameter(choices=["gbtree", True]), "TRUE", True),
        (ChoiceParameter(choices=["gbtree", "dart"], default="dart"), {"a": 1}, "dart"),
        (ConstantParameter(value="x"), 5, "x"),
    ],
)
def test_clip(parameter, value, clipped):
    result = parameter.clip(value)
    assert (result, type(result)) == (clipped, type(clipped))


def test_types_of_clipped_values():
    assert type(IntParameter(low=1, high=9).clip(3.0)) is int
    assert type(FloatParameter(low=1, high=9).clip(3)) is float


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"type": "float", "low": 1.0, "high": 0.0}, "`low` <= `high` must hold, got 1 > 0"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "`low` must be above 0 on a log scale"),
        ({"type": "float", "low": 0.0, "high": math.inf}, "`low` and `high` must be finite"),
        ({"type": "float", "low": -1e308, "high": 1e308}, "`low` and `high` must be finite"),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": 0.0}, "`step` must be above 0"),
        ({"type": "float", "low": 0.0, "high": 1.0, "step": math.nan}, "`step` must be above 0"),
        ({"type": "float", "low": 0.0, "high": 1e10, "step": 1e-300}, "`step` must be a larger share of the range"),
        ({"type": "float", "low": 0.0, "high": 1.0, "default": 2.0}, "`default` must lie in [0, 1], got 2"),
        (
            {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25, "default": 0.3},
            "`default` must be 0 plus a multiple",
        ),
        ({"type": "float", "low": "0.1", "high": 1.0}, "valid number"),
        ({"type": "int", "low": 1, "high": 2.5}, "valid integer"),
        ({"type": "int", "low": 1, "high": 10**400}, "must lie within ±2**53"),
        ({"type": "int", "low": 1, "high": 9, "step": 0}, "`step` must be above 0"),
        ({"type": "int", "low": 1, "high": 9, "step": 4, "default": 4}, "`default` must be 1 plus a multiple of 4"),
        ({"type": "choice", "choices": []}, "at least 1 item"),
        ({"type": "choice", "choices": [1, 1.0]}, "`choices` must differ"),
        ({"type": "choice", "choices": [math.nan]}, "`choices` must be finite"),
        ({"type": "choice", "choices": ["a"], "default": "b"}, "`default` must be one of 'a'"),
        ({"type": "choice", "choices": ["a"], "default": None}, "`default` must be one of 'a'"),
        ({"type": "constant", "value": [1]}, "valid"),
        ({"type": "float", "low": 0.0, "high": 1.0, "hihg": 2.0}, "Extra inputs"),
    ],
)
def test_refused(fields, rule):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Parameter).validate_python(fields)
    assert rule in str(caught.value)


def test_choices_that_differ_only_in_type_are_choices():
    parameter = ChoiceParameter(choices=[1, True, "1", None])
    assert [parameter.index(v) for v in (1, True, "1", None)] == [0, 1, 2, 3]
    assert [parameter.from_unit(parameter.to_unit(v)) for v in parameter.choices] == parameter.choices


def test_a_default_of_null_is_a_default():
    assert ChoiceParameter(choices=["a", None], default=None).start is None
    assert ChoiceParameter(choices=["a", None]).start == "a"
