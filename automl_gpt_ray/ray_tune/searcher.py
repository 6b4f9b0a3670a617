"""`LLMSearch`: the advisors as a Ray Tune searcher, for anybody's `tune.Tuner`.

    search = LLMSearch(llm=OpenAIClient("gpt-5"), default={"lr": 1e-2, "layers": 2})
    space = {"lr": tune.loguniform(1e-4, 1e-1), "layers": tune.randint(1, 5)}
    config = tune.TuneConfig(metric="accuracy", mode="max", num_samples=50, search_alg=search)
    tune.Tuner(trainable, param_space=space, tune_config=config).fit()

`suggest` runs inside Ray's event loop, so it only takes what the prefetcher has ready. Nothing is proposed here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from automl_gpt_ray.advisors.classical import SamplerName
from automl_gpt_ray.advisors.mixture import PRIORS, Mixture
from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.budget import Budget, Ending
from automl_gpt_ray.cards import DataCard, ModelCard, Request
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import ResultReported
from automl_gpt_ray.helm import steer
from automl_gpt_ray.journal import FILE_NAME
from automl_gpt_ray.listening import Listener
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.opening import begins, open_book, open_supply, settle
from automl_gpt_ray.outages import OutagePolicy
from automl_gpt_ray.prefetch import Prefetcher
from automl_gpt_ray.ray_tune.arguments import check_arguments, seed_of, whole
from automl_gpt_ray.ray_tune.domains import from_ray, nest
from automl_gpt_ray.ray_tune.results import Clocks, ended, is_told, observation, stated_steps
from automl_gpt_ray.ray_tune.scheduler import new_is_due
from automl_gpt_ray.ray_tune.snapshot import bring_journal, keep_journal, known_trials
from automl_gpt_ray.recollection import Recollection
from automl_gpt_ray.records import Objective, TrialState
from automl_gpt_ray.revision import heir
from automl_gpt_ray.run_budget import RunBudget, completed, rays_limits, within
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import SteeringRule
from automl_gpt_ray.storage import Place
from automl_gpt_ray.watch import Watch

# Threads, locks and files: they stay behind when Ray pickles the searcher with the Tuner.
_LIVE = ("_people", "_book", "_supply", "_limits", "_watch", "_steering", "slots", "listener")
UNKNOWN_STEPS = 100  # Tune's own word for "no limit known": a run whose trials' length nobody stated


class LLMSearch(Searcher):
    """A Ray Tune searcher in which a language model, Optuna and local moves share the trials.

    Args:
        llm: The language model; without it the classical optimiser and local moves share the trials.
        model_card: Gives the search space, its default and what the model is. Leave `param_space` empty.
        data_card: What the data is. `request`: Evaluation metrics, constraints, additional requests.
        default: The first trial's configuration, for a `param_space`; by default the centre of each range.
        metric: Optimised; by default that of the cards, else of `TuneConfig`. `mode`: `max` or `min`, as `metric`.
        max_steps: Steps of a full training; by default from `RunConfig(stop=...)`, else the Model Card's.
        step_key: Result key that counts steps; by default what `stop` limits, else `step`, else `training_iteration`.
        sampler: The classical optimiser: `tpe`, `gp` or `random`.
        max_prompt_tokens: Most in a prompt, as estimated. `mixture`: Advisors of your own; needs `model_card`.
        budget: What the run may use (see `StopAtBudget`); by default Ray's `num_samples` and `time_budget_s`.
        outages: What is done while the language model cannot be asked.
        priors: Source to its first share of the trials. `gpus`: Of each trial, for a budget of GPU-hours.
        journal: Folder of the journal; by default a temporary one, kept in Ray's snapshots.
        seed: Of everything random; None is any. `about`: For the journal's first line. `recollection`: Of similar data.
    """

    def __init__(
        self,
        llm: LLMClient | None = None,
        *,
        model_card: ModelCard | None = None,
        data_card: DataCard | None = None,
        request: Request | None = None,
        default: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        max_steps: int | None = None,
        step_key: str | None = None,
        sampler: SamplerName = "tpe",
        max_prompt_tokens: int | None = None,
        mixture: Mixture | None = None,
        budget: Budget | None = None,
        gpus: float = 0.0,
        outages: OutagePolicy | None = None,
        priors: Mapping[str, float] = PRIORS,
        journal: str | Path | None = None,
        seed: int | None = 0,
        about: Mapping[str, Any] | None = None,
        recollection: Recollection | None = None,
    ) -> None:
        check_arguments(locals())
        super().__init__(metric=metric, mode=mode)
        self._llm, self._sampler, self._seed, self._limit = llm, sampler, seed_of(seed), whole(max_prompt_tokens)
        self._model_card, self._data_card, self._request = model_card, data_card, request or Request()
        self._default, self._max_steps, self._step_key = default, whole(max_steps), step_key
        self._mixture, self._priors, self._about, self._gpus = mixture, dict(priors), dict(about or {}), gpus
        self._journal_folder = Path(journal).absolute() if journal else None
        self._space = model_card.space if model_card else None
        self._budget, self._outages, self._recollection = budget or Budget(), outages, recollection
        self.listener: Callable[[], object] | None = None
        self._limits: RunBudget | None = None
        self._rays, self._clocks, self._settled = dict[str, float | None](), Clocks(), False
        self.closed = frozenset[str]()
        self.rule: SteeringRule | None = None
        self.slots: Callable[[], int] | None = None
        self._steering: Steering | None = None
        self._book: Book | None = None
        self._watch: Watch | None = None
        self._supply: Prefetcher | None = None
        self._people: Listener | None = None
        if model_card is not None and data_card is not None and metric is None:
            told = Brief.of(model_card, data_card, self._request).objective
            self._metric, self._mode = told.metric, told.mode

    @property
    def book(self) -> Book:
        """What has happened so far; opened on first use."""
        if self._book is None:
            self._book = self._open_book()
        return self._book

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take the search space and the metric from the Tuner (Ray calls this before the first trial)."""
        if metric is None or self._metric in (None, metric):  # the direction of another metric is not ours
            self._metric, self._mode = self._metric or metric, self._mode or mode
        if self._max_steps is None:
            self._step_key, self._max_steps = stated_steps(spec.get("stop"), self._step_key)
        self._rays = rays_limits(spec)
        if self._space is not None:  # of a Model Card: `param_space` may hold constants but no second space
            return not from_ray(config).searched
        self._space = from_ray(config, self._default)
        return True

    def share(self, rule: SteeringRule) -> None:
        """Agree that a `ReviewScheduler` says when a new trial is due; before the first suggestion."""
        if self.rule != rule:
            self.close()
            self.rule = rule

    @property
    def steering(self) -> Steering | None:
        """Decides what goes on; None where nobody agreed to that. A run taken up again may ask before `suggest`."""
        if self.rule and self._supply is None:
            self._start()
        return self._steering

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a str
        """Return the next configuration at once, None when none is ready, FINISHED at the end."""
        supply, limits = self._supply or self._start(), self.limits
        if self.listener:  # Ray may ask for minutes without calling back anybody else
            self.listener()
        proposal = heir(self.book, trial_id) if self.rule and not limits.failed else None
        if proposal is None and not limits.ending(supply) and new_is_due(self, lambda: supply.dry):
            proposal = supply.take(trial_id)
        if supply.exhausted and not limits.ended:
            limits.end(Ending("space", "every configuration of the search space was tried"))
        if proposal is None:
            return str(Searcher.FINISHED) if limits.ended else None
        limits.saw(trial_id)
        return nest(proposal.config)

    def stops_trials(self) -> bool:
        """Return whether running trials must stop now: a budget is spent, or the outage policy ends the run."""
        stops = self._supply is not None and bool(self.limits.ending(self._supply)) and self.limits.stops_trials()
        if stops and self.listener:  # nobody else will be called back
            self.listener()
        return stops

    @property
    def limits(self) -> RunBudget:
        """What the run has used of its budget, and what ended it."""
        if self._limits is None:
            told = self.book.started.about.get("ray") if self.book.started else None
            self._limits = RunBudget(completed(self._budget, told or {}), self.book, self._gpus, self.book.seconds)
        return self._limits

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record one step of a trial; the same one twice counts once."""
        trial = self.book.trial(trial_id)
        if trial is None or trial_id in self.closed:
            return
        seen = self._clocks.total(trial, observation(result, self._step_key))
        if is_told(trial, seen):  # by the scheduler
            return
        self.book.record(ResultReported(trial_id, seen))
        self.limits.saw(trial_id)
        if self._steering:
            self._steering.changed()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record how a trial ended: completed, stopped early or failed."""
        trial = self.book.trial(trial_id)
        if trial is None or trial_id in self.closed:
            return
        if not error and trial.state.ended and (result is None or trial.state is TrialState.STOPPED):
            return  # it was decided
        seen = self._clocks.total(trial, observation(result, self._step_key)) if result and not error else None
        if seen and seen.step != trial.last_step:
            self.book.record(ResultReported(trial_id, seen))
        self.book.record(ended(trial, seen, self.brief, error))
        self.limits.saw(trial_id)
        if self._supply:
            self._supply.changed()

    def save(self, checkpoint_path: str) -> None:
        """Keep the journal in Ray's snapshot."""
        keep_journal(self.book_path, Path(checkpoint_path))

    def restore(self, checkpoint_path: str) -> None:
        """Rebuild everything from the journal, or from the snapshot's where that is gone; then `reconcile`."""
        bring_journal(self.book_path, Path(checkpoint_path))
        if self._supply:  # a book that was only read stays open: opened again, it would count as resumed twice
            self.close()
        self.reconcile(known_trials(Place.at(Path(checkpoint_path).parent)))

    def reconcile(self, known: Mapping[str, bool] | None) -> None:
        """Settle what the journal and Ray disagree about after a kill.

        A trial under way that is not in `known` (id to whether Ray takes it for ended; None says nothing) is trained
        anew. One that has ended but that Ray takes up again is in `closed`: its further results are ignored.
        """
        self.closed, self._settled = frozenset[str]() if known is None else settle(self.book, known), True
        self._limits = None  # counted anew: a trial that was sent back has not begun

    def stop_asking(self) -> None:
        """Stop the background workers: the search is over, and no further reply would be of use."""
        for worker in (self._people, self._supply, self._steering):
            if worker:
                worker.stop()

    def close(self) -> None:
        """Stop the background workers and close the journal; both open again on use."""
        self.stop_asking()
        if self._book:
            self._book.close()
        self._people = self._supply = self._book = self._limits = self._watch = self._steering = None

    @property
    def book_path(self) -> Path:
        """Where the journal lies."""
        self._journal_folder = self._journal_folder or Path(tempfile.mkdtemp(prefix="automl_gpt_ray_"))
        return self._journal_folder / FILE_NAME

    @property
    def brief(self) -> Brief:
        """What is being tuned, as the advisors are told.

        Raises:
            JobError: The search space, the metric, its direction or, where trials are steered, max_steps is not known.
        """
        if self._space is None or not self._metric or not self._mode:
            missing = "param_space" if self._space is None else "mode" if self._metric else "metric"
            remedy = "give the Tuner a `param_space`, else LLMSearch a Model Card, `metric` and `mode`: Ray will not"
            raise JobError("LLMSearch", [Problem(missing, "must be known before the first trial", "", remedy)])
        model = self._model_card
        if self.rule and model is None and not self._max_steps:
            rule = "must be known for `ReviewScheduler`, which asks what a trial promises for its last step"
            remedy = "say `LLMSearch(max_steps=...)` or `RunConfig(stop={'training_iteration': ...})`"
            raise JobError("LLMSearch", [Problem("max_steps", rule, "", remedy)])
        return Brief(
            space=self._space,
            objective=Objective(str(self._metric), "min" if self._mode == "min" else "max"),
            max_steps=model.steps(self._max_steps) if model else self._max_steps or UNKNOWN_STEPS,
            step=model.step if model else "step",
            model=model,
            data=self._data_card,
            request=self._request,
            recollection=self._recollection,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **dict.fromkeys(_LIVE)}

    def _start(self) -> Prefetcher:
        book, brief, folder = self.book, self.brief, self.book_path.parent
        self._settled = self._settled or begins(book, folder)
        # Before anything is proposed: what was said while nobody drove the run binds the first proposals too.
        Listener(book, brief.space, folder, lambda: None).look()
        llm = self._llm and within(self._llm, self._budget, book.spending)
        told = (brief, llm, self._sampler, self._seed, book.record, self._limit, self._priors)
        mixture = self._mixture or assemble(*told, elsewhere=True, by_curves=self.rule is not None)
        self._supply = open_supply(book, brief, mixture, self._seed, self._outages, self.limits.urgent)
        if self.rule and self._watch:
            self._steering = steer(book, brief, self._watch, self.rule, self.limits, self._supply, llm, self._limit)
        self._people = Listener(book, brief.space, folder, self._supply.changed)
        self._people.start()
        return self._supply

    def _open_book(self) -> Book:
        brief, about = self.brief, {"ray": self._rays, **self._about}
        watch = self._watch = Watch(brief) if self.rule else None
        return open_book(self.book_path, brief, self._seed, about, watch.note if watch else None)
