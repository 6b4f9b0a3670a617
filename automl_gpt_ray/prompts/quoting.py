"""Putting untrusted text into a prompt so that it stays data.

Every value that did not come from this package's own templates goes through `quoted`: control
characters are stripped, the length is capped, and `<` and `>` are written as JSON escapes, so that no
card, log or feedback can close the block it stands in.
"""

from __future__ import annotations

import json
import math
import unicodedata
from typing import Any

MAX_TEXT = 1500


def quoted(value: Any, limit: int = MAX_TEXT) -> str:
    """Return `value` as JSON on one line, safe inside a delimited block."""
    text = json.dumps(_clean(value, limit), ensure_ascii=False, sort_keys=False, allow_nan=True)
    return escaped(text)


def escaped(json_text: str) -> str:
    """Return JSON text with `<`, `>` and what cannot be printed as escapes: equal as JSON, unable to form a tag."""
    text = json_text.replace("<", "\\u003c").replace(">", "\\u003e")
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def cleaned(text: str, limit: int) -> str:
    """Return the beginning of `text` without control characters; line ends and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text[:limit])


def number(value: float | None) -> str:
    """Return a number of four significant digits; `NaN` and `-` for missing."""
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else ("NaN" if value != value else "inf")


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
    kept = (c if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Cn") else " " for c in text[: 4 * limit])
    text = " ".join("".join(kept).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
