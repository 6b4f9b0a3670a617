"""The board of a run: an actor that tells each trial what was revised, and the driver who was told.

    board = Board("my-experiment")
    board.post("t1", Notice(1, {"lr": 0.01}))     # returns at once
    board.taken("t1")                             # 1 after the trial has asked; see `live`

The driver remembers everything that was posted, so a board that dies is replaced.
"""

from __future__ import annotations

import logging
from typing import Any, final

import ray
from ray.exceptions import RayError

from automl_gpt_ray.live import Notice, board_name
from automl_gpt_ray.ray_tune.placement import on_head

_LOG = logging.getLogger(__name__)
_WAIT_S = 0.05


@final
class Board:
    """The driver's end of the board.

    Its actor needs no CPU, and ends with this object or its driver; two runs of one experiment name in one
    namespace share it.

    Args:
        experiment: Name of the experiment, as `tune.get_context().get_experiment_name()` tells a trial.
    """

    def __init__(self, experiment: str) -> None:
        self._name = board_name(experiment)
        self._notices: dict[str, Notice] = {}
        self._actor: Any = None
        self._open()

    def post(self, trial: str, notice: Notice) -> None:
        """Put up what a trial is to know, in place of what was there; does not wait."""
        self._notices[trial] = notice
        self._actor.post.remote(trial, notice)

    def notice(self, trial: str) -> Notice:
        """Return what is up for a trial."""
        return self._notices.get(trial, Notice(0))

    def taken(self, trial: str) -> int | None:
        """Return the version that a trial has taken; None where the board does not say so within 50 ms."""
        asked = self._actor.taken.remote(trial)
        try:
            ready, _ = ray.wait([asked], timeout=_WAIT_S)
            return int(ray.get(asked)) if ready else None
        except RayError as error:
            _LOG.warning("the board of the run is replaced: %s", error)
            self._open()
            for name, notice in self._notices.items():
                self._actor.post.remote(name, notice)
            return None

    def __reduce__(self) -> Any:
        raise TypeError("a board belongs to one driver")

    def _open(self) -> None:
        options = {"name": self._name, "get_if_exists": True, **on_head()}
        self._actor = ray.remote(_Board).options(**options).remote()


class _Board:
    """What runs in the actor."""

    def __init__(self) -> None:
        self._notices: dict[str, Notice] = {}
        self._taken: dict[str, int] = {}

    def post(self, trial: str, notice: Notice) -> None:
        """Put up a notice."""
        self._notices[trial] = notice

    def take(self, trial: str, version: int) -> Notice | None:
        """Return what is newer than `version` for a trial, and remember that it was told."""
        notice = self._notices.get(trial)
        if notice is None:
            return None
        self._taken[trial] = notice.version
        return notice if notice.version > version else None

    def taken(self, trial: str) -> int:
        """Return the version that a trial was told; 0 before the first."""
        return self._taken.get(trial, 0)
