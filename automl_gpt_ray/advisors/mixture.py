"""The mixture: several advisors share the trials, each trusted as far as it has earned.

It decides whose turn it is; the prefetcher keeps every advisor's queue filled and asks it. Used as an
advisor itself (without Ray, or in a simulator) it asks the one whose turn it is at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.trust import WINDOW, earned_shares
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.records import History, Proposal, TrialRecord

PRIORS: Mapping[str, float] = {"language": 0.4, "classical": 0.4, "local": 0.2}
# The classical share never falls below its floor: it is what keeps a persuasive model honest. The others
# keep enough to be noticed when they become useful again.
FLOORS: Mapping[str, float] = {"language": 0.1, "classical": 0.25, "local": 0.05}
RECENT = 40


@final
class Mixture:
    """Shares trials among named advisors.

    Args:
        advisors: Source name (as on its proposals) to advisor.
        priors: Share of each before anything is known; missing sources get an equal one.
        floors: Least share of each.
    """

    def __init__(
        self,
        advisors: Mapping[str, Advisor],
        priors: Mapping[str, float] = PRIORS,
        floors: Mapping[str, float] = FLOORS,
    ) -> None:
        if not advisors:
            raise ValueError("a mixture needs at least one advisor")
        self.advisors = dict(advisors)
        self.priors = {source: priors.get(source, 1.0 / len(advisors)) for source in advisors}
        self.floors = {source: floor for source, floor in floors.items() if source in advisors}
        self._cached: tuple[History | None, object, dict[str, float]] = (None, None, {})

    def shares(self, history: History) -> dict[str, float]:
        """Return each source's share of the trials now; they sum to 1."""
        latest, judged, shares = self._cached
        if latest is history:
            return shares
        ended = (history.objective, tuple(trial for trial in history.trials[-WINDOW:] if trial.state.ended))
        if judged != ended:
            shares = earned_shares(history, self.priors, self.floors)
        self._cached = (history, ended, shares)
        return shares

    def order(self, history: History) -> list[str]:
        """Return the sources in the order in which they are due the next trial."""
        shares = self.shares(history)
        recent = [t.proposal.source for t in history.trials[-RECENT:] if t.proposal.source in shares]
        served = Counter(recent)
        return sorted(shares, key=lambda s: (served[s] - shares[s] * (len(recent) + 1), -shares[s], s))

    def choose(self, history: History, ready: Collection[str]) -> str | None:
        """Return which of the `ready` sources serves the next trial; None when none is ready."""
        return next((source for source in self.order(history) if source in ready), None)

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` proposals, each from the source that is due it.

        Raises:
            AdviceError: No advisor had any; its message holds the reason each gave.
        """
        found: list[Proposal] = []
        failures: dict[str, AdviceError] = {}
        while len(found) < n and len(failures) < len(self.advisors):
            known = replace(history, pending=(*history.pending, *found))
            source = next(s for s in self.order(_with(known, found)) if s not in failures)
            try:
                new = self.advisors[source].propose(known, 1)
            except AdviceError as error:
                failures[source] = error
                continue
            if not new:
                failures[source] = AdviceError("nothing new to propose")
            found += [replace(p, id=f"{p.id}.{len(found)}") for p in new]
        if not found:
            reasons = "; ".join(f"{source}: {error}" for source, error in failures.items())
            raise AdviceError(reasons, outage=any(e.outage for e in failures.values()))
        return found


def _with(history: History, found: list[Proposal]) -> History:
    return replace(history, trials=(*history.trials, *(TrialRecord(p.id, p) for p in found)))
