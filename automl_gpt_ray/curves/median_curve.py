"""The second forecast every other is held against: it goes on as the median of its peers did.

    median(q) = the last value + the median of what peers gained over the same steps
    low, high = the same with the 10 and 90 % quantiles of the gains
    before the first value: the quantiles of what peers reached at q

Where fewer than three peers reached q, the gains up to the last step that three reached stand in, wider by
WIDEN x the root of the share of the (logarithmic) way beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from automl_gpt_ray.curves.peer_gains import PeerGains, way
from automl_gpt_ray.curves.predictor import Array, Context, Forecasts, Query

MIN_PEERS = 3
WIDEN = 0.3
LEAST = 0.005
PRIOR = (0.0, 0.5, 1.0)
QUANTILES = (0.1, 0.5, 0.9)


@final
class MedianCurve:
    """See the module."""

    name = "median_curve"

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        peers = PeerGains.of(context)
        rows = [self._row(peers, context, query) for query in queries]
        low, median, high = np.array(rows, dtype=float).reshape(-1, 3).T
        return peers.scale.forecasts(low, median, high)

    def _row(self, peers: PeerGains, context: Context, query: Query) -> Array:
        curve = query.curve
        if curve.diverged:
            return np.asarray(peers.scale.apply(curve.values[-1:]) + np.array([-LEAST, 0.0, LEAST]))
        reach = min(float(query.step), peers.reach(curve.key, MIN_PEERS))
        beyond = WIDEN * way(max(reach, curve.last_step), query.step, context.max_step) ** 0.5 + LEAST
        wider = np.array([-beyond, 0.0, beyond])
        if not len(curve.steps):
            reached = peers.at(reach, curve.key) if reach else peers.lasts(curve.key)
            middle = np.quantile(reached, QUANTILES) if len(reached) >= MIN_PEERS else np.array(PRIOR)
        else:
            gains = peers.gains(curve, reach) if reach > curve.last_step else np.empty(0)
            gained = np.quantile(gains, QUANTILES) if len(gains) >= MIN_PEERS else np.zeros(3)
            middle = peers.scale.apply(curve.values[-1:]) + gained
        return np.asarray(middle + wider)
