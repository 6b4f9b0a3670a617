"""What is forecast of configurations about to be proposed, where their proposer forecasts nothing itself.

By the network where it can be used (`learned`), else the median curve of the trials so far (`peers`). Nothing
while fewer than three trials have reported.
"""

from __future__ import annotations

from collections.abc import Sequence

from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.curves.learned.forecaster import LearnedForecaster
from automl_gpt_ray.curves.peers import LATEST, MIN_PEERS, peer_forecast
from automl_gpt_ray.curves.reading import Reader, predicted_logs, untried
from automl_gpt_ray.errors import DataError
from automl_gpt_ray.records import Config, History, PredictedLog
from automl_gpt_ray.space import SearchSpace


def outlook(
    history: History, space: SearchSpace, configs: Sequence[Config], reader: Reader | None = None
) -> list[PredictedLog | None]:
    """Return a forecast of each configuration, or None. The first call in a process may take seconds.

    Args:
        history: The run so far.
        space: The search space.
        configs: What is forecast.
        reader: Of earlier histories of the same run, where they are read again and again.
    """
    context = (reader or Reader(space)).latest(history, LATEST)
    if not configs or sum(1 for c in context.curves if len(c.steps)) < MIN_PEERS:
        return [None] * len(configs)
    if weights.unavailable():
        return [peer_forecast(history)] * len(configs)
    try:
        forecaster = LearnedForecaster.shipped()
    except DataError:  # the planner tells of it
        return [peer_forecast(history)] * len(configs)
    curves = [untried(f"new-{i}", config, space) for i, config in enumerate(configs)]
    return predicted_logs(forecaster, context, curves)
