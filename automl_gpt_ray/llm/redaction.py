"""Removing keys from text before a person, a log or a file sees it.

Knows what keys look like and where a process keeps them (its environment); knows nothing of
prompts, servers or files. Redaction errs on the side of removing too much.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

REDACTED = "[redacted]"

_SHORT = 8
"""A secret shorter than this is removed as a whole word only, or "abc" would eat into prose."""

_READ: set[str] = set()
"""Keys that this process has read from files."""

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)

# Order matters: a whole header goes before the scheme and the key inside it.
_PATTERNS = (
    re.compile(r"((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic|token)\s+)?[^\s\"',;}]+", re.I),
    re.compile(r"((?:x-)?api[-_ ]?key[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&}]+", re.I),
    # At least eight characters with a digit or of key length: "bearer of bad news" is prose.
    re.compile(r"(\bbearer\s+)(?=\S*\d|\S{24})[A-Za-z0-9._~+/=-]{8,}", re.I),
    # A digit is asked for, so that "sk-learn-pipeline" stays.
    # Within reach only: looked for to the end of a text at each of many "sk-", it would take quadratic time.
    re.compile(r"()\b[sp]k-(?=[A-Za-z0-9_-]{0,100}?\d)[A-Za-z0-9_-]{8,}"),
    re.compile(r"(\w://)[^\s/@]+(?=@)"),
    re.compile(r"([?&][\w-]{0,40}(?:key|token|secret|password|sig|signature)=)[^\s&\"']+", re.I),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` with `secrets`, and whatever looks like a key, replaced by `[redacted]`.

    Args:
        text: Anything that is about to be shown or stored.
        secrets: Exact values to remove, also where they are URL-quoted; empty ones are ignored.
    """
    for secret in sorted({s for s in secrets if s.strip()}, key=len, reverse=True):
        for form in {secret, quote(secret, safe="")}:
            text = _without(text, form)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


def key_in(file: str) -> str:
    """Return the key that a file holds, empty where it cannot be read; from now on it is one of `secrets_in`."""
    try:
        key = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    if key:
        _READ.add(key)
    return key


def secrets_in(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the values of variables named like secrets (`…_KEY`, `…_TOKEN`, `…_PASSWORD`), and of files read.

    Values under eight characters are left out: such variables often hold a flag or a file name.

    Args:
        environment: Where to look; by default the process's own environment, and the keys of `key_in`.
    """
    found = os.environ if environment is None else environment
    known = () if environment is not None else sorted(_READ)
    return (*(v for name, v in found.items() if _SECRET_NAME.search(name) and len(v) >= _SHORT), *known)


def _without(text: str, secret: str) -> str:
    if len(secret) >= _SHORT:
        return text.replace(secret, REDACTED)
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", REDACTED, text)
