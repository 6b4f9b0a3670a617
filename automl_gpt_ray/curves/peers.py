"""A forecast from peers: what the trials so far reached at each step.

The plainest predicted log there is: the median of the trials that reported the step, with the 10 % and
90 % quantiles as its interval. It looks at no configuration and makes no excuse for it.
"""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from automl_gpt_ray.records import History, LogPoint, PredictedLog

SOURCE = "peers"
MIN_PEERS = 3
POINTS = 4
LATEST = 200  # so that a long run costs no more than a short one


def peer_forecast(history: History) -> PredictedLog | None:
    """Return the median curve of the latest 200 trials; None while fewer than three have reported.

    Args:
        history: Its objective's metric is forecast, at up to four steps of a full training that at
            least three trials reached.
    """
    metric = history.objective.metric
    values: dict[int, list[float]] = defaultdict(list)
    for trial in history.trials[-LATEST:]:
        for step, value in trial.curve(metric):
            if math.isfinite(value):
                values[step].append(value)
    wanted = {max(1, round(history.max_step * i / POINTS)) for i in range(1, POINTS + 1)}
    steps = sorted(step for step in wanted if len(values[step]) >= MIN_PEERS)
    if not steps:
        return None
    return PredictedLog(metric, tuple(_point(step, values[step]) for step in steps), SOURCE)


def _point(step: int, values: list[float]) -> LogPoint:
    low, middle, high = (float(q) for q in np.quantile(values, [0.1, 0.5, 0.9]))
    return LogPoint(step, middle, low, high)
