"""The models of curves that compete for a run's trust; those preferred where nothing is known stand first."""

from __future__ import annotations

import logging
import threading
from typing import final

from automl_gpt_ray.curves.curve_model import CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.alone import Alone
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.learned.hybrid import Hybrid
from automl_gpt_ray.errors import DataError

PREFERRED = Hybrid.name
"""Chosen by regret in the simulator; see the log of benchmarks."""

_LOG = logging.getLogger(__name__)


def preferred() -> str:
    """Return the name of the kind of model to use before a run tells which is best here; reads no weights."""
    return FreezeThaw.name if weights.unavailable() else PREFERRED


def maker(name: str) -> CurveModelMaker:
    """Return the maker of a kind of model: `gp`, `network` or `combination`.

    Raises:
        DataError: The network is asked for and its weights are missing or damaged.
        KeyError: There is no such kind.
    """
    if name == FreezeThaw.name:
        return FreezeThaw()
    forecaster = LearnedForecaster.shipped()
    makers: tuple[CurveModelMaker, ...] = (Alone(forecaster), Hybrid(forecaster))
    return {each.name: each for each in makers}[name]


def competitors() -> list[CurveModelMaker]:
    """Return the combination, the network and the Gaussian process; the process alone where there is no network.

    Imports torch where it is installed: not for the event loop.
    """
    reason = weights.unavailable()
    if reason:
        _LOG.info("curves are forecast without the network: %s", reason)
        return [FreezeThaw()]
    try:
        forecaster = LearnedForecaster.shipped()
    except DataError as error:
        _LOG.warning("curves are forecast without the network: %s", error)
        return [FreezeThaw()]
    return [Hybrid(forecaster), Alone(forecaster), FreezeThaw()]


@final
class Loading:
    """`competitors` without waiting: the process stands alone until a thread has read the network."""

    def __init__(self) -> None:
        self._found: list[CurveModelMaker] = [FreezeThaw()]
        self._thread: threading.Thread | None = None

    def __call__(self) -> list[CurveModelMaker]:
        """Return those that are ready; the first call starts the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._load, name="curve network", daemon=True)
            self._thread.start()
        return self._found

    def wait(self) -> None:
        """Wait until all are ready, where reading has begun."""
        if self._thread is not None:
            self._thread.join()

    def _load(self) -> None:
        self._found = competitors()
