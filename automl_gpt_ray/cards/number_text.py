"""Numbers as people write them: `1.234,5` and `1,234.5` as `1234.5`.

Knows texts only; what describes a file and what reads it for training both take this reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from automl_gpt_ray.cards.data_card import MISSING

Decimal = Literal[".", ","]
Thousands = Literal[",", ".", " ", "'"]

PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
"""A number as a program writes it: a pattern of `re` and of Arrow."""
_PLAIN = re.compile(PLAIN)


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a file are written.

    Attributes:
        decimal: Before the fraction.
        thousands: Between groups of three digits; None where there is nothing.
    """

    decimal: Decimal = "."
    thousands: Thousands | None = None

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as a program writes them."""
        return self == NumberStyle()

    def plain(self, values: Any) -> Any:
        """Return an Arrow array or column of texts in which each number of this style is written plainly."""
        if self.is_plain:
            return values
        values = pc.utf8_trim_whitespace(values)
        bare = pc.replace_substring(values, self.thousands, "") if self.thousands else values
        written = pc.replace_substring(bare, self.decimal, ".")
        return pc.if_else(pc.match_substring_regex(values, f"^{self._pattern}$"), written, values)

    def writes(self, column: Sequence[str]) -> bool:
        """Return whether all values of a column are numbers of this style, and some of no other."""
        filled = [text for value in column if (text := value.strip()) not in MISSING]
        return all(re.fullmatch(self._pattern, text) for text in filled) and not all(map(_PLAIN.fullmatch, filled))

    @property
    def _pattern(self) -> str:
        groups = rf"[1-9]\d{{0,2}}({re.escape(self.thousands)}\d{{3}})+|" if self.thousands else ""
        return rf"[+-]?({groups}\d+)({re.escape(self.decimal)}\d*)?([eE][+-]?\d+)?"


_COMMA, _GROUPED = NumberStyle(","), NumberStyle(".", ",")
_BOTH = NumberStyle(",", ".")


def style_of(columns: Iterable[Sequence[str]], separator: str) -> NumberStyle:
    """Return the style in which some column is written throughout; plain where there is none.

    `1,234` is read as the file's separator suggests: `;` is written where the comma stands in numbers, and between
    commas `1,2` may be a list.
    """
    found = list(columns)
    orders = {";": (_COMMA, _BOTH, _GROUPED), ",": (_GROUPED,)}.get(separator, (_GROUPED, _COMMA, _BOTH))
    style = next((style for style in orders if any(map(style.writes, found))), NumberStyle())
    # Groups may stand in another column than the fractions.
    return _BOTH if style == _COMMA and any(_has_groups(column) for column in found) else style


def _has_groups(column: Sequence[str]) -> bool:
    return _BOTH.writes(column) and not _COMMA.writes(column)


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
