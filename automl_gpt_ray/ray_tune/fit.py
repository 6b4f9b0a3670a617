"""The search of a job as Ray Tune runs it: trainable, searcher, scheduler, resources, snapshots."""

from __future__ import annotations

import copy
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune import CheckpointConfig
from ray.tune.error import TuneError
from ray.tune.experiment import Experiment, Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator
from ray.tune.stopper import CombinedStopper

from automl_gpt_ray.book import Book
from automl_gpt_ray.config import Job, LoadedJob
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.ray_tune.asha import ResumableASHA
from automl_gpt_ray.ray_tune.cluster import GIGABYTE, MEMORY
from automl_gpt_ray.ray_tune.enduring import Enduring
from automl_gpt_ray.ray_tune.failure import journal_error
from automl_gpt_ray.ray_tune.prepared import Prepared
from automl_gpt_ray.ray_tune.progress import Progress, Tell
from automl_gpt_ray.ray_tune.results import STEP
from automl_gpt_ray.ray_tune.run_place import EXPERIMENT, RunPlace
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler, fitting
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.snapshot import known_trials, mend_checkpoints
from automl_gpt_ray.ray_tune.stopping import StopAtBudget, StopClosed
from automl_gpt_ray.ray_tune.tracking import trackers
from automl_gpt_ray.ray_tune.trial import bind
from automl_gpt_ray.revision import RevisionRule
from automl_gpt_ray.steering_rule import SteeringRule

SNAPSHOT = "TUNE_GLOBAL_CHECKPOINT_S"
"""Environment variable with the least seconds between two of Ray's snapshots; ours where a user sets none."""
SNAPSHOT_S, BUCKET_SNAPSHOT_S = "1", "5"
MISSING = "did not include the specified metric"
"""What Ray says of a report without the metric; it says so in a traceback, and ends."""


def search(prepared: Prepared, searcher: LLMSearch, place: RunPlace, tell: Tell | None) -> None:
    """Run the trials of a job to their end; those that a killed driver left behind go on where they stood.

    Raises:
        JobError: The trainable reports no value of the metric that the job optimises.
        JournalError: What happened could not be written down.
    """
    try:
        _search(prepared, searcher, place, tell)
    except TuneError as error:
        if unwritten := journal_error(error):
            raise unwritten from None
        if MISSING not in str(error):
            raise
        metric = prepared.loaded.brief.objective.metric
        rule = f"must report `{metric}` at every step, for it is what the job optimises"
        remedy = f'call `tune.report({{"{metric}": ..., ...}})`, or name what is reported first in `request.metrics`'
        trainable = prepared.loaded.model.trainable
        raise JobError(prepared.loaded.source, [Problem("model_card: trainable", rule, trainable, remedy)]) from None


def _search(prepared: Prepared, searcher: LLMSearch, place: RunPlace, tell: Tell | None) -> None:
    _warn(place, tell)
    job, objective = prepared.loaded.job, prepared.loaded.brief.objective
    made = _experiment(prepared, searcher, place)
    with _snapshots_every(BUCKET_SNAPSHOT_S if place.mirrored else SNAPSHOT_S):
        tune.run(  # `Tuner.restore` takes no new searcher; this takes ours for a new run and a resumed one alike
            made,  # type: ignore[arg-type]  # takes one, and does not say so
            resume=_resumable(place, searcher),
            metric=objective.metric,
            mode=objective.mode,
            search_alg=_Generator(_limited(searcher, job), made),
            scheduler=scheduler(prepared.loaded, searcher),
            # Starting a worker costs seconds (imports, data); Ray starts a new one where reuse fails.
            reuse_actors=_reuses(job) if job.reuse_actors is None else job.reuse_actors,
            verbose=0,
            callbacks=[Enduring(), Progress(searcher, tell, job.trials), *trackers(job, searcher)],
            raise_on_failed_trial=False,
        )


def _limited(searcher: LLMSearch, job: Job) -> Searcher:
    # A limiter counts paused trials too, so a scheduler that pauses counts for itself.
    most = None if searcher.rule else job.max_concurrent or _slots(job)
    return ConcurrencyLimiter(searcher, max_concurrent=most) if most else searcher


class _Generator(SearchGenerator):
    """Makes new trials where the run lies now; Ray's own, once restored, where it lay when it began.

    Args:
        searcher: Of the run.
        experiment: Of this driver.
    """

    def __init__(self, searcher: Searcher, experiment: Experiment) -> None:
        super().__init__(searcher)
        self._here = experiment.storage

    def set_state(self, state: dict[str, Any]) -> None:
        """Take a snapshot's state; the rest of its storage, such as the driver's staging folder, stays."""
        super().set_state(state)
        moved = copy.copy(state["experiment"].spec["storage"])
        for name in ("storage_filesystem", "storage_fs_path", "experiment_dir_name"):
            setattr(moved, name, getattr(self._here, name))
        state["experiment"].spec["storage"] = moved


class _Unforced(Experiment):
    """An experiment whose snapshots come by the clock only.

    Ray takes one at each checkpoint of a trial that keeps one, uploads the log files of all trials with it, and lets
    its event loop wait for the upload before. What a snapshot has missed `mend_checkpoints` makes good.
    """

    @property
    def checkpoint_config(self) -> CheckpointConfig:
        """What the controller, and nothing else, asks for; trials have theirs from `spec`."""
        return CheckpointConfig()


@contextmanager
def _snapshots_every(seconds: str) -> Iterator[None]:
    # What Ray's snapshot does not know is trained again, so it must not be old; a bucket takes longer to write.
    if SNAPSHOT in os.environ:
        yield
        return
    os.environ[SNAPSHOT] = seconds
    try:
        yield
    finally:
        os.environ.pop(SNAPSHOT, None)


def _experiment(prepared: Prepared, searcher: LLMSearch, place: RunPlace) -> Experiment:
    job, objective = prepared.loaded.job, prepared.loaded.brief.objective
    made = _Unforced(
        EXPERIMENT,
        bind(prepared.trainable, prepared.task, job.resources),
        storage_path=place.storage.name,
        num_samples=sys.maxsize,  # the searcher counts: Ray's own count lags after a restore, and cannot grow
        stop=CombinedStopper(StopClosed(searcher), StopAtBudget(searcher)),
        trial_dirname_creator=folder_name,
        max_failures=job.retries,
        checkpoint_config=CheckpointConfig(
            num_to_keep=1, checkpoint_score_attribute=objective.metric, checkpoint_score_order=objective.mode
        ),
    )
    # Ray names the folder in which a driver gathers its snapshots by experiment and second: two runs that begin
    # together on one head would write theirs into each other's storage.
    made.storage._timestamp += f"-{uuid.uuid4().hex[:8]}"  # noqa: SLF001 - Ray has no other way
    return made


def _warn(place: RunPlace, tell: Tell | None) -> None:
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())  # type: ignore[no-untyped-call]
    if tell and nodes > 1 and not place.mirrored:
        told = f"the cluster has {nodes} nodes and storage_path is a path: it must be a folder that all of them share"
        tell(f"WARNING: {told}, or name a URI")


def folder_name(trial: Trial) -> str:
    """Return the folder of a trial: Ray's own spells the configuration out, too long for file systems."""
    return f"trial_{trial.trial_id}"


def time_attr(loaded: LoadedJob) -> str:
    """Return the result key that counts steps."""
    # Our trainers count their own steps, which survive a restart; somebody else's may not.
    ours = loaded.model.trainable.startswith("automl_gpt_ray.")
    return loaded.job.scheduler.time_attr or (STEP if ours else "training_iteration")


def steering_rule(loaded: LoadedJob) -> SteeringRule | None:
    """Return how the job wants its trials steered; None where Ray's schedulers decide."""
    options = loaded.job.scheduler
    if options.type != "freeze_thaw":
        return None
    return SteeringRule(
        options.grace,
        options.eta,
        options.audit,
        options.switch_cost,
        options.forecasts,
        options.review,
        options.review_every,
        revise=revision_rule(loaded),
    )


def revision_rule(loaded: LoadedJob) -> RevisionRule | None:
    """Return what may be changed about the job's trials as they train; None where nobody would."""
    model, job, pace = loaded.model, loaded.job, max(2, round(loaded.brief.max_steps / 10))
    reviewed = job.llm is not None and job.scheduler.review
    if job.scheduler.revise == "none" or not (reviewed or job.scheduler.revise == "rules"):
        return None
    rules = job.scheduler.revise == "rules"
    return RevisionRule(tuple(model.hot), tuple(model.clone), cooldown=pace, patience=pace, rules=rules)


def scheduler(loaded: LoadedJob, searcher: LLMSearch) -> TrialScheduler:
    """Return the scheduler that the job names; `searcher` shares its steering where there is any."""
    options, brief, job = loaded.job.scheduler, loaded.brief, loaded.job
    if options.type == "none":
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    rule = steering_rule(loaded)
    if rule:
        return ReviewScheduler(searcher, job.max_concurrent, options.max_paused, rule, time_attr(loaded))
    grace = min(options.grace or 1, brief.max_steps)
    return ResumableASHA(
        time_attr=time_attr(loaded), max_t=brief.max_steps, grace_period=grace, reduction_factor=options.eta
    )


def newest_checkpoint(book: Book, place: RunPlace, trial_id: str) -> str | None:
    """Return the latest checkpoint of a trial that is still there, None where there is none."""
    kept = sorted(book.checkpoints(trial_id).items(), reverse=True)
    return next((here for _, path in kept if (here := place.found(path))), None)


def _resumable(place: RunPlace, searcher: LLMSearch) -> bool:
    """Return whether Ray has trials to resume; where it has none, what was under way starts anew."""
    known = known_trials(place.ray) or {}
    under_way = {trial.id for trial in searcher.book.history().trials if not trial.state.ended}
    if not under_way & {trial for trial, ended in known.items() if not ended}:
        searcher.reconcile({})
        return False
    mend_checkpoints(place.ray, partial(newest_checkpoint, searcher.book, place))
    return True


def _slots(job: Job) -> int | None:
    """Trials that fit at once; without this limit Tune draws one suggestion ahead, on stale feedback.

    None on somebody's cluster, which may grow while we run.
    """
    if _elsewhere(job):
        return None
    memory = (job.resources.memory_gb or 0.0) * GIGABYTE
    each = {"CPU": job.resources.cpu, "GPU": job.resources.gpu, MEMORY: memory}
    needed = {name: amount * job.workers_per_trial for name, amount in each.items()}
    return fitting({name: amount for name, amount in needed.items() if amount})


def _reuses(job: Job) -> bool:
    # Several workers end with their trial; a worker process that goes on would have to wait for that.
    return job.workers_per_trial == 1 and not _elsewhere(job)


def _elsewhere(job: Job) -> bool:
    """Return whether the run is on somebody's cluster and not on a Ray of its own."""
    return bool(job.address or os.environ.get("RAY_ADDRESS"))
