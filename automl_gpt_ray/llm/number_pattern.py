"""Regular expressions for the numbers of a range, of bounded length.

A model held to the grammar of JSON alone may write digits until its token limit; held to these
patterns it stops after four significant ones and cannot leave the range. Pure; knows no schema.

    decimal_pattern(0.001, 0.5)     matches 0.001, 0.0375, 0.5 and 1.2e-3; not 0.6, 0.03751 or .5
    integer_pattern(3, 120)         matches 3, 42 and 120; not 2, 007 or 121

Notation: a *prefix* is a number being written, held as an integer of its digits with `places` of
them after the point; with d more digits it covers [prefix, prefix + 1) / 10**places.
"""

from __future__ import annotations

from decimal import Decimal

SIGNIFICANT = 4
"""Digits of a number counted from the first that is not zero."""

MAX_PLACES = 8
"""Digits after the point; what is smaller is written with an exponent."""

MAX_WHOLE = 10**9
"""Whole numbers of this size and more are written with an exponent, where the type allows it."""

_ZERO, _ONE = Decimal(0), Decimal(1)
_LAST = Decimal(10) - Decimal(1).scaleb(1 - SIGNIFICANT)


def integer_pattern(low: int, high: int) -> str:
    """Return a pattern of the whole numbers from `low` to `high`, without leading zeros.

    Raises:
        ValueError: The range is empty.
    """
    if low > high:
        raise ValueError(f"`low` <= `high` must hold, got {low} > {high}")
    parts = []
    if low < 0:
        parts.append("-" + _group(_whole(max(1, -high), -low)))
    if high >= 0:
        parts += _whole(max(0, low), high)
    return _group(parts)


def decimal_pattern(low: float, high: float) -> str:
    """Return a pattern of decimal numbers in [low, high], of up to four significant digits.

    The ends are compared exactly, as the decimal numbers that Python prints for them.

    Raises:
        ValueError: The range is empty, or holds no number that short.
    """
    a, b = Decimal(repr(float(low))), Decimal(repr(float(high)))
    parts = []
    if a < 0:
        parts += [f"-{_group(part)}" for part in [_positive(max(_ZERO, -b), -a)] if part]
    if b >= 0:
        parts += _positive(max(_ZERO, a), b)
    if not parts:
        raise ValueError(f"no number of {SIGNIFICANT} digits lies in [{low!r}, {high!r}]")
    return _group(parts)


def _positive(low: Decimal, high: Decimal) -> list[str]:
    return _plain(low, min(high, Decimal(MAX_WHOLE))) + _with_exponent(low, high)


def _plain(low: Decimal, high: Decimal) -> list[str]:
    """Numbers without an exponent: those of whole units inside the range, and the two at its ends."""
    if low > high:
        return []
    first, last = int(low), int(high)
    ends = {first, last}
    parts = [pattern for whole in sorted(ends) if (pattern := _unit(whole, low, high))]
    if last - first > 1:
        # Long whole numbers take no digits after the point: they have their four already.
        parts += [part + _decimals(len(part_end)) for part, part_end in _by_length(first + 1, last - 1)]
    return parts


def _by_length(low: int, high: int) -> list[tuple[str, str]]:
    """Patterns of whole numbers, each with an example of its length."""
    found = []
    for length in range(len(str(low)), len(str(high)) + 1):
        a, b = max(low, 10 ** (length - 1) if length > 1 else 0), min(high, 10**length - 1)
        found.append((_group(_whole(a, b)), str(a)))
    return found


def _decimals(whole_digits: int) -> str:
    left = SIGNIFICANT - whole_digits
    return rf"(\.[0-9]{{1,{left}}})?" if left > 0 else ""


def _unit(whole: int, low: Decimal, high: Decimal) -> str:
    """Numbers in [whole, whole + 1) and in the range."""
    left = MAX_PLACES if whole == 0 else max(1, SIGNIFICANT - len(str(whole)))
    tail = _fraction(whole, 0, left, low, high)
    bare = low <= whole <= high
    if not tail:
        return str(whole) if bare else ""
    return rf"{whole}(\.{tail})" + ("?" if bare else "")


def _fraction(prefix: int, places: int, left: int, low: Decimal, high: Decimal) -> str:
    """What may follow `prefix` after the point: at least one and at most `left` digits."""
    if left == 0:
        return ""
    inside: dict[int, str] = {}
    parts = []
    for digit in range(10):
        longer = prefix * 10 + digit
        # The first digit that is not zero opens the significant ones.
        room = min(left - 1, SIGNIFICANT - 1) if longer and not prefix else left - 1
        start, end = _scaled(longer, places + 1), _scaled(longer + 1, places + 1)
        if longer and low <= start and end <= high:
            inside[room] = inside.get(room, "") + str(digit)
        elif start <= high and end > low:
            parts.append(_partial(digit, low <= start, _fraction(longer, places + 1, room, low, high)))
    parts += [f"[{digits}][0-9]{{0,{room}}}" for room, digits in inside.items()]
    return _group([part for part in parts if part]) if any(parts) else ""


def _partial(digit: int, complete: bool, tail: str) -> str:
    if tail:
        return f"{digit}{tail}" + ("?" if complete else "")
    return str(digit) if complete else ""


def _with_exponent(low: Decimal, high: Decimal) -> list[str]:
    """Numbers as Python and people write small and large ones: `2.5e-05`, `1e-5`, `1e+16`."""
    if high == 0:
        return []
    whole, parts = [], []
    least = low if low > 0 else high.scaleb(-MAX_PLACES)
    for power in range(least.adjusted(), high.adjusted() + 1):
        a, b = max(_ONE, low.scaleb(-power)), min(_LAST, high.scaleb(-power))
        if -4 < power < len(str(MAX_WHOLE)) - 1 or a > b:
            continue
        if (a, b) == (_ONE, _LAST):
            whole.append(_exponent(power))
        else:
            parts += [f"{_group(_plain(a, b))}{_exponent(power)}"]
    full = rf"[1-9](\.[0-9]{{1,{SIGNIFICANT - 1}}})?{_group(whole)}"
    return [*parts, full] if whole else parts


def _exponent(power: int) -> str:
    return rf"e\+?{power}" if power > 0 else f"e-0?{-power}"


def _whole(low: int, high: int) -> list[str]:
    """Patterns of the whole numbers from `low` to `high`, both 0 or more."""
    parts = []
    for length in range(len(str(low)), len(str(high)) + 1):
        a, b = max(low, 10 ** (length - 1) if length > 1 else 0), min(high, 10**length - 1)
        parts += _same_length(str(a), str(b))
    return parts


def _same_length(low: str, high: str) -> list[str]:
    """Patterns of the texts of digits between two of equal length."""
    rest = len(low) - 1
    if low == "0" * len(low) and high == "9" * len(high):
        return [f"[0-9]{{{len(low)}}}" if low else ""]
    if low[0] == high[0]:
        return [low[0] + _group(_same_length(low[1:], high[1:]))]
    first, last = int(low[0]), int(high[0])
    parts = []
    if low[1:] != "0" * rest:
        parts.append(f"{first}{_group(_same_length(low[1:], '9' * rest))}")
        first += 1
    if high[1:] != "9" * rest:
        parts.append(f"{last}{_group(_same_length('0' * rest, high[1:]))}")
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return parts


def _scaled(digits: int, places: int) -> Decimal:
    return Decimal(digits).scaleb(-places)


def _group(parts: list[str]) -> str:
    return f"({'|'.join(parts)})" if any(parts) else ""
