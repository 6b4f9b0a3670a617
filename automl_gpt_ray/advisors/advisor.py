"""The seam to whoever proposes configurations.

    proposals = advisor.propose(history, 3)      # blocks; run it off the event loop
    ...train them; the next history holds their trials...

The same history gives the same proposals (language models aside), so a run can be replayed from its
journal. Implementations: `language`, `classical`, `local`; `default_first` and `mixture` combine them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from automl_gpt_ray.records import Config, History, PredictedLog, Proposal
from automl_gpt_ray.space import SearchSpace


@runtime_checkable
class Advisor(Protocol):
    """Something that proposes configurations to train."""

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` proposals, best first, none of them already tried or pending.

        Args:
            history: All that is known of the run.
            n: How many are wanted, at least 1. Fewer may come back, never more.

        Raises:
            AdviceError: Nothing can be proposed now; ask somebody else.
        """
        ...


def proposal(
    source: str,
    history: History,
    index: int,
    config: Mapping[str, object],
    reason: str,
    predicted_log: PredictedLog | None = None,
    notes: tuple[str, ...] = (),
) -> Proposal:
    """Compose a proposal whose id tells its source and the history version it was made from."""
    return Proposal(
        id=f"{source}-{history.version}-{index}",
        config=dict(config),  # type: ignore[arg-type]
        reason=reason,
        source=source,
        predicted_log=predicted_log,
        history_version=history.version,
        notes=notes,
    )


def taken(space: SearchSpace, history: History) -> set[str]:
    """Return the keys of every configuration that ran, runs or waits."""
    known: list[Config] = [t.config for t in history.trials]
    return {space.key(config) for config in [*known, *(p.config for p in history.pending)]}


def generator(seed: int, history: History, salt: int) -> np.random.Generator:
    """Return a source of randomness that depends on the run's seed and the history alone."""
    return np.random.default_rng([seed, salt, history.version])
