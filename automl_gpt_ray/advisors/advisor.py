"""The seam to whoever proposes configurations.

    proposals = advisor.propose(history, 3)      # blocks; run it off the event loop
    ...train them; the next history holds their trials...

The same history gives the same proposals (language models aside), so a run can be replayed from its
journal. Implementations: `language`, `classical`, `local`; `default_first` and `mixture` combine them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, final, runtime_checkable

import numpy as np

from automl_gpt_ray.curves.outlook import outlook
from automl_gpt_ray.curves.reading import Reader
from automl_gpt_ray.records import Config, History, PredictedLog, Proposal, TrialRecord
from automl_gpt_ray.space import SearchSpace

SMALL = 2000
"""Spaces of up to this many configurations are searched through to the last."""


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


@runtime_checkable
class Closable(Protocol):
    """An advisor that holds something open."""

    def close(self) -> None:
        """Let go of it; a call under way may fail with AdviceError."""
        ...


def forecast(proposals: Sequence[Proposal], history: History, reader: Reader) -> list[Proposal]:
    """Return the proposals, each with what is forecast of it (`curves.outlook`); `reader` is the run's."""
    logs = outlook(history, reader.space, [p.config for p in proposals], reader)
    return [replace(p, predicted_log=log) for p, log in zip(proposals, logs, strict=True)]


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


@final
class _Tried:
    """The keys of a history's trials; those of a later history of the same run cost only what is new."""

    def __init__(self) -> None:
        self._known: tuple[tuple[TrialRecord, ...], frozenset[str]] = ((), frozenset())

    def keys(self, trials: tuple[TrialRecord, ...]) -> frozenset[str]:
        """Return the keys of `trials`; safe to call from several threads."""
        before, keys = self._known
        last = len(before) - 1
        # Trials only follow each other; where one was taken out, all after it moved.
        grown = last < len(trials) and all(trials[i].proposal is before[i].proposal for i in {0, last} if last >= 0)
        rest = trials[len(before) :] if grown else trials
        keys = keys.union(t.proposal.key for t in rest) if grown else frozenset(t.proposal.key for t in rest)
        self._known = (trials, keys)
        return keys


_TRIED = _Tried()


def taken(history: History) -> set[str]:
    """Return the `SearchSpace.key`s of every configuration that ran, runs or waits."""
    return {*_TRIED.keys(history.trials), *(p.key for p in history.pending)}


def untried(
    space: SearchSpace, known: Collection[str], draw: Callable[[], Config], rng: np.random.Generator, tries: int
) -> Config | None:
    """Return a configuration whose key is not in `known`; None once there is none, as far as can be told.

    Args:
        space: A small finite one is searched through where drawing brings nothing new.
        known: Keys not to be had again.
        draw: Makes a configuration.
        rng: Chooses among those that were left over.
        tries: Draws at most.
    """
    for _ in range(tries):
        config = draw()
        if space.key(config) not in known:
            return config
    left = [config for config in space.configurations(SMALL) or () if space.key(config) not in known]
    return left[int(rng.integers(len(left)))] if left else None


def generator(seed: int, history: History, salt: int) -> np.random.Generator:
    """Return a source of randomness that depends on the run's seed and the history alone."""
    return np.random.default_rng([seed, salt, history.version])
