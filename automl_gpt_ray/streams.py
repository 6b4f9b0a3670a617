"""Standard output and standard error: what a text becomes that they cannot encode."""

from __future__ import annotations

import sys
from io import TextIOWrapper


def speak_utf8() -> None:
    """Write UTF-8 into files and pipes, whatever the locale; spell out what a terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not so within a notebook, and None without a console
            # Our own reader takes UTF-8 alone, and a card may be written here.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
