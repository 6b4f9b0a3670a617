"""The course of a run, told again from its journal: what was known, and who advised, at each moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.insight import insight_of
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.advisors.recipe import NotDerivable, rebuild
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import AdviceGiven, RunResumed, RunStarted, TeamFormed
from automl_gpt_ray.journal import SKIPPED, Entry
from automl_gpt_ray.lanes import LOCAL_RULES, LaneRule
from automl_gpt_ray.queue_rules import FIRST, START
from automl_gpt_ray.records import History
from automl_gpt_ray.replay.calls import Calls, Retold

NO_TEAM = "the journal does not say who advised"
LOST = "events before it cannot be read"


@final
class Course:
    """Applies entries one by one and answers with what was known.

    Keeps no more of the past than what later events were decided from.

    Args:
        last_use: Version of the history to the number of the last event decided from it.
    """

    def __init__(self, last_use: Mapping[int, int]) -> None:
        self.book = Book()
        self._last_use = last_use
        self._moments: dict[int, History] = {}
        self._expiry: dict[int, list[int]] = defaultdict(list)
        self._seq = 0
        self._lost = False
        self._brief: Brief | None = None
        self._calls: Calls | None = None
        self._advisor: Advisor | None = None

    def arrive(self, entry: Entry) -> None:
        """Note that `entry` comes next, before it is applied."""
        self._lost = self._lost or entry.seq != self._seq + 1
        self._seq = entry.seq

    def apply(self, entry: Entry) -> None:
        """Let `entry` have happened."""
        event = entry.event
        if isinstance(event, RunResumed) and SKIPPED in event.reason:
            self._lost = False  # whoever went on knew no more than we do
        if self.book.started is None and not isinstance(event, RunStarted):
            return
        self.book.apply(entry)
        if isinstance(event, RunStarted) and event.brief:
            self._brief = Brief.from_dict(event.brief)
        if isinstance(event, TeamFormed) and self._brief:
            self._form(event, self._brief)
        if isinstance(event, RunResumed) and self._calls:
            self._calls.resumed()
        self._remember(entry.seq)

    def moment(self, version: int) -> History:
        """Return what was known at `version`.

        Raises:
            NotDerivable: The journal does not tell.
        """
        if version not in self._moments:
            raise NotDerivable(LOST if self._lost else f"the journal does not hold version {version} of the history")
        return self._moments[version]

    @property
    def whole(self) -> bool:
        """Whether every event up to now is known."""
        return not self._lost and self.book.started is not None

    @property
    def now(self) -> Book:
        """The run as it stands; NotDerivable when that is not fully known."""
        if not self.whole:
            raise NotDerivable(LOST)
        return self.book

    @property
    def brief(self) -> Brief:
        """What is tuned; NotDerivable when the journal does not tell."""
        if self._brief is None:
            raise NotDerivable("the journal does not say what was tuned")
        return self._brief

    @property
    def team(self) -> TeamFormed:
        """Who advises; NotDerivable when the journal does not tell."""
        if self.book.team is None:
            raise NotDerivable(NO_TEAM)
        return self.book.team

    @property
    def advisor(self) -> Advisor:
        """The one who advises, put together again; NotDerivable when the journal does not tell."""
        if self._advisor is None:
            raise NotDerivable(NO_TEAM)
        return self._advisor

    @property
    def calls(self) -> Calls:
        """The calls of the language model; NotDerivable when the journal does not tell who advises."""
        if self._calls is None:
            raise NotDerivable(NO_TEAM)
        return self._calls

    @property
    def mixture(self) -> Mixture:
        """The advisor, where it is a mixture; NotDerivable otherwise."""
        if not isinstance(self.advisor, Mixture):
            raise NotDerivable("the run's advisor is not a mixture of this package's")
        return self.advisor

    @property
    def rules(self) -> dict[str, LaneRule]:
        """The rule of each source's queue."""
        return {source: LOCAL_RULES.get(source, LaneRule()) for source in self.mixture.advisors}

    def _form(self, team: TeamFormed, brief: Brief) -> None:
        self._calls = self._calls or Calls(brief, insight_of(brief.space, team.seed))
        self._advisor = rebuild(team.recipe, brief, Retold(self._calls))

    def _remember(self, seq: int) -> None:
        if seq in self._last_use and not self._lost:
            self._moments[seq] = self.book.history()
            self._expiry[self._last_use[seq]].append(seq)
        for version in self._expiry.pop(seq, ()):
            self._moments.pop(version, None)


def kind_of(event: AdviceGiven) -> str:
    """Return the kind of decision that advice is, in words."""
    first = FIRST[0] if event.source == START else event.source
    return f"{first} proposals"
