"""Several workers train the model of one trial: Ray Train, inside a Ray Tune trial.

The trial's own process trains nothing: it starts a `TorchTrainer` (gloo on CPUs, NCCL on GPUs) and passes on what
the first worker reports. The workers wait for what Tune decides about a report, so that they are stopped, paused and
revised at the same steps as a single one. All run in the placement group that Tune holds for the trial and gives
back with it; Ray Train's own would outlive a trial that is stopped.

Builds on private parts of Ray 2.60, which `pyproject.toml` pins. The first worker is on the node of the trial, as
Ray Train ranks the nodes of workers in the order of their bundles: its checkpoints need not be sent.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray import train, tune
from ray._common.constants import RAY_WARN_BLOCKING_GET_INSIDE_ASYNC_ENV_VAR
from ray.exceptions import RayError
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.constants import get_env_vars_to_propagate
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2._internal.execution.worker_group.placement_group_handle import DefaultPlacementGroupHandle
from ray.util import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from automl_gpt_ray.errors import AutoMLGPTError
from automl_gpt_ray.live import Live, live
from automl_gpt_ray.records import Config
from automl_gpt_ray.staging import staged_card
from automl_gpt_ray.training.costs import forget_peak, peak_memory
from automl_gpt_ray.training.steps import Report
from automl_gpt_ray.training.task import TrainingTask

Learn = Callable[[Config, TrainingTask, Report, Path | None], None]

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # at 2 s, Ray's default, so long passes before an end is seen
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # Tune restarts a trial whose node goes
}

_FAIL_AT_ONCE: Any = {"max_failures": 0, "controller_failure_limit": 0, "max_preemption_failures": 0}
"""To begin again is Tune's."""
_PATIENCE_S = 5.0


def learn(trainer: Learn, config: Config, task: TrainingTask) -> None:
    """Train inside a Ray Tune trial with `task.workers` workers, from the trial's checkpoint if it has one.

    Args:
        trainer: Called in each worker, with a process group of torch.distributed. It reports in every worker;
            metrics and checkpoint of the first count.
        config: The trial's configuration, read `live` in every worker: what is revised between two reports is in
            force everywhere from the next step on.
        task: What all trials share. Data that lies at a URI is staged on each node.

    Raises:
        Exception: What a worker raised.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    hp, name = live(config), f"workers-{uuid4().hex}"
    given = {"trainer": trainer, "hp": hp, "task": task, "start": hp.checkpoint(), "controller": name}
    each = tune.get_context().get_trial_resources().bundles[-1]
    with tempfile.TemporaryDirectory(prefix="workers-") as folder:
        group = _Group(
            _work,
            train_loop_config=given,
            scaling_config=train.ScalingConfig(
                num_workers=task.workers, use_gpu="GPU" in each, resources_per_worker=each
            ),
            # Nothing is stored there: checkpoints are Tune's.
            run_config=train.RunConfig(
                name=name, storage_path=folder, failure_config=train.FailureConfig(**_FAIL_AT_ONCE)
            ),
        )
        group.tell = partial(_tell, hp)
        try:
            group.fit()
        except train.WorkerGroupError as error:
            raise cause(error) from None


def cause(error: Any) -> BaseException:
    """Return why workers failed, of a `WorkerGroupError`: whoever lost the one that failed first fails too."""
    found: list[BaseException] = []
    for _, failure in sorted(error.worker_failures.items()):
        if isinstance(failure, UserExceptionWithTraceback):
            found.append(failure._base_exc)  # noqa: SLF001 - the error that was raised
        elif isinstance(failure, WorkerHealthCheckFailedError):
            found.append(failure.health_check_failure)
        else:
            found.append(failure)
    for kind in (AutoMLGPTError, RayError):
        if ours := next((one for one in found if isinstance(one, kind)), None):
            return ours
    return found[0] if found else error


def _work(given: dict[str, Any]) -> None:
    """What runs in each worker."""
    hp, task, start = given["hp"], given["task"], given["start"]
    desk = ray.get_actor(given["controller"]) if train.get_context().get_world_rank() == 0 else None
    forget_peak()
    with start.as_directory() if start else nullcontext() as folder:
        report = partial(_hand_in, hp, desk)
        with _after_others():
            given["trainer"](hp, replace(task, data=staged_card(task.data)), report, Path(folder) if folder else None)


@contextmanager
def _after_others() -> Iterator[None]:
    """Let what failed first be seen first: a worker notices at once that it lost another, Ray a little later."""
    try:
        yield
    except RuntimeError:
        time.sleep(_PATIENCE_S)
        raise


def _hand_in(hp: Live, desk: Any, metrics: Mapping[str, float], folder: Path) -> None:
    if desk is not None:
        ray.get(desk.hand_in.remote({**metrics, **peak_memory()}, str(folder)))
    hp.refresh()  # the first worker asks, the others wait for its answer


def _tell(hp: Live, metrics: Mapping[str, float], folder: str) -> None:
    """Report in the trial; returns when Tune lets it go on, and raises SystemExit where it does not."""
    tune.report(dict(metrics), checkpoint=tune.Checkpoint.from_directory(folder))
    hp.refresh()  # before the workers do: what the board gave out last is then what they have


def _group() -> Any:
    """Return the placement group that Tune holds for this trial."""
    return get_current_placement_group()


class _Group(TorchTrainer):
    """A `TorchTrainer` whose actors all live in the trial's placement group, and die with the trial."""

    tell: Callable[[Mapping[str, float], str], None]

    def _create_default_callbacks(self) -> list[Any]:
        # The cleaner of placement groups is a detached actor: nothing here is to outlive the trial. And there are no
        # data sets of Ray Data, which an actor would serve.
        made = super()._create_default_callbacks()  # type: ignore[misc]  # mypy reads Ray Train's first version
        return [one for one in made if not isinstance(one, PlacementGroupCleanerCallback | DatasetsCallback)]

    def _initialize_and_run_controller(self, **given: Any) -> Any:
        here = PlacementGroupSchedulingStrategy(
            _group(), placement_group_bundle_index=0, placement_group_capture_child_tasks=True
        )
        options = {"name": self.run_config.name, "num_cpus": 0, "scheduling_strategy": here}
        given["scaling_policy"] = _AsTuneScales(given["scaling_policy"].scaling_config)
        told = {"env_vars": {RAY_WARN_BLOCKING_GET_INSIDE_ASYNC_ENV_VAR: "0", **get_env_vars_to_propagate()}}
        controller: Any = ray.remote(_Controller).options(**options, runtime_env=told).remote(**given)
        try:
            self._attend(controller)
            return ray.get(controller.get_result.remote())
        finally:
            ray.kill(controller)  # and with it its workers, which it owns

    def _attend(self, controller: Any) -> None:
        """Pass on reports until the workers have ended."""
        running, waiting = controller.run.remote(), controller.report.remote()
        while True:
            ready, _ = ray.wait([waiting, running], num_returns=1)
            if waiting not in ready:
                ray.get(running)
                return
            self.tell(*ray.get(waiting))
            controller.go_on.remote()
            waiting = controller.report.remote()


class _AsTuneScales(FixedScalingPolicy):
    """Asks no autoscaler for machines, by an actor that would outlive the trial: Tune's placement group has them."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Ask for nothing."""

    def _maybe_send_resource_request(self) -> None:
        """Ask for nothing."""


class _InTrial(WorkerGroup):
    def _create_placement_group(self, scaling_config: Any, worker_group_context: Any) -> Any:
        return _Lent(_group())


class _Lent(DefaultPlacementGroupHandle):
    def shutdown(self) -> None:
        """Leave the group to Tune, whose it is."""


class _Controller(TrainController):
    """Ray Train's controller, and between the trial and its first worker: reports one way, leave to go on the other."""

    worker_group_cls = _InTrial

    def __init__(self, **given: Any) -> None:
        self._reports: asyncio.Queue[tuple[Mapping[str, float], str]] = asyncio.Queue()
        self._leave: asyncio.Queue[None] = asyncio.Queue()
        super().__init__(**given)

    async def hand_in(self, metrics: Mapping[str, float], folder: str) -> None:
        """Hand in a report, and wait until the trial may go on."""
        await self._reports.put((metrics, folder))
        await self._leave.get()

    async def report(self) -> tuple[Mapping[str, float], str]:
        """Wait for a report."""
        return await self._reports.get()

    async def go_on(self) -> None:
        """Let the worker that handed in go on."""
        await self._leave.put(None)
