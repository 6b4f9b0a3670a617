"""The methods of the table: a name, the settings in words, and a factory.

    pair = METHODS["tpe+asha"].make(Setting(problem, seed=0))
    Simulator(problem, pair.searcher, pair.scheduler, workers=4)

Every method starts from the same default configuration. A method that shares state between searcher and
scheduler makes both in its factory.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, HyperBandScheduler, TrialScheduler
from ray.tune.search import Searcher

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.curves.competitors import competitors
from automl_gpt_ray.curves.curve_model import CurveModel, CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.learned.hybrid import Hybrid
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.ray_tune.domains import to_ray
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.records import History
from automl_gpt_ray.space import SearchSpace
from automl_gpt_ray.steering_rule import SteeringRule
from benchmarks.freeze_thaw import PlannedSearch
from benchmarks.language import Metered
from benchmarks.optuna_pair import gp, pruned, ray_optuna, tpe
from benchmarks.problems import Problem, Table
from benchmarks.replay import Replay
from benchmarks.searchers import AdvisorSearch, RandomSearch
from benchmarks.told import Seated, ToldLLMSearch

logging.getLogger("ray.tune.schedulers").setLevel(logging.WARNING)  # HyperBand tells of every bracket

GRACE, ETA = 2, 3
"""Settings of every ASHA here: chosen for LCBench's 52 epochs, and used unchanged elsewhere."""


Make = Callable[[Callable[[History], CurveModel]], Advisor]
Makers = Callable[[], Sequence[CurveModelMaker]]


@dataclass(frozen=True)
class Setting:
    """What a method is made for.

    Attributes:
        problem: What is tuned.
        seed: Of the run.
        workers: Trials at once.
        epochs: Budget, in steps over all trials.
        llm: The language model, if any.
        others: Tables of the same suite: experience that some may draw on, this one's never.
    """

    problem: Problem
    seed: int = 0
    workers: int = 4
    epochs: int = 1040
    llm: LLMClient | None = None
    others: Sequence[Table] = ()


@dataclass(frozen=True)
class Pair:
    """A searcher and a scheduler, and options of `Simulator` that they need."""

    searcher: Searcher
    scheduler: TrialScheduler = field(default_factory=FIFOScheduler)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: Of the row.
        settings: Its settings in words.
        make: Makes a fresh pair; a peer with a simulator of its own returns what happened there.
        needs_llm: Whether it is run with a language model only.
        needs: Modules that must be installed.
    """

    name: str
    settings: str
    make: Callable[[Setting], Pair | Replay]
    needs_llm: bool = False
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The modules of `needs` that are not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]


def asha(setting: Setting) -> TrialScheduler:
    """Return Ray's ASHA for the problem's steps."""
    steps = setting.problem.brief.max_steps
    return AsyncHyperBandScheduler(max_t=steps, grace_period=min(GRACE, steps), reduction_factor=ETA)


def hyperband(setting: Setting) -> TrialScheduler:
    """Return Ray's HyperBand for the problem's steps."""
    return HyperBandScheduler(max_t=setting.problem.brief.max_steps, reduction_factor=ETA)


def _random(setting: Setting) -> Searcher:
    return RandomSearch(setting.problem.brief.space, setting.seed)


def _tpe(setting: Setting) -> Searcher:
    return ray_optuna(setting.problem, tpe(setting.seed))


def _gp(setting: Setting) -> Searcher:
    return ray_optuna(setting.problem, gp(setting.seed))


def _classical(setting: Setting) -> Searcher:
    brief = setting.problem.brief
    return AdvisorSearch(brief, ClassicalAdvisor(brief.space, setting.seed), setting.seed)


def _mixture(setting: Setting) -> Searcher:
    brief = setting.problem.brief
    return AdvisorSearch(brief, assemble(brief, None, "tpe", setting.seed), setting.seed)


def _with_model(setting: Setting) -> Searcher:
    brief, client = setting.problem.brief, setting.llm
    latency = client.latency if isinstance(client, Metered) else lambda: 0.0
    return AdvisorSearch(brief, assemble(brief, client, "tpe", setting.seed), setting.seed, latency)


def _llm_search(setting: Setting) -> Pair:
    brief = setting.problem.brief
    search = ToldLLMSearch(default=brief.space.default, max_steps=brief.max_steps, seed=setting.seed)
    search.set_search_properties(brief.objective.metric, brief.objective.mode, to_ray(brief.space))
    return Pair(search, asha(setting), {"patience_s": 2.0})


def _bohb(setting: Setting) -> Pair:
    from ray.tune.schedulers import HyperBandForBOHB
    from ray.tune.search.bohb import TuneBOHB

    brief = setting.problem.brief
    # It knows no conditions: what is inactive is left out at the lookup.
    plain = {name: p.model_copy(update={"when": {}}) for name, p in brief.space.searched.items()}
    start = {name: brief.space.default.get(name, p.start) for name, p in plain.items()}
    search = TuneBOHB(
        TuneBOHB.convert_search_space(to_ray(SearchSpace(plain))),
        metric=brief.objective.metric,
        mode=brief.objective.mode,
        points_to_evaluate=[start],
        seed=setting.seed,
    )
    return Pair(search, HyperBandForBOHB(max_t=brief.max_steps, reduction_factor=ETA))


def _syne_tune(method: str) -> Callable[[Setting], Replay]:
    def run(setting: Setting) -> Replay:
        from benchmarks.peer import replay

        return replay(setting.problem, method, setting.seed, setting.workers, setting.epochs, GRACE, ETA)

    return run


def _process() -> Sequence[CurveModelMaker]:
    return [FreezeThaw()]


def _combination() -> Sequence[CurveModelMaker]:
    return [Hybrid(LearnedForecaster.shipped())]


def _steered(makers: Makers, rule: SteeringRule | None = None) -> Callable[[Setting], Pair]:
    return lambda setting: _seated(setting, makers, rule or SteeringRule())


def _seated(setting: Setting, makers: Makers, rule: SteeringRule) -> Pair:
    space, seed = setting.problem.brief.space, setting.seed
    make = lambda model: Seated(FreezeThawAdvisor(space, seed, model=model), setting.problem)  # noqa: E731
    return _planned(setting, make, rule, makers)


def _freeze_thaw_late(setting: Setting) -> Pair:
    space, seed = setting.problem.brief.space, setting.seed
    return _planned(setting, lambda model: FreezeThawAdvisor(space, seed, model=model), SteeringRule())


def _planned(setting: Setting, make: Make, rule: SteeringRule, makers: Makers = _process) -> Pair:
    searcher = PlannedSearch(setting.problem.brief, make, setting.seed, setting.epochs, makers=makers)
    scheduler = ReviewScheduler(searcher, slots=setting.workers, rule=replace(rule, eta=ETA))
    return Pair(searcher, scheduler, {"ahead": 0})


def _own_gp(setting: Setting) -> Searcher:
    brief = setting.problem.brief
    return AdvisorSearch(brief, FreezeThawAdvisor(brief.space, setting.seed), setting.seed)


def _median_pruner(setting: Setting) -> Pair:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=GRACE)
    return Pair(*pruned(setting.problem, tpe(setting.seed), pruner))


def _hyperband_pruner(setting: Setting) -> Pair:
    steps = setting.problem.brief.max_steps
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps, reduction_factor=ETA)
    return Pair(*pruned(setting.problem, tpe(setting.seed), pruner))


def _both(
    name: str, settings: str, make: Callable[[Setting], Searcher], needs_llm: bool = False
) -> tuple[Method, Method]:
    """Return a searcher's two rows: alone, and with ASHA."""
    schedule = f"{settings}; Ray's ASHA, grace {GRACE}, reduction {ETA}, one bracket"
    return (
        Method(name, f"{settings}; every trial in full", lambda s: Pair(make(s)), needs_llm),
        Method(f"{name}+asha", schedule, lambda s: Pair(make(s), asha(s)), needs_llm),
    )


_TPE = "univariate, constant liar, 10 random at first"
_OWN = "multivariate, grouped, constant liar, 5 random at first; stopped trials told as pruned"

_PLANNED = "freeze-thaw: Gaussian process on extrapolated finals, expected improvement, ReviewScheduler"
_TRUSTED, _IGNORED = SteeringRule(forecasts="trusted"), SteeringRule(forecasts="ignored")
_UNAUDITED = replace(_TRUSTED, audit=0.0)
_UNTOLD = "cannot be told the row that was trained"
_SYNE, _BOHB = ("syne_tune",), ("hpbandster", "ConfigSpace")

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("default", "one trial", lambda s: Pair(RandomSearch(s.problem.brief.space, s.seed, only_default=True))),
        *_both("random", "seeded random search", _random),
        *_both("tpe", f"Ray's OptunaSearch, TPE: {_TPE}", _tpe),
        *_both("gp", "Ray's OptunaSearch, GPSampler: 10 random at first", _gp),
        Method("random+hyperband", f"Ray's HyperBand, reduction {ETA}", lambda s: Pair(_random(s), hyperband(s))),
        Method(
            "bohb",
            f"Ray's TuneBOHB, HyperBandForBOHB, reduction {ETA}; {_UNTOLD}",
            _bohb,
            needs=("hpbandster", "ConfigSpace"),
        ),
        *(
            Method(
                f"syne-{name.lower()}",
                f"Syne Tune's {name} in its own simulator; {_UNTOLD}",
                _syne_tune(name),
                needs=_SYNE,
            )
            for name in ("RandomSearch", "ASHA", "BOHB", "ASHACQR")
        ),
        Method("tpe+median-pruner", f"Optuna alone: TPE ({_TPE}), MedianPruner(5, warm-up {GRACE})", _median_pruner),
        Method("tpe+hyperband-pruner", f"Optuna alone: TPE ({_TPE}), HyperbandPruner(1, eta {ETA})", _hyperband_pruner),
        *_both("ours-classical", f"our classical advisor, TPE: {_OWN}", _classical),
        *_both("ours-mixture", f"our mixture: the classical advisor ({_OWN}) and local moves", _mixture),
        *_both(
            "ours-llm",
            f"our mixture with the language model, the classical advisor ({_OWN}), local moves",
            _with_model,
            True,
        ),
        Method("ours-freeze-thaw", f"{_PLANNED}; proposals moved before they are weighed", _steered(_process)),
        Method("ours-merit", f"{_PLANNED}; this, the network and their combination compete", _steered(competitors)),
        Method("ours-merit-unaudited", "ours-merit without the audit", _steered(competitors, SteeringRule(audit=0.0))),
        Method("ours-merit-trusted", "ours-merit, trusted from the start", _steered(competitors, _TRUSTED)),
        Method("ours-rungs", "ours-merit without forecasts: by rungs alone", _steered(competitors, _IGNORED)),
        Method("ours-combination", f"{_PLANNED} of the network", _steered(_combination)),
        Method("ours-freeze-thaw-trusted", f"{_PLANNED}; trusted at once, no audit", _steered(_process, _UNAUDITED)),
        Method("ours-freeze-thaw-late", f"{_PLANNED}; moved when it starts, as others' are", _freeze_thaw_late),
        *_both("ours-gp", "the freeze-thaw advisor: Gaussian process on extrapolated finals, 4 first", _own_gp),
        Method("llmsearch+asha", "LLMSearch itself, without a model, in real threads; ASHA", _llm_search),
    )
}
"""Every method by name."""
