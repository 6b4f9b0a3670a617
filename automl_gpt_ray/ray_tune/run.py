"""`run(job)`: from a job file to an outcome, through Ray Tune.

    outcome = run(load_job("configs/demo.yaml"))
    print(outcome.best_config, outcome.test)

Everything that can be checked is checked before Ray starts. What was measured is in the journal the
moment it is known, so an interrupted run still has its best trial.
"""

from __future__ import annotations

import inspect
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import ray
from ray.tune import CheckpointConfig, FailureConfig, ResultGrid, RunConfig, TuneConfig, Tuner
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from automl_gpt_ray import __version__
from automl_gpt_ray.config import Job, LoadedJob
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.events import RunEnded, Tested
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.outages import OutagePolicy
from automl_gpt_ray.outcome import Outcome, best_step, summarise
from automl_gpt_ray.prompts.paragraph import VERSION
from automl_gpt_ray.ray_tune.budget_stopper import StopAtBudget
from automl_gpt_ray.ray_tune.cluster import connect
from automl_gpt_ray.ray_tune.failure import classify
from automl_gpt_ray.ray_tune.progress import Progress, Tell
from automl_gpt_ray.ray_tune.results import STEP
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.ray_tune.trial import Evaluate, Trainable, bind, load_evaluate, load_trainable, score
from automl_gpt_ray.records import TrialRecord
from automl_gpt_ray.training.data_check import check_data
from automl_gpt_ray.training.task import TrainingTask


@dataclass(frozen=True)
class Prepared:
    """A job whose data and functions were found; nothing has been trained."""

    loaded: LoadedJob
    task: TrainingTask
    trainable: Trainable
    evaluate: Evaluate | None


def prepare(loaded: LoadedJob) -> Prepared:
    """Find everything the job names, and complete its Data Card with what the data really holds.

    Raises:
        InputError: Data is missing or wrong, or a function cannot be imported.
    """
    job = loaded.job
    trainable = load_trainable(loaded.model, loaded.source)
    evaluate = load_evaluate(loaded.model, loaded.source)
    if job.refit and "task" not in inspect.signature(trainable).parameters:
        rule = f"`{loaded.model.trainable}` must take a second parameter `task` to be refitted"
        raise JobError(loaded.source, [Problem("refit", rule, "true", "set `refit: false`")])
    sizes = check_data(loaded.data, job.seed)
    data = loaded.data.model_copy(update={"size": sizes or loaded.data.size})
    loaded = LoadedJob(job, data, loaded.model, loaded.source)
    brief = loaded.brief
    threads = max(1, int(job.resources.cpu))
    task = TrainingTask(data, brief.objective, brief.max_steps, job.seed, threads)
    return Prepared(loaded, task, trainable, evaluate)


def run(
    loaded: LoadedJob, llm: LLMClient | None = None, run_dir: str | Path | None = None, tell: Tell | None = None
) -> Outcome:
    """Run a job and return its outcome, which is also saved as `outcome.json` in the run folder.

    Args:
        loaded: The job.
        llm: The language model; None runs the classical advisor.
        run_dir: Folder of the run, made where absent; by default a new one below `storage_path`.
        tell: Called with each line of progress.

    Raises:
        InputError: The job cannot run as written; nothing was trained.
    """
    began = time.time()
    prepared = prepare(loaded)
    loaded = prepared.loaded
    folder = new_run_dir(loaded, run_dir)
    connect(loaded)
    searcher = _searcher(loaded, llm, folder)
    grid = _tuner(prepared, searcher, folder, tell).fit()
    try:
        return _finish(prepared, searcher, grid, folder, began, tell)
    finally:
        searcher.close()


def new_run_dir(loaded: LoadedJob, run_dir: str | Path | None = None) -> Path:
    """Make and return the folder of a run.

    Raises:
        JobError: It holds another run already.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(run_dir or Path(loaded.job.storage_path) / f"{loaded.job.name}-{stamp}").expanduser().absolute()
    if folder.exists() and any(folder.iterdir()):
        raise JobError(
            loaded.source, [Problem("run_dir", "must be a new or empty folder", str(folder), "choose another")]
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _searcher(loaded: LoadedJob, llm: LLMClient | None, folder: Path) -> LLMSearch:
    job = loaded.job
    about = {"job": job.model_dump(mode="json"), "package": __version__, "prompt_version": VERSION}
    return LLMSearch(
        llm,
        model_card=loaded.model,
        data_card=loaded.data,
        request=job.request,
        max_steps=job.max_steps,
        step_key=STEP,
        sampler=job.classical,
        budget=job.limits,
        gpus=job.resources.gpu,
        outages=OutagePolicy(job.llm.on_outage, job.llm.wait_s) if job.llm else None,
        journal=folder,
        seed=job.seed,
        about=about,
    )


def _tuner(prepared: Prepared, searcher: LLMSearch, folder: Path, tell: Tell | None) -> Tuner:
    job, brief = prepared.loaded.job, prepared.loaded.brief
    objective = brief.objective
    return Tuner(
        bind(prepared.trainable, prepared.task, job.resources),
        tune_config=TuneConfig(
            metric=objective.metric,
            mode=objective.mode,
            num_samples=job.trials,
            search_alg=searcher,
            scheduler=_scheduler(prepared.loaded),
            max_concurrent_trials=job.max_concurrent or _slots(job),
            # Starting a worker costs seconds (imports, data); Ray starts a new one where reuse fails.
            reuse_actors=job.reuse_actors,
            trial_dirname_creator=_folder_name,
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            stop=StopAtBudget(searcher),
            callbacks=[Progress(searcher, tell, job.trials)],
            failure_config=FailureConfig(max_failures=job.retries),
            checkpoint_config=CheckpointConfig(
                num_to_keep=1, checkpoint_score_attribute=objective.metric, checkpoint_score_order=objective.mode
            ),
        ),
    )


def _folder_name(trial: Trial) -> str:
    # Ray's own name spells the configuration out, to lengths that file systems and people refuse.
    return f"trial_{trial.trial_id}"


def _scheduler(loaded: LoadedJob) -> TrialScheduler:
    options, brief = loaded.job.scheduler, loaded.brief
    if options.type == "none":
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    grace = min(options.grace, brief.max_steps)
    return AsyncHyperBandScheduler(
        time_attr=_time_attr(loaded), max_t=brief.max_steps, grace_period=grace, reduction_factor=options.eta
    )


def _time_attr(loaded: LoadedJob) -> str:
    # Our trainers count their own steps, which survive a restart; somebody else's may not.
    ours = loaded.model.trainable.startswith("automl_gpt_ray.")
    return loaded.job.scheduler.time_attr or (STEP if ours else "training_iteration")


def _slots(job: Job) -> int | None:
    """Trials that fit at once; without this limit Tune draws one suggestion ahead, on stale feedback.

    None on somebody's cluster, which may grow while we run.
    """
    if job.address or os.environ.get("RAY_ADDRESS"):
        return None
    wanted, cluster = job.resources, ray.cluster_resources()  # type: ignore[no-untyped-call]
    fits = [cluster.get(key, 0.0) // need for key, need in (("CPU", wanted.cpu), ("GPU", wanted.gpu)) if need]
    return max(1, int(min(fits, default=1)))


def _finish(
    prepared: Prepared, searcher: LLMSearch, grid: ResultGrid, folder: Path, began: float, tell: Tell | None
) -> Outcome:
    book, limits = searcher.book, searcher.limits
    used, ended_by = limits.used(), limits.ended_by
    best = book.history().best
    checkpoint = _best_checkpoint(best, grid, prepared) if best else None
    refitted = _refit(prepared, best, folder, tell) if best and checkpoint and prepared.loaded.job.refit else None
    checkpoint = refitted or checkpoint
    test, note = _test(prepared, best, checkpoint, tell)
    if test is not None and best is not None:
        book.record(Tested(best.id, test))
    book.record(RunEnded(ended_by))
    outcome = summarise(
        book,
        name=prepared.loaded.job.name,
        run_dir=folder,
        wall_seconds=time.time() - began,
        ended_by=ended_by,
        failed=limits.failed,
        budget=prepared.loaded.job.limits,
        used=used,
        journal=searcher.book_path,
        checkpoint=str(checkpoint) if checkpoint else None,
        refitted=refitted is not None,
        test=test,
        test_note=note,
    )
    outcome.save(folder)
    return outcome


def _best_checkpoint(best: TrialRecord, grid: ResultGrid, prepared: Prepared) -> Path | None:
    objective = prepared.task.objective
    for result in map(grid.__getitem__, range(len(grid))):
        if (result.metrics or {}).get("trial_id") == best.id and result.checkpoint is not None:
            found = result.get_best_checkpoint(objective.metric, objective.mode) or result.checkpoint
            return Path(found.path)
    return None


def _refit(prepared: Prepared, best: TrialRecord, folder: Path, tell: Tell | None) -> Path | None:
    """Train the best configuration on training and validation data, up to its best step.

    A trial of its own under Tune, so that its checkpoint travels like any other. Returns the checkpoint,
    or None when it failed: the searched one is kept then.
    """
    if tell:
        tell("training the best configuration on training and validation data together …")
    stop = {_time_attr(prepared.loaded): best_step(best, prepared.task.objective)}
    tuner = Tuner(
        bind(prepared.trainable, replace(prepared.task, refit=True), prepared.loaded.job.resources),
        param_space=dict(best.config),
        tune_config=TuneConfig(trial_dirname_creator=_folder_name),
        run_config=RunConfig(name="refit", storage_path=str(folder), verbose=0, stop=stop),
    )
    result = tuner.fit()[0]
    if result.error or result.checkpoint is None:
        if tell:
            tell(f"WARNING: that failed ({classify(result.error)[1] if result.error else 'no checkpoint'})")
        return None
    return Path(result.checkpoint.path)


def _test(
    prepared: Prepared, best: TrialRecord | None, checkpoint: Path | None, tell: Tell | None
) -> tuple[dict[str, float] | None, str]:
    """Score the best checkpoint on held-out test data, once; return (metrics, why there are none)."""
    if best is None:
        return None, "no trial reported a value"
    if prepared.evaluate is None:
        return None, f"`{prepared.loaded.model.trainable}` has no `evaluate` function beside it"
    if checkpoint is None:
        return None, "the best trial left no checkpoint"
    if tell:
        tell("scoring the best checkpoint on held-out test data …")
    try:
        job = prepared.loaded.job
        return score(prepared.evaluate, best.config, prepared.task, checkpoint, job.resources), ""
    except Exception as error:  # noqa: BLE001 - the search is paid for: report it even if scoring fails
        kind, message = classify(error)
        return None, f"scoring on test data failed ({kind}): {message}"
