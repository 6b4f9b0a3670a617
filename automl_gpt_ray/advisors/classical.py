"""The classical advisor: Optuna's samplers behind our seam. The only file that knows Optuna.

Each call rebuilds a study from the history and asks it, so equal histories give equal proposals and
nothing needs saving. What Optuna is told:

* a completed trial: its best value;
* an early-stopped trial: PRUNED, with its value at the step it reached, never as complete;
* a failed trial: PRUNED without a value, which TPE ranks below everything (a FAIL would be forgotten);
* one whose worker or node died: not at all, for that says nothing of its configuration;
* running and queued configurations: RUNNING, so that `constant_liar` keeps new ones away from them.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from automl_gpt_ray.advisors.advisor import forecast, generator, proposal, taken, untried
from automl_gpt_ray.curves.reading import Reader
from automl_gpt_ray.limits import NO_LIMITS, Limits, measured
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter, IntParameter, Parameter
from automl_gpt_ray.records import Config, History, Proposal, Scalar, TrialRecord, TrialState
from automl_gpt_ray.space import SearchSpace

SOURCE = "classical"
LOST = "lost"
"""The class of failure of a trial whose worker or node died, see `ray_tune.failure`."""
SamplerName = Literal["tpe", "gp", "random"]
# Rebuilding a larger study holds the interpreter for longer than Ray's event loop can wait, and teaches the
# sampler little: the best and the latest are kept.
MAX_TOLD = 400
TRIES = 20
WORST = 1e6
WIDEST = 10**6
"""Whole numbers that are told apart: the Gaussian process lists them all."""

_LITE = re.compile(r"sqlite(\+\w+)?:///")

# Said once, for good and about this file only: `warnings.catch_warnings` would take the filters away
# from other threads. Before Python 3.12 a warning names Optuna's own file instead of its caller's.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", module=__name__.replace(".", r"\.") + "$")
warnings.filterwarnings("ignore", category=ExperimentalWarning, module=r"optuna\.")
warnings.filterwarnings("ignore", category=UserWarning, module=r"optuna\.importance\.")


@final
class ClassicalAdvisor:
    """Proposes what an Optuna sampler suggests.

    Args:
        space: The search space.
        seed: Of the run.
        sampler: `tpe` (multivariate, grouped, constant liar), `gp` (Gaussian process; needs torch) or
            `random` (the baseline).
        startup: Random suggestions before the sampler models anything.
        limits: What the chosen trial must keep to: told to `tpe` and `gp` as constraints.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        sampler: SamplerName = "tpe",
        startup: int = 5,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.seed, self.sampler, self.startup = seed, sampler, startup
        self._space, self._reader, self._limits = space, Reader(space), limits
        self._distributions = to_optuna(space)

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` suggestions, fewer only when the space is exhausted, or nearly so and large."""
        known, found = taken(history), list[Proposal]()
        study, rng = self._study(history), generator(self.seed, history, salt=4)
        for index in range(n):
            config = untried(self._space, known, lambda: self._ask(study), rng, TRIES)
            if config is None:
                break
            found.append(proposal(SOURCE, history, index, config, self._reason(history)))
            known.add(found[-1].key)
        return forecast(found, history, self._reader)

    def importances(self, history: History) -> dict[str, float]:
        """Return how much each hyperparameter decides whether a trial is among the best quarter.

        Shares that sum to 1, largest first, by PED-ANOVA (arXiv 2304.10255) over the completed trials
        that the sampler is told of. Empty where nothing can be said: too few trials, or all alike.
        """
        from optuna.importance import PedAnovaImportanceEvaluator  # brings scikit-learn: seconds on a busy machine

        weights = PedAnovaImportanceEvaluator(target_quantile=0.25).evaluate(self._study(history))
        total = sum(weights[name] for name in sorted(weights))
        if not total > 0:
            return {}
        return dict(sorted(((name, w / total) for name, w in weights.items()), key=lambda item: (-item[1], item[0])))

    def _reason(self, history: History) -> str:
        finished = sum(1 for t in history.trials if t.state.ended)
        if finished < self.startup or self.sampler == "random":
            return "drawn at random: too few results to model yet" if self.sampler != "random" else "drawn at random"
        return f"{self.sampler.upper()} suggestion from {finished} finished trials"

    def _study(self, history: History) -> optuna.Study:
        seed = int(generator(self.seed, history, salt=1).integers(2**31))
        up = history.objective.mode == "max"
        direction = StudyDirection.MAXIMIZE if up else StudyDirection.MINIMIZE
        study = optuna.create_study(sampler=self._make_sampler(seed), direction=direction)
        study.add_trials([t for t in self._told(history) if t is not None])
        return study

    def _make_sampler(self, seed: int) -> BaseSampler:
        if self.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if self.sampler == "gp":
            return GPSampler(seed=seed, n_startup_trials=self.startup, deterministic_objective=False)
        return TPESampler(seed=seed, n_startup_trials=self.startup, multivariate=True, group=True, constant_liar=True)

    def _told(self, history: History) -> list[FrozenTrial | None]:
        trials = [self._frozen(trial, history) for trial in worth_telling(history)]
        return trials + [self._running(proposal.config) for proposal in history.pending]

    def _frozen(self, trial: TrialRecord, history: History) -> FrozenTrial | None:
        if trial.state is TrialState.FAILED and trial.failure == LOST:
            return None
        if not trial.state.ended:
            return self._running(trial.config)
        value, broken = trial.value(history.objective), self._constraints(trial, history)
        if trial.state is TrialState.COMPLETED and value is not None:
            return self._create(trial.config, OptunaState.COMPLETE, value=value, constraints=broken)
        reached = {trial.last_step: value} if value is not None and trial.state is TrialState.STOPPED else {}
        return self._create(trial.config, OptunaState.PRUNED, intermediate=reached, constraints=broken)

    def _constraints(self, trial: TrialRecord, history: History) -> dict[str, float]:
        """Return limit to how far it is broken; a trial that does not tell is told as one that just keeps to it."""
        found = measured(trial.observations, history.objective.metric, trial.value(history.objective))
        limits = self._limits.limits
        # Finite, and above 0 where the limit is broken.
        return {x.name: max(-WORST, min(WORST, x.margin(found[x.name]) if x.name in found else 0.0)) for x in limits}

    def _running(self, config: Config) -> FrozenTrial | None:
        return self._create(config, OptunaState.RUNNING)

    def _create(
        self,
        config: Config,
        state: OptunaState,
        value: float | None = None,
        intermediate: dict[int, float] | None = None,
        constraints: dict[str, float] | None = None,
    ) -> FrozenTrial | None:
        # A configuration from outside the space (an imported one) is no evidence about the space.
        if self._space.problems(config):
            return None
        names = [n for n in config if n in self._distributions]
        trial: FrozenTrial = create_trial(
            state=state,
            value=value,
            params={n: _to_optuna_value(self._space.parameters[n], config[n]) for n in names},
            distributions={n: self._distributions[n] for n in names},
            intermediate_values=intermediate or {},
            constraints=constraints or {},
        )
        if state is OptunaState.RUNNING:
            trial.datetime_start = datetime.now()
        return trial

    def _ask(self, study: optuna.Study) -> dict[str, Scalar]:
        trial = study.ask()
        return self._space.build(lambda name, parameter: _suggest(trial, name, parameter, self._distributions))


def to_optuna(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the searched parameters as Optuna distributions; conditions are kept by `SearchSpace.build`.

    Choices become indices' labels by position, so that any scalar (None, True beside 1) survives; a
    quantised log range becomes a continuous one whose values are rounded afterwards. So does a grid that is not exact
    in decimals, and a range of whole numbers so wide that samplers which list their values need gigabytes.
    """
    return {name: _distribution(parameter) for name, parameter in space.searched.items()}


def from_optuna(distributions: dict[str, BaseDistribution]) -> SearchSpace:
    """Return Optuna distributions as a search space without defaults or conditions."""
    return SearchSpace({name: _parameter(distribution) for name, distribution in distributions.items()})


def stored_study(storage: str, name: str | None = None) -> optuna.Study:
    """Return a study that somebody kept.

    Args:
        storage: As Optuna names it: `sqlite:///study.db`, or a journal file.
        name: Of the study; may be None where there is only one.

    Raises:
        FileNotFoundError: There is no such file; Optuna would make an empty one.
        KeyError: There is no such study.
        ValueError: Several are there and none is named, or the storage is none.
    """
    file = _LITE.sub("", storage).partition("?")[0] if _LITE.match(storage) else storage
    if "://" not in file and not Path(file).is_file():
        raise FileNotFoundError(f"there is no file {file}")
    place = storage if "://" in storage else JournalStorage(JournalFileBackend(storage))
    return optuna.load_study(study_name=name, storage=place)


def _distribution(parameter: FloatParameter | IntParameter | ChoiceParameter) -> BaseDistribution:
    if isinstance(parameter, ChoiceParameter):
        return CategoricalDistribution(list(range(len(parameter.choices))))
    if isinstance(parameter, FloatParameter):
        if _exact(parameter):  # up to the grid's own end: Optuna warns of one that is none
            return FloatDistribution(parameter.low, parameter.clip(parameter.high), step=parameter.step)
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if parameter.grid_size > WIDEST:
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    if parameter.log:
        return IntDistribution(parameter.low, parameter.high, log=True)
    return IntDistribution(parameter.low, parameter.clip(parameter.high), step=parameter.step)


def _exact(parameter: FloatParameter) -> bool:
    """Return whether Optuna's grid, which it reckons in decimals, holds every value of ours."""
    if parameter.log or not parameter.step or not parameter.grid_size:
        return False
    low, high, step = parameter.low, parameter.high, parameter.step
    short = all(float(f"{x:.12g}") == x for x in (low, high, step))
    top = low + (parameter.grid_size - 1) * step
    near = abs(float(parameter.clip(top)) - top) <= 1e-9 * step
    return short and near and math.ulp(max(abs(low), abs(high))) <= 1e-10 * step


def _parameter(distribution: BaseDistribution) -> Parameter:
    if isinstance(distribution, FloatDistribution):
        return FloatParameter(
            low=distribution.low, high=distribution.high, log=distribution.log, step=distribution.step
        )
    if isinstance(distribution, IntDistribution):
        return IntParameter(low=distribution.low, high=distribution.high, log=distribution.log, step=distribution.step)
    if isinstance(distribution, CategoricalDistribution):
        return ChoiceParameter(choices=list(distribution.choices))
    raise TypeError(f"unknown Optuna distribution {distribution!r}")


def _suggest(
    trial: optuna.Trial, name: str, parameter: Parameter, distributions: dict[str, BaseDistribution]
) -> Scalar:
    distribution = distributions.get(name)
    if distribution is None:
        return parameter.start
    if isinstance(distribution, FloatDistribution):
        value: Scalar = trial.suggest_float(
            name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
        return parameter.clip(value)
    if isinstance(distribution, IntDistribution):
        value = trial.suggest_int(
            name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
        return parameter.clip(value)
    assert isinstance(parameter, ChoiceParameter)  # noqa: S101 - made so by `_distribution`
    return parameter.choices[trial.suggest_categorical(name, list(range(len(parameter.choices))))]


def _to_optuna_value(parameter: Parameter, value: Scalar) -> Scalar:
    return parameter.index(value) if isinstance(parameter, ChoiceParameter) else value


def worth_telling(history: History) -> Sequence[TrialRecord]:
    """Return the trials Optuna is told of: all of them, or the MAX_TOLD / 2 latest and as many of the best others."""
    if len(history.trials) <= MAX_TOLD:
        return history.trials
    sign = history.objective.sign
    older, latest = history.trials[: -MAX_TOLD // 2], history.trials[-MAX_TOLD // 2 :]
    values = [(t.value(history.objective), t) for t in older]
    ranked = sorted(((v, t) for v, t in values if v is not None), key=lambda pair: -sign * pair[0])
    return [*(t for _, t in ranked[: MAX_TOLD // 2]), *latest]
