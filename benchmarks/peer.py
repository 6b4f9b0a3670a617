"""A second witness: Syne Tune's own schedulers in Syne Tune's own simulator, on the same problems.

    pip install 'automl-gpt-ray[peers]'

Nothing of ours runs here but the lookup of a curve, so that agreement of its random search and ASHA with
Ray's in our simulator speaks for both simulators, and their other methods stand in the same table.
Conditions between hyperparameters are not told to it: it sees every name, and what is inactive is left
out at the lookup.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, Parameter
from automl_gpt_ray.records import Config
from automl_gpt_ray.space import SearchSpace
from benchmarks.problems import Problem
from benchmarks.replay import Evaluation, Replay

STEP, SECONDS, LIMIT = "step", "elapsed_s", "max_steps"
INSTALLED = importlib.util.find_spec("syne_tune") is not None


def replay(problem: Problem, method: str, seed: int, workers: int, epochs: int, grace: int, eta: int) -> Replay:
    """Run one of Syne Tune's methods (`RandomSearch`, `ASHA`, `BOHB`, ...) and return what happened.

    Args:
        problem: What is tuned.
        method: Name of a class in `syne_tune.optimizer.baselines`.
        seed: Of the run.
        workers: Trials at once.
        epochs: Budget.
        grace: ASHA's, where the method has one.
        eta: Likewise, the reduction factor.
    """
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend

    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    np.random.seed(seed)  # noqa: NPY002 - Syne Tune draws from NumPy's global generator
    backend = UserBlackboxBackend(_blackbox(problem), SECONDS, LIMIT, seed=0)
    backend.set_path(results_root=tempfile.mkdtemp(prefix="peer_"))
    callback = SimulatorCallback()
    tuner = Tuner(
        trial_backend=backend,
        scheduler=_scheduler(problem, method, seed, grace, eta),
        stop_criterion=StoppingCriterion(max_num_evaluations=2 * epochs),
        n_workers=workers,
        sleep_time=0,
        callbacks=[callback],
        save_tuner=False,
        print_update_interval=1e9,
        results_update_interval=1e9,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.run()
    # It counts reports of stopped trials too, which nobody sees: twice as many, and cut at the budget.
    return _read(problem, callback, epochs)


def _scheduler(problem: Problem, method: str, seed: int, grace: int, eta: int) -> Any:
    from syne_tune.optimizer import baselines

    brief = problem.brief
    metric, minimise = brief.objective.metric, brief.objective.mode == "min"
    space = {**_space(brief.space), LIMIT: brief.max_steps}
    shared: dict[str, Any] = {
        "config_space": space,
        "do_minimize": minimise,
        "random_seed": seed,
        "points_to_evaluate": [_filled(brief.space, brief.space.default)],
    }
    if method == "RandomSearch":
        return baselines.RandomSearch(metrics=[metric], **shared)
    rungs = {"time_attr": STEP, "max_t": brief.max_steps, "grace_period": grace, "reduction_factor": eta}
    return getattr(baselines, method)(metric=metric, **rungs, **shared)


def _blackbox(problem: Problem) -> Any:
    from syne_tune.blackbox_repository.blackbox import Blackbox
    from syne_tune.config_space import randint

    brief = problem.brief

    class Curves(Blackbox):  # type: ignore[misc]  # untyped
        """Answers with our problem's curve: all steps at once, as the back end wants it."""

        def __init__(self) -> None:
            names = [brief.objective.metric, SECONDS]
            super().__init__(_space(brief.space), {STEP: randint(1, brief.max_steps)}, names)

        @property
        def fidelity_values(self) -> Any:
            return np.arange(1, brief.max_steps + 1)

        def _objective_function(
            self, configuration: dict[str, Any], fidelity: Any = None, seed: int | None = None
        ) -> Any:
            return np.array(list(_curve(problem, configuration)))

    return Curves()


def _curve(problem: Problem, configuration: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Yield value and seconds so far of every step; a diverged one keeps the median value it had at best."""
    brief, curve = problem.brief, problem.open(_active(problem.brief.space, configuration))
    spent, value = 0.0, problem.median
    for step in range(1, brief.max_steps + 1):
        if step <= problem.length(curve):
            spent += problem.seconds(curve, step)
            seen = float(problem.report(curve, step)[brief.objective.metric])
            value = seen if np.isfinite(seen) else problem.median
        yield value, spent


def _read(problem: Problem, callback: Any, epochs: int) -> Replay:
    frame = callback.dataframe().sort_values("st_tuner_time", kind="stable").head(epochs)
    names = list(problem.brief.space.parameters)
    seen = []
    for row in frame.to_dict("records"):
        curve = problem.open(
            _active(problem.brief.space, {n: row[f"config_{n}"] for n in names if f"config_{n}" in row})
        )
        value = float(row[problem.brief.objective.metric])
        seen.append(Evaluation(float(row["st_tuner_time"]), int(row["trial_id"]), int(row[STEP]), value, curve, value))
    return Replay(seen, [], [], seen[-1].seconds if seen else 0.0, "epochs")


def _space(space: SearchSpace) -> dict[str, Any]:
    return {name: _domain(parameter) for name, parameter in space.searched.items()}


def _domain(parameter: Parameter) -> Any:
    from syne_tune import config_space as cs

    if isinstance(parameter, ConstantParameter):
        return parameter.value
    if isinstance(parameter, ChoiceParameter):
        return cs.choice(list(parameter.choices))
    kinds: dict[tuple[bool, bool], Callable[..., Any]] = {
        (True, True): cs.loguniform,
        (True, False): cs.uniform,
        (False, True): cs.lograndint,
        (False, False): cs.randint,
    }
    return kinds[isinstance(parameter, FloatParameter), parameter.log](parameter.low, parameter.high)


def _filled(space: SearchSpace, config: Config) -> dict[str, Any]:
    return {name: config.get(name, parameter.start) for name, parameter in space.searched.items()}


def _active(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in config.items() if name in space}
    return space.clip({name: _plain(value) for name, value in known.items()})[0]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
