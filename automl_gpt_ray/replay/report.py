"""What a replay found, kind by kind: decisions that came out the same, that did not, and that cannot be derived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, final

MAX_SHOWN = 20
WIDTH = 120


@dataclass(frozen=True)
class Difference:
    """A decision that did not come out the same.

    Attributes:
        seq: Its number in the journal; 0 for what does not stand there.
        kind: What was decided.
        subject: Of whom or what.
        where: Which part of it differs first.
        recorded: That part in the journal.
        derived: That part as derived again.
    """

    seq: int
    kind: str
    subject: str
    where: str
    recorded: str
    derived: str


@dataclass
class Tally:
    """How many decisions of one kind came out how. `reasons` counts why some cannot be derived."""

    same: int = 0
    different: int = 0
    not_derivable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Report:
    """What a replay came to.

    Attributes:
        journal: The file.
        events: Readable events in it.
        tallies: Kind of decision to its counts.
        differences: The first ones.
        notes: What a reader must know: damage, an unfinished run, other versions of the software.
    """

    journal: str
    events: int
    tallies: dict[str, Tally]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> int:
        """Decisions that came out the same."""
        return sum(tally.same for tally in self.tallies.values())

    @property
    def different(self) -> int:
        """Decisions that did not come out the same."""
        return sum(tally.different for tally in self.tallies.values())

    @property
    def not_derivable(self) -> int:
        """Decisions that cannot be derived from the journal."""
        return sum(tally.not_derivable for tally in self.tallies.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "journal": self.journal,
            "events": self.events,
            "same": self.same,
            "different": self.different,
            "not_derivable": self.not_derivable,
            "kinds": {kind: {**vars(tally), "reasons": dict(tally.reasons)} for kind, tally in self.tallies.items()},
            "differences": [vars(difference) for difference in self.differences],
            "notes": list(self.notes),
        }


@final
class Findings:
    """Collects what a replay finds, event by event.

    Args:
        plain: Turns a record into the JSON values by which it is compared.
    """

    def __init__(self, plain: Callable[[Any], Any]) -> None:
        self._plain = plain
        self.tallies: dict[str, Tally] = {}
        self.differences: list[Difference] = []

    def compare(self, kind: str, seq: int, subject: str, recorded: Any, derived: Any) -> bool:
        """Count a decision as the same or different, and return which."""
        where = next(unequal(self._plain(recorded), self._plain(derived)), None)
        if where is None:
            self._tally(kind).same += 1
        else:
            self.different(kind, seq, subject, *where)
        return where is None

    def same(self, kind: str) -> None:
        """Count a decision as the same."""
        self._tally(kind).same += 1

    def different(self, kind: str, seq: int, subject: str, where: str, recorded: str, derived: str) -> None:
        """Count a decision as different and say in what."""
        self._tally(kind).different += 1
        if len(self.differences) < MAX_SHOWN:
            self.differences.append(Difference(seq, kind, subject, where, recorded, derived))

    def not_derivable(self, kind: str, reason: str) -> None:
        """Count a decision as one that cannot be derived."""
        tally = self._tally(kind)
        tally.not_derivable += 1
        tally.reasons[reason] += 1

    def _tally(self, kind: str) -> Tally:
        return self.tallies.setdefault(kind, Tally())


def unequal(recorded: Any, derived: Any, where: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (path, recorded, derived) for each leaf in which two JSON values differ."""
    if isinstance(recorded, dict) and isinstance(derived, dict):
        for name in [*recorded, *(n for n in derived if n not in recorded)]:
            inner = f"{where}.{name}" if where else str(name)
            yield from unequal(recorded.get(name, _MISSING), derived.get(name, _MISSING), inner)
    elif isinstance(recorded, list) and isinstance(derived, list):
        for index in range(max(len(recorded), len(derived))):
            one, other = (side[index] if index < len(side) else _MISSING for side in (recorded, derived))
            yield from unequal(one, other, f"{where}[{index}]")
    elif recorded != derived or isinstance(recorded, bool) != isinstance(derived, bool):
        yield (where, *_shown(recorded, derived))


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def _shown(recorded: Any, derived: Any) -> tuple[str, str]:
    texts = tuple(side if isinstance(side, str) else repr(side) for side in (recorded, derived))
    # Long texts, prompts above all, are shown from shortly before where they part.
    parts = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = 0 if max(map(len, texts)) <= WIDTH else max(0, parts - WIDTH // 4)
    cut = tuple(
        ("…" if start else "") + t[start : start + WIDTH] + ("…" if len(t) > start + WIDTH else "") for t in texts
    )
    return cut[0], cut[1]
