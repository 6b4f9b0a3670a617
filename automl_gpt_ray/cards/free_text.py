"""Free text in cards: words that others wrote, made safe to pass on and to print.

Length-capped and without control characters; what the words say is nobody's to trust.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

MAX_TEXT = 20_000
"""Longest text a card may hold, in characters: about four pages, more than any prompt quotes."""


def printable(text: str) -> str:
    """Return `text` without control and formatting characters (ANSI escapes, NUL, bidirectional marks).

    Line breaks and tabs stay: they are layout. Lone surrogates go: they cannot be written as UTF-8.
    """
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def _cleaned(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


# Cleaned first: a name of control characters only is an empty name.
FreeText = Annotated[str, Field(max_length=MAX_TEXT), BeforeValidator(_cleaned)]
"""A text field of a card: at most `MAX_TEXT` characters, control characters removed."""
