"""Putting untrusted text into a prompt so that it stays data.

Every value that did not come from this package's own templates goes through `quoted`: control
characters are stripped, the length is capped, and `<` and `>` are written as JSON escapes, so that no
card, log or feedback can close the block it stands in. So are signs that a tokenizer may read as `<`,
marks such as `[INST]` that some models read as a change of speaker, and characters nobody can see.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

MAX_TEXT = 1500

# Letters and marks by category, yet nothing to see: fillers, joiners, variation selectors (which can
# carry a whole hidden message) and the empty Braille cell. Unicode's Default_Ignorable_Code_Point.
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff"
# `<` and `>`, also as tokenizers that normalise (NFKC) would read them.
_ANGLES = "<>\uff1c\uff1e\ufe64\ufe65"
# A structural `[` of JSON never stands before a capital letter and a `]`.
_UNSAFE = re.compile(rf"[{_ANGLES}{_INVISIBLE}]|[\[\uff3b](?=\s*/?[A-Z_]+\s*[\]\uff3d])")
_OPENINGS = re.compile(rf"[{_ANGLES}\[\uff3b](?=[/|\uff5c]?[A-Za-z_|\uff5c])")
_UNSEEN = re.compile(rf"[{_INVISIBLE}]")


def quoted(value: Any, limit: int = MAX_TEXT) -> str:
    """Return `value` as JSON on one line, safe inside a delimited block."""
    text = json.dumps(_clean(value, limit), ensure_ascii=False, sort_keys=False, allow_nan=True)
    return escaped(text)


def escaped(json_text: str) -> str:
    """Return JSON text with `<`, `>`, marks of a speaker and what cannot be seen as escapes.

    Equal as JSON, unable to form a tag.
    """
    text = _UNSAFE.sub(lambda found: _escape(found.group()), json_text)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def cleaned(text: str, limit: int) -> str:
    """Return the beginning of `text` without control characters and tags; line ends and tabs stay."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text[:limit])
    # A space breaks a tag or a control token, and leaves a comparison what it was.
    return _OPENINGS.sub(r"\g<0> ", _UNSEEN.sub(" ", shown))[:limit]


def number(value: float | None, digits: int = 4) -> str:
    """Return a number of so many significant digits; `NaN` and `-` for missing."""
    if value is None:
        return "-"
    return f"{value:.{digits}g}" if math.isfinite(value) else ("NaN" if value != value else "inf")


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if character in "<>[" else json.dumps(character)[1:-1]


def _clean(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _printable(value, limit)
    if isinstance(value, dict):
        return {_printable(str(k), limit): _clean(v, limit) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v, limit) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else value


def _printable(text: str, limit: int) -> str:
    # Cc and Cf hold control and invisible formatting characters; line ends become spaces.
    text = _UNSEEN.sub(" ", text[: 4 * limit])
    kept = (c if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Cn") else " " for c in text)
    text = " ".join("".join(kept).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
