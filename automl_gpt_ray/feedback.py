"""What a person says while a run goes on: words for the language model, and hints that need none.

Plain frozen values; `hints` applies them, prompts show them. The words are somebody's: untrusted text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = str | int | float | bool | None
"""A value of a hyperparameter, as `records.Scalar`."""

MAX_TEXT = 1000
"""Characters of one remark."""

SHOWN = 5
"""Latest remarks that a prompt holds."""


@dataclass(frozen=True)
class Feedback:
    """One remark of a person.

    Attributes:
        id: Short, unique within a run.
        text: What they said; may be empty where there are hints.
        fixed: Hyperparameter to the value that further proposals must have.
        narrowed: Hyperparameter to the lowest and highest value that further proposals may have.
        freed: Hyperparameters of which earlier hints hold no longer.
        version: Of the history, when it was given; 0 before it was written down.
    """

    id: str
    text: str = ""
    fixed: Mapping[str, Value] = field(default_factory=dict)
    narrowed: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    freed: tuple[str, ...] = ()
    version: int = 0

    @property
    def has_hints(self) -> bool:
        """Whether it says more than words."""
        return bool(self.fixed or self.narrowed or self.freed)


def told_at(feedback: Sequence[Feedback], version: int) -> tuple[Feedback, ...]:
    """Return the remarks that a prompt made at `version` of the history holds, oldest first."""
    return tuple([f for f in feedback if f.version <= version and (f.text or f.has_hints)][-SHOWN:])
