"""What a Ray Tune scheduler and searcher touch of Ray, without Ray: a trial and the searcher's wrapper.

Only what the schedulers of Ray 2.60 read or call (`ray/tune/schedulers/*.py`): FIFO, ASHA, HyperBand,
HyperBand for BOHB and the median rule. Population-based training copies checkpoints between trials: a
table of curves cannot follow that, so it is refused where it begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

PENDING, RUNNING, PAUSED = str(Trial.PENDING), str(Trial.RUNNING), str(Trial.PAUSED)
TERMINATED, ERROR = str(Trial.TERMINATED), str(Trial.ERROR)


class SimTrial:
    """A trial in virtual time; hashable by identity, like Ray's.

    Attributes:
        trial_id: Ray's id.
        number: From 0, in the order of the searcher's suggestions.
        config: Nested as the searcher gave it; a scheduler may change it by `set_config`.
        status: One of Ray's five.
        last_result: What Ray would show; empty before the first report.
        curve: Handle of the problem's curve; see `problems.Problem.open`.
        step: Last reported step.
        trained_s: Virtual training seconds so far.
        token: Grows whenever what was under way is called off.
        holds_worker: Whether a worker is this trial's, saving included.
        revised: Whether its configuration was changed since its last step.
        is_saving: Whether it is being paused; RUNNING until it is.
    """

    checkpoint = None
    checkpoint_at_end = False

    def __init__(self, trial_id: str, number: int, config: Mapping[str, Any]) -> None:
        self.trial_id, self.number = trial_id, number
        self.config: dict[str, Any] = dict(config)
        self.evaluated_params = dict(config)
        self.experiment_tag = str(number)
        self.status = PENDING
        self.last_result: dict[str, Any] = {}
        self.temporary_state = SimpleNamespace(saving_to=None, ray_actor=None)
        self.curve = -1
        self.step = 0
        self.trained_s = 0.0
        self.token = 0
        self.holds_worker = False
        self.revised = False
        self.is_saving = False

    def __repr__(self) -> str:
        return f"{self.trial_id}[{self.status} at {self.step}]"

    @property
    def ended(self) -> bool:
        """Whether it will report nothing more."""
        return self.status in (TERMINATED, ERROR)

    def is_finished(self) -> bool:
        """As Ray's `Trial.is_finished`."""
        return self.ended

    def result(self, metrics: Mapping[str, float], seconds: float) -> dict[str, Any]:
        """Return Ray's result of the current step: `metrics`, its `seconds` and the usual bookkeeping."""
        config = {f"config/{name}": value for name, value in self.config.items()}
        bookkeeping = {
            "trial_id": self.trial_id,
            "training_iteration": self.step,
            "time_this_iter_s": seconds,
            "time_total_s": self.trained_s,
            "done": False,
        }
        return {**metrics, **bookkeeping, **config}

    def set_config(self, config: Mapping[str, Any]) -> None:
        """Change hyperparameters; they hold from the next step."""
        self.config = dict(config)
        self.revised = True

    def set_experiment_tag(self, tag: str) -> None:
        """As Ray's."""
        self.experiment_tag = tag


class SimSearch:
    """The searcher as a scheduler finds it: `controller.search_alg.searcher`.

    Args:
        searcher: Ray's or ours.
        limit: Suggestions at most.
    """

    def __init__(self, searcher: Searcher, limit: float) -> None:
        self.searcher = searcher
        self.asked = 0
        self._limit, self._finished = limit, False

    def is_finished(self) -> bool:
        """Whether no further trial will come."""
        return self._finished or self.asked >= self._limit

    def next_config(self, trial_id: str) -> dict[str, Any] | None:
        """Return the searcher's next configuration; None for none now, or none any more."""
        config: Any = self.searcher.suggest(trial_id)
        if config == Searcher.FINISHED:
            self._finished = True
            return None
        if config is None:
            return None
        self.asked += 1
        return dict(config)

    def moved(self, trial_id: str, asked: dict[str, Any], trained: Mapping[str, Any]) -> dict[str, Any]:
        """Return `trained`, which runs in place of what was asked for; the searcher is told where it listens."""
        listen = getattr(self.searcher, "told", None)
        if listen is not None and trained != asked:
            listen(trial_id, trained)
        return dict(trained)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """As Ray's `SearchGenerator`."""
        self.searcher.on_trial_complete(trial_id, result=result, error=error)

    @property
    def latency_s(self) -> float:
        """Virtual seconds that the last suggestion took; a searcher may state them, else none."""
        return float(getattr(self.searcher, "latency_s", 0.0))
