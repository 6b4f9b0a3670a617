"""The models of curves that compete for a run's trust; those preferred where nothing is known stand first."""

from __future__ import annotations

import logging

from automl_gpt_ray.curves.curve_model import CurveModelMaker
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.alone import Alone
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.learned.hybrid import Hybrid
from automl_gpt_ray.errors import DataError

_LOG = logging.getLogger(__name__)


def competitors() -> list[CurveModelMaker]:
    """Return the combination, the Gaussian process and the network; the process alone where there is no network.

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
    return [Hybrid(forecaster), FreezeThaw(), Alone(forecaster)]
