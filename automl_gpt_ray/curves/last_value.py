"""The forecast every other is held against: it stays as it is.

median(q) = the last value; before the first, the median of the peers' last values
sd(q)     = the root mean square of what peers gained over the same steps, where three or more can tell,
            and otherwise SPREAD x the root of the share of the (logarithmic) way still to go
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from automl_gpt_ray.curves.peer_gains import PeerGains, way
from automl_gpt_ray.curves.predictor import Context, Forecasts, Query

SPREAD = 0.5
LEAST = 0.005


@final
class LastValue:
    """See the module."""

    name = "last_value"

    def predict(self, context: Context, queries: Sequence[Query]) -> Forecasts:
        """Return a forecast for every query, in order."""
        peers = PeerGains.of(context)
        rows = [self._row(peers, context, query) for query in queries]
        mean, sd = np.array(rows, dtype=float).reshape(-1, 2).T
        return peers.scale.normal(mean, sd)

    def _row(self, peers: PeerGains, context: Context, query: Query) -> tuple[float, float]:
        if not len(query.curve.steps):
            lasts = peers.lasts(query.curve.key)
            return (float(np.median(lasts)), max(float(np.std(lasts)), 0.1)) if len(lasts) else (0.5, SPREAD)
        last = float(peers.scale.apply(query.curve.values[-1:])[0])
        if query.curve.diverged:
            return last, LEAST
        gains = peers.gains(query.curve, query.step)
        known = float(np.sqrt(np.mean(gains**2))) if len(gains) >= 3 else None
        sd = SPREAD * way(query.curve.last_step, query.step, context.max_step) ** 0.5 if known is None else known
        return last, max(sd, LEAST)
