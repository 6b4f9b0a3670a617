"""The classical advisor: what Optuna is told, and that it learns from it."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState as Told
from small_runs import CONDITIONAL, MAXIMISE, MINIMISE, PLAIN, SPACES, made_history, proposed, trial

from automl_gpt_ray.advisors.classical import MAX_TOLD, ClassicalAdvisor, from_optuna, to_optuna
from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter
from automl_gpt_ray.records import History, Objective, TrialState
from automl_gpt_ray.space import SearchSpace

TESTS = Path(__file__).resolve().parents[1]


def told(history, space=PLAIN):
    return ClassicalAdvisor(space)._study(history).get_trials(deepcopy=False)


def config(depth):
    return {**PLAIN.default, "depth": depth}


def test_what_optuna_is_told():
    trials = (
        trial(1, config(1), [0.5, 0.7, 0.6]),
        trial(2, config(2), [0.3, 0.4], TrialState.STOPPED),
        trial(3, config(3), [0.9], TrialState.FAILED, "nan"),
        trial(4, config(4), [], TrialState.FAILED, "oom"),
        trial(5, config(5), [0.8], TrialState.RUNNING),
        trial(6, config(6), [0.8], TrialState.PAUSED),
        trial(7, config(7), [math.nan, math.nan]),
        trial(8, config(8), [], TrialState.STOPPED),
        trial(9, config(9), [math.nan, 0.2]),
        trial(10, config(99), [1.0]),
    )
    seen = told(History(MAXIMISE, trials, (proposed(config(11)),), 9, 0, 4))
    assert [(t.params["depth"], t.state, t.value, t.intermediate_values) for t in seen] == [
        (1, Told.COMPLETE, 0.7, {}),
        (2, Told.PRUNED, None, {2: 0.4}),
        (3, Told.PRUNED, None, {}),
        (4, Told.PRUNED, None, {}),
        (5, Told.RUNNING, None, {}),
        (6, Told.RUNNING, None, {}),
        (7, Told.PRUNED, None, {}),
        (8, Told.PRUNED, None, {}),
        (9, Told.COMPLETE, 0.2, {}),
        (11, Told.RUNNING, None, {}),
    ]


@pytest.mark.parametrize(("objective", "direction"), [(MAXIMISE, "MAXIMIZE"), (MINIMISE, "MINIMIZE")])
def test_the_direction(objective, direction):
    study = ClassicalAdvisor(PLAIN)._study(History(objective))
    assert study.direction.name == direction


def test_only_active_parameters_are_told():
    trials = (
        trial(1, CONDITIONAL.default, [0.5]),
        trial(2, {**CONDITIONAL.default, "booster": "dart", "rate_drop": 0.3}, [0.6]),
    )
    one, two = told(History(MAXIMISE, trials, (), 3, 0, 4), CONDITIONAL)
    assert set(one.params) == {"booster", "eta"}
    assert set(two.params) == {"booster", "eta", "rate_drop"}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_there_and_back(space):
    distributions = to_optuna(space)
    assert list(distributions) == list(space.searched)
    assert to_optuna(from_optuna(distributions)) == distributions


def test_back_and_there():
    space = SearchSpace(
        {
            "a": FloatParameter(low=0.0, high=1.0),
            "b": FloatParameter(low=1e-6, high=10.0, log=True),
            "c": FloatParameter(low=0.0, high=1.0, step=0.25),
            "d": IntParameter(low=1, high=64, log=True),
            "e": IntParameter(low=2, high=10, step=4),
            "f": ChoiceParameter(choices=[0, 1, 2]),
        }
    )
    assert from_optuna(to_optuna(space)) == space
    assert to_optuna(space) == {
        "a": FloatDistribution(0.0, 1.0),
        "b": FloatDistribution(1e-6, 10.0, log=True),
        "c": FloatDistribution(0.0, 1.0, step=0.25),
        "d": IntDistribution(1, 64, log=True),
        "e": IntDistribution(2, 10, step=4),
        "f": CategoricalDistribution([0, 1, 2]),
    }


def test_an_unknown_distribution_is_refused():
    with pytest.raises(TypeError, match="unknown Optuna distribution"):
        from_optuna({"a": object()})


def loss(config):
    """Smallest (0) at eta 0.01, depth 9, leafwise."""
    shape = 0.0 if config["shape"] == "leafwise" else 0.5
    return math.log10(config["eta"] / 0.01) ** 2 + ((config["depth"] - 9) / 6) ** 2 + shape


def best_of(sampler, seed, mode, count=30):
    sign = 1 if mode == "min" else -1
    objective, trials = Objective("accuracy", mode), ()
    advisor = ClassicalAdvisor(PLAIN, seed, sampler)
    for number in range(count):
        history = History(objective, trials, (), number, 0, 1)
        (made,) = advisor.propose(history, 1)
        trials += (trial(number, made.config, [sign * loss(made.config)]),)
    return min(loss(t.config) for t in trials)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_tpe_learns(mode):
    seeds = range(5)
    guided, blind = (np.median([best_of(sampler, seed, mode) for seed in seeds]) for sampler in ("tpe", "random"))
    assert guided < 0.6 * blind


def test_the_gaussian_process_learns():
    pytest.importorskip("torch")
    pytest.importorskip("scipy")
    guided, blind = (np.median([best_of(sampler, seed, "min", 14) for seed in (0,)]) for sampler in ("gp", "random"))
    assert guided < 0.6 * blind


def test_failures_are_avoided():
    trials = [trial(i, config(1 + i % 6), [0.5 + 0.001 * i]) for i in range(12)]
    trials += [trial(20 + i, config(7 + i % 6), [], TrialState.FAILED, "oom") for i in range(12)]
    depths = []
    for version in range(25):
        history = History(MAXIMISE, tuple(trials), (), version, 0, 4)
        depths += [p.config["depth"] for p in ClassicalAdvisor(PLAIN).propose(history, 1)]
    assert sum(d > 6 for d in depths) < len(depths) / 3


def test_proposals_asked_for_together_differ():
    made = ClassicalAdvisor(PLAIN).propose(made_history(PLAIN, 30), 6)
    etas = sorted(math.log(p.config["eta"]) for p in made)
    assert len(made) == 6
    assert len({round(e, 3) for e in etas}) == 6


def test_long_histories_take_no_longer_than_they_teach():
    history = made_history(SearchSpace({**PLAIN.parameters, "x": FloatParameter(low=0, high=1)}), 1500)
    space = SearchSpace({**PLAIN.parameters, "x": FloatParameter(low=0, high=1)})
    assert len(history.trials) == 1500
    seen = told(history, space)
    assert len(seen) <= MAX_TOLD
    best = max(t.value(MAXIMISE) or 0 for t in history.trials if t.state is TrialState.COMPLETED)
    assert max(t.value for t in seen if t.state is Told.COMPLETE) == best
    began = time.perf_counter()
    assert len(ClassicalAdvisor(space).propose(history, 2)) == 2
    assert time.perf_counter() - began < 20


def test_reasons_tell_guesses_from_models():
    few, many = History(MAXIMISE), made_history(PLAIN, 20)
    assert "at random" in ClassicalAdvisor(PLAIN).propose(few, 1)[0].reason
    assert "TPE suggestion from" in ClassicalAdvisor(PLAIN).propose(many, 1)[0].reason
    assert ClassicalAdvisor(PLAIN, 0, "random").propose(many, 1)[0].reason == "drawn at random"


def test_a_forecast_comes_along_once_there_are_peers():
    assert ClassicalAdvisor(PLAIN).propose(History(MAXIMISE), 1)[0].predicted_log is None
    log = ClassicalAdvisor(PLAIN).propose(made_history(PLAIN, 20), 1)[0].predicted_log
    assert log.source == ("peers" if weights.unavailable() else "network")


QUIET = """
import contextlib, threading, warnings
import sklearn  # adds a filter of its own when Optuna imports it
with contextlib.suppress(ImportError):
    import torch  # the same, when a forecast is asked for
from small_runs import CONDITIONAL, made_history
from automl_gpt_ray.advisors.classical import ClassicalAdvisor

before = list(warnings.filters)
history = made_history(CONDITIONAL, 24)

def work():
    for sampler in ("tpe", "random"):
        advisor = ClassicalAdvisor(CONDITIONAL, 0, sampler)
        advisor.propose(history, 1), advisor.importances(history)

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert warnings.filters == before, "a thread changed what others are warned of"
warnings.warn("somebody else's")
"""


def test_optuna_is_quiet_and_others_are_heard():
    path = {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    told = subprocess.run([sys.executable, "-c", QUIET], env=path, capture_output=True, text=True, check=True)
    assert told.stdout == ""
    assert told.stderr.splitlines() == ["<string>:20: UserWarning: somebody else's"]


@pytest.mark.parametrize(
    "parameter",
    [
        FloatParameter(low=0, high=1, step=1 / 3),
        FloatParameter(low=0, high=0.5, step=0.5 / 7),
        FloatParameter(low=1e6, high=1e6 + 2, step=1 / 3),
        FloatParameter(low=0, high=1, step=0.3),
        IntParameter(low=0, high=10, step=4),
        IntParameter(low=0, high=2**53),
    ],
)
def test_any_grid_is_told_and_proposed_on_without_a_word(parameter, recwarn):
    space = SearchSpace({"x": parameter, "y": FloatParameter(low=0, high=1)})
    rng = np.random.default_rng(0)
    configs = [
        *({"x": x, "y": 0.5} for x in (parameter.low, parameter.clip(parameter.high))),
        *map(space.sample, [rng] * 20),
    ]
    tried = tuple(trial(i, config, [0.1 * i]) for i, config in enumerate(configs))
    made = ClassicalAdvisor(space, 0).propose(History(MAXIMISE, tried, (), 3, 0, 1), 3)
    assert made
    assert not any(space.problems(p.config) for p in made)
    assert not [w for w in recwarn if "divisible" in str(w.message)]


def test_the_gaussian_process_lists_no_wide_range():
    space = SearchSpace({"x": IntParameter(low=0, high=2**31 - 1), "y": FloatParameter(low=0, high=1)})
    tried = tuple(trial(i, space.sample(np.random.default_rng(i)), [0.1 * i]) for i in range(8))
    (made,) = ClassicalAdvisor(space, 0, "gp", startup=2).propose(History(MAXIMISE, tried, (), 3, 0, 1), 1)
    assert isinstance(made.config["x"], int)


# Two shapes without a rate and one with three, at four depths each.
SMALL = SearchSpace(
    {
        "shape": ChoiceParameter(choices=["a", "b", "c"], default="a"),
        "depth": IntParameter(low=1, high=7, step=2, default=1),
        "rate": FloatParameter(low=0.0, high=1.0, step=0.5, default=0.0, when={"shape": ["c"]}),
        "seed": ConstantParameter(value=7),
    }
)


def test_by_curves_a_small_space_is_tried_to_the_last_too():
    space = SearchSpace({"x": IntParameter(low=1, high=100, log=True)})
    left = (98, 99)
    everything = [c for c in space.configurations(200) if c["x"] not in left]
    tried = tuple(trial(i, c, [0.1 + 0.001 * i]) for i, c in enumerate(everything))
    made = FreezeThawAdvisor(space, curves="gp").propose(History(MAXIMISE, tried, (), 3, 0, 1), 3)
    assert sorted(p.config["x"] for p in made) == [98, 99]
    done = (*tried, *(trial(200 + x, {"x": x}, [0.5]) for x in left))
    assert FreezeThawAdvisor(space, curves="gp").propose(History(MAXIMISE, done, (), 3, 0, 1), 3) == []


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("left", [1, 5])
def test_a_small_space_is_tried_to_the_last(sampler, left):
    everything = SMALL.configurations(100)
    assert len(everything) == 4 * (2 + 3)
    tried = tuple(trial(i, c, [0.1 * i]) for i, c in enumerate(everything[left:]))
    made = ClassicalAdvisor(SMALL, 0, sampler).propose(History(MAXIMISE, tried, (), 3, 0, 1), 8)
    assert sorted(p.key for p in made) == sorted(map(SMALL.key, everything[:left]))
    assert len({p.id for p in made}) == left
    done = tuple(trial(i, c, [0.1 * i]) for i, c in enumerate(everything))
    assert ClassicalAdvisor(SMALL, 0, sampler).propose(History(MAXIMISE, done, (), 3, 0, 1), 2) == []
