"""Live values: a trial's configuration, which may be revised while it trains.

    from automl_gpt_ray.live import live

    def train(config):
        hp = live(config)                       # reads like `config`
        checkpoint = hp.checkpoint()            # instead of tune.get_checkpoint(), so that the trial can be sent back
        for step in range(...):
            train_one_epoch(lr=hp["lr"])
            tune.report({"score": ...}, checkpoint=...)

What is new is asked of the board of the run, a named actor, as values are read; without a board, or outside of
Ray, it is a plain mapping. Knows neither who revises nor why.
"""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

_LOG = logging.getLogger(__name__)
SEPARATOR = "/"
"""Between the parts of the name of a nested value."""
# Reading asks the board at most this share of the time, so that a loop may read at every batch.
_SHARE = 0.02
_LEAST_S = 0.02
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Notice:
    """What the board says of one trial.

    Attributes:
        version: Grows with every change.
        values: Name to value of everything revised, nested names joined by `/`.
        sent: Whether the trial begins at `start` instead of at its latest checkpoint.
        start: A `tune.Checkpoint`; None begins anew.
    """

    version: int
    values: Mapping[str, Any] = field(default_factory=dict)
    sent: bool = False
    start: Any = None


def live(config: Mapping[str, Any]) -> Live:
    """Return `config` as it is now and as it will be, for a function trainable in its trial.

    `config` itself is changed too, where it is a dict: what Ray reports of it stays true.
    """
    return config if isinstance(config, Live) else Live(config, *_place())


def board_name(experiment: str) -> str:
    """Return the name of the actor that is the board of an experiment."""
    return f"automl-gpt-ray-board-{experiment}"


def put(config: dict[str, Any], name: str, value: Any) -> None:
    """Set a value in place; the parts of a nested `name` are joined by `/`."""
    *path, last = name.split(SEPARATOR)
    for key in path:
        config = config.setdefault(key, {})
    config[last] = value


@final
class Live(Mapping[str, Any]):
    """A configuration that is up to date; made by `live`.

    Picklable: to train in workers of Ray Train, pass it on in `train_loop_config` and call `refresh` after each
    report, in every worker; rank 0 asks, the others are told. Reading asks nothing there.

    Args:
        config: The values at first.
        trial: Id of the trial; None where there is none.
        board: Name of the board's actor.
    """

    def __init__(self, config: Mapping[str, Any], trial: str | None = None, board: str = "") -> None:
        self._config = config if isinstance(config, dict) else dict(config)
        self._trial, self._board = trial, board
        self._notice = Notice(0)
        self._actor: Any = None
        self._shared = False
        self._asked_at, self._cost_s, self._asked_before = 0.0, math.inf, False
        if trial is not None:
            self.refresh()

    def __getitem__(self, name: str) -> Any:
        if self._trial is not None and not self._shared:
            now = time.monotonic()
            cost = self._cost_s if self._cost_s < math.inf else 0.0
            if now - self._asked_at >= max(_LEAST_S, cost / _SHARE):
                self.refresh()
        return self._config[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"live({self._config!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_actor": None, "_shared": True}

    def refresh(self) -> bool:
        """Ask for what is new, and return whether anything changed.

        Needed only to be exact: called right after a report, what was revised at it is in force from the next step
        on. Otherwise values are at most 20 ms older than that, or fifty times what asking takes.
        """
        if self._trial is None:
            return False
        began = time.monotonic()
        found = self._ask_together() if self._shared else self._ask()
        self._asked_at = time.monotonic()
        # The first time, the board is looked for and may be starting: that is not what asking costs.
        took = self._asked_at - began if self._asked_before else math.inf
        self._cost_s, self._asked_before = min(self._cost_s, took), True
        if found is None or found.version <= self._notice.version:
            return False
        before = dict(_flat(self._config))
        for name, value in found.values.items():
            put(self._config, name, value)
        self._notice = found
        return dict(_flat(self._config)) != before

    def checkpoint(self) -> Any:
        """Return the `tune.Checkpoint` that the trial goes on from, or None; for the start of a trainable."""
        if self._trial is None:
            return None
        if self._notice.sent:
            return self._notice.start
        from ray import tune

        return tune.get_checkpoint()

    def _ask_together(self) -> Notice | None:
        rank = _rank()
        if rank is None:
            return self._ask()
        from ray.train.collective import broadcast_from_rank_zero

        # Every worker must change at the same step: a collective call, and so a barrier.
        told: Notice | None = broadcast_from_rank_zero(self._ask() if rank == 0 else None)
        return told

    def _ask(self) -> Notice | None:
        import ray
        from ray.exceptions import RayError

        try:
            if self._actor is None:
                self._actor = ray.get_actor(self._board)
            found: Notice | None = ray.get(
                self._actor.take.remote(self._trial, self._notice.version), timeout=_TIMEOUT_S
            )
        except ValueError:  # there is no board: nobody revises
            return None
        except RayError as error:
            self._actor = None
            _LOG.warning("the board of the run cannot be asked, values stay as they are: %s", error)
            return None
        return found


def _place() -> tuple[str | None, str]:
    """Return (trial id, board) of the trial that this process runs."""
    if "ray" not in sys.modules:
        return None, ""
    from ray import tune

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray warns where there is no trial; there none is needed
        context = tune.get_context()
        trial = context.get_trial_id()
        return trial, board_name(context.get_experiment_name()) if trial else ""


def _rank() -> int | None:
    from ray import train

    try:
        return int(train.get_context().get_world_rank())
    except (RuntimeError, TypeError):  # no worker of Ray Train
        return None


def _flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}{SEPARATOR}")
        else:
            yield f"{path}{name}", value
