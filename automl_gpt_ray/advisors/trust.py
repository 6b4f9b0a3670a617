"""Trust: which share of the trials each source has earned.

A source earns by improving the best value, and a little by landing in the top quarter; it pays with
training time. Old credit fades, so that a source that was lucky once, or blocked for a while, is judged
by what it does now. Pure functions of the history: replay gives the same shares.

Notation, for source s over its ended trials i in order of start:
    gain_i = min(1, improvement_i / spread) + TOP_QUARTER where it landed in the top quarter
    cost_i = seconds_i / mean seconds; at least 1 where it failed, however soon
    rate_s = (sum fade^age gain_i + PSEUDO * rate) / (sum fade^age cost_i + PSEUDO)
    share_s ~ prior_s * rate_s, then floors
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from automl_gpt_ray.limits import BROKEN
from automl_gpt_ray.records import History, TrialRecord, TrialState

FADE = 0.97
PSEUDO = 4.0
TOP_QUARTER = 0.25
WINDOW = 150  # what is older has faded to a hundredth


@dataclass(frozen=True)
class Account:
    """What one source earned and paid, both faded."""

    gain: float = 0.0
    cost: float = 0.0
    trials: int = 0


def accounts(history: History) -> dict[str, Account]:
    """Return the account of every source that has an ended trial among the latest 150 trials."""
    ended = [t for t in history.trials[-WINDOW:] if t.state.ended]
    seconds = [t.seconds for t in ended]
    mean_cost = sum(seconds) / len(ended) if ended else 0.0
    gains, costs = defaultdict[str, float](float), defaultdict[str, float](float)
    ranked: list[float] = []
    for age, trial, took in zip(range(len(ended) - 1, -1, -1), ended, seconds, strict=True):
        cost = took / mean_cost if mean_cost else 1.0
        if trial.state is TrialState.FAILED:
            cost = max(cost, 1.0)  # one that dies before its first report would cost its source nothing
        source, faded = trial.proposal.source, FADE**age
        gains[source] += faded * _gain(trial, ranked, history)
        costs[source] += faded * cost
    trials = Counter(t.proposal.source for t in ended)
    return {source: Account(gains[source], costs[source], trials[source]) for source in costs}


def earned_shares(history: History, priors: Mapping[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    """Return each source's share of the trials, summing to 1.

    Args:
        history: The run so far.
        priors: Source to its share before anything is known; positive.
        floors: Source to the least share it may fall to; their sum is below 1.
    """
    book = {source: account for source, account in accounts(history).items() if source in priors}
    gain, cost = sum(a.gain for a in book.values()), sum(a.cost for a in book.values())
    # Before anything was earned every source is trusted as much as its prior says.
    average = (gain + 1.0) / (cost + PSEUDO)
    weights = {}
    for source, prior in priors.items():
        account = book.get(source, Account())
        weights[source] = prior * (account.gain + PSEUDO * average) / (account.cost + PSEUDO)
    total = sum(weights.values())
    return _floored({source: weight / total for source, weight in weights.items()}, floors)


def _gain(trial: TrialRecord, ranked: list[float], history: History) -> float:
    """Return what `trial` earned over the values in `ranked` (ascending, larger is better), and enter it."""
    value = trial.value(history.objective)
    if value is None or history.limits.rank(trial.observations, history.objective.metric, value)[0] == BROKEN:
        return 0.0
    signed = history.objective.sign * value
    gain = 0.0
    if len(ranked) >= 2:
        spread = max(ranked[-1] - ranked[len(ranked) // 2], 1e-12)
        gain = min(1.0, max(0.0, signed - ranked[-1]) / spread)
        gain += TOP_QUARTER if bisect_left(ranked, signed) >= 0.75 * len(ranked) else 0.0
    insort(ranked, signed)
    return gain


def _floored(shares: dict[str, float], floors: Mapping[str, float]) -> dict[str, float]:
    # Raising one share lowers the others, perhaps below their own floors: once more, until none is.
    low: dict[str, float] = {}
    floored = shares
    while under := {s: floors[s] for s in shares if s in floors and s not in low and floored[s] < floors[s]}:
        low |= under
        total = sum(share for s, share in shares.items() if s not in low)
        if total <= 0:
            return shares
        left = 1.0 - sum(low.values())
        floored = {s: low[s] if s in low else share / total * left for s, share in shares.items()}
    return floored
