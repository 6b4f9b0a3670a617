"""Insight: what is said of good and bad settings, that it is true, and that it can be said again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import CONDITIONAL, MAXIMISE, MINIMISE, PLAIN, SPACES, TINY, made_history, proposed, trial

from automl_gpt_ray.advisors.classical import MAX_TOLD, ClassicalAdvisor
from automl_gpt_ray.advisors.insight import MIN_TRIALS, insight_of
from automl_gpt_ray.records import History, TrialState

TESTS = Path(__file__).resolve().parents[1]


def of_depths(values, objective=MAXIMISE, state=TrialState.COMPLETED):
    """A history in which depth i + 1 reached `values[i]`."""
    trials = [
        trial(i, {**PLAIN.default, "depth": i + 1}, [v], state, metric=objective.metric) for i, v in enumerate(values)
    ]
    return History(objective, tuple(trials), (), 50, 0, 1)


def contrast(history, name, space=PLAIN):
    return next(c for c in insight_of(space)(history).contrasts if c.name == name)


@pytest.mark.parametrize("count", range(MIN_TRIALS))
def test_too_few_trials_say_nothing(count):
    assert insight_of(PLAIN)(of_depths([0.1 * i for i in range(count)])) is None


def test_failed_and_silent_trials_do_not_count():
    history = of_depths([0.1 * i for i in range(MIN_TRIALS)])
    broken = [
        trial(90, {**PLAIN.default, "depth": 12}, [9.0], TrialState.FAILED, "oom"),
        trial(91, {**PLAIN.default, "depth": 11}, []),
        trial(92, {**PLAIN.default, "depth": 99}, [9.0]),
        trial(93, {**PLAIN.default, "depth": 10}, [9.0], TrialState.RUNNING),
    ]
    found = insight_of(PLAIN)(replace(history, trials=(*history.trials, *broken)))
    assert (found.trials, found.best) == (8, 2)
    assert contrast(replace(history, trials=(*history.trials, *broken)), "depth").best == (7.0, 8.0, 8.0)


@pytest.mark.parametrize(("objective", "best"), [(MAXIMISE, (10.0, 11.0, 12.0)), (MINIMISE, (1.0, 2.0, 3.0))])
def test_the_best_quarter_and_the_rest(objective, best):
    history = of_depths([0.05 * i for i in range(12)], objective)
    found = contrast(history, "depth")
    assert found.best == best
    assert found.rest == ((3.0, 5.0, 7.0) if objective is MAXIMISE else (6.0, 8.0, 10.0))
    assert insight_of(PLAIN)(history).contrasts[0].name == "depth"  # all the others were the same everywhere


def test_stopped_trials_stand_behind_all_completed_ones():
    done, stopped = of_depths([0.1] * 6), of_depths([0.9] * 12, state=TrialState.STOPPED)
    both = replace(done, trials=(*done.trials, *(replace(t, id=f"s{t.id}") for t in stopped.trials[6:])))
    assert contrast(both, "depth").best == (1.0, 2.0, 3.0)


def test_choices_are_counted():
    shapes = ["leafwise"] * 3 + [None] + ["oblivious"] * 12
    trials = tuple(
        trial(i, {"eta": 0.01 + 0.001 * i, "depth": 6, "shape": s}, [1.0 - 0.01 * i]) for i, s in enumerate(shapes)
    )
    found = contrast(History(MAXIMISE, trials, (), 3, 0, 1), "shape")
    assert found.best == (("leafwise", 0.75), (None, 0.25))
    assert found.rest == (("oblivious", 1.0),)


def test_a_conditional_hyperparameter_is_told_of_where_it_exists():
    plain = [trial(i, {**CONDITIONAL.default, "eta": 0.02 * (i + 1)}, [0.5]) for i in range(10)]
    dart = {**CONDITIONAL.default, "booster": "dart", "rate_drop": 0.3}
    history = History(MAXIMISE, (*plain, trial(20, dart, [0.9])), (), 3, 0, 1)
    found = contrast(history, "rate_drop", CONDITIONAL)
    assert found.best == (0.3, 0.3, 0.3)
    assert found.rest is None


def test_importances_find_what_matters():
    history = made_history(PLAIN, 60, states=False)
    trials = [
        replace(t, observations=trial(0, t.config, [-abs(t.config["depth"] - 6)]).observations) for t in history.trials
    ]
    weights = ClassicalAdvisor(PLAIN).importances(replace(history, trials=tuple(trials)))
    assert next(iter(weights)) == "depth"
    assert weights["depth"] > 0.5
    assert sum(weights.values()) == pytest.approx(1)


def test_no_importances_where_nothing_can_be_told():
    assert ClassicalAdvisor(PLAIN).importances(History(MAXIMISE)) == {}
    alike = tuple(trial(i, PLAIN.default, [0.5]) for i in range(10))
    assert ClassicalAdvisor(PLAIN).importances(History(MAXIMISE, alike, (), 3, 0, 4)) == {}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_every_space_has_its_insight(space):
    history = made_history(space, 20)
    found = insight_of(space)(history)
    if found is not None:
        assert {c.name for c in found.contrasts} == set(space.searched)
        assert found.suggestion is None or not space.problems(found.suggestion)


def test_the_suggestion_is_the_optimisers_and_none_when_all_is_tried():
    history = made_history(PLAIN, 20)
    assert insight_of(PLAIN, 3)(history).suggestion == ClassicalAdvisor(PLAIN, 3).propose(history, 1)[0].config
    everything = [trial(i, c, [0.1 * i]) for i, c in enumerate(TINY.configurations(100))]
    repeated = [trial(10 + i, t.config, [0.3]) for i, t in enumerate(everything)]
    done = History(MAXIMISE, (*everything, *repeated), (), 3, 0, 1)
    assert insight_of(TINY)(done).suggestion is None


def test_the_suggestion_is_not_what_waits_already():
    history = made_history(PLAIN, 20)
    first = insight_of(PLAIN)(history).suggestion
    waiting = replace(history, pending=(proposed(first),))
    assert insight_of(PLAIN)(waiting).suggestion != first


def test_a_long_history_is_read_as_far_as_the_optimiser_reads_it():
    assert insight_of(PLAIN)(made_history(PLAIN, 1300, states=False)).trials == MAX_TOLD


def test_equal_histories_give_equal_insights_in_every_process():
    code = (
        "from small_runs import CONDITIONAL, made_history\n"
        "from automl_gpt_ray.advisors.insight import insight_of\n"
        "print(insight_of(CONDITIONAL, 5)(made_history(CONDITIONAL, 40)))"
    )
    here = str(insight_of(CONDITIONAL, 5)(made_history(CONDITIONAL, 40)))
    for hashing in ("1", "2"):
        environment = {"PYTHONHASHSEED": hashing, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
        told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == here
    assert here != str(insight_of(CONDITIONAL, 6)(made_history(CONDITIONAL, 40)))
