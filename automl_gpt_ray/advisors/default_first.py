"""The default configuration first, then whatever another advisor proposes.

Every method starts from the same default (much of a language model's "warm start" is the default
configuration), so this is one wrapper that all of them share.
"""

from __future__ import annotations

from typing import final

from automl_gpt_ray.advisors.advisor import Advisor, proposal, taken
from automl_gpt_ray.curves.outlook import outlook
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.records import History, Proposal
from automl_gpt_ray.space import SearchSpace

SOURCE = "default"


@final
class DefaultFirst:
    """Proposes the space's default once, then defers.

    Args:
        advisor: Asked for everything but the default.
        space: Holds the default configuration.
    """

    def __init__(self, advisor: Advisor, space: SearchSpace) -> None:
        self._advisor, self._space = advisor, space

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return the default where it was never tried, and the advisor's proposals after it."""
        first = default_proposal(self._space, history)
        if first is None:
            return self._advisor.propose(history, n)
        if n == 1:
            return [first]
        try:
            others = self._advisor.propose(history, n - 1)
        except AdviceError:
            return [first]  # whoever cannot propose now will say so again when the default has run
        # The advisor was not told of the default, and may have come upon it by itself.
        return [first, *(p for p in others if p.key != first.key)]


def default_proposal(space: SearchSpace, history: History) -> Proposal | None:
    """Return the default configuration as a proposal; None once it ran or waits."""
    first = the_default(space, history)
    return None if first.key in taken(history) else first


def the_default(space: SearchSpace, history: History) -> Proposal:
    """Return the default configuration as a proposal, whether it was tried or not."""
    reason = "the default configuration: what everything else must beat"
    return proposal(SOURCE, history, 0, space.default, reason, outlook(history, space, [space.default])[0])
