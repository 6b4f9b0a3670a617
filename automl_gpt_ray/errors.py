"""The errors of the package, and what a caller does about each.

    AutoMLGPTError
    ├── InputError          stop: something a person wrote is wrong; every problem is listed
    │   ├── CardError       a Data Card, Model Card or Request
    │   ├── SpaceError      a search space, or a configuration outside it
    │   ├── JobError        a job file, an override, or an argument
    │   └── DataError       data that is missing, unreadable or not what its card says
    ├── LLMError            the language model gave no usable text
    │   ├── LLMUnavailable  retry, then follow the outage policy (timeout, reset, 429, 5xx)
    │   └── LLMRejected     do not retry: the server refuses this request (key, model name, size)
    │       └── LLMBudgetExceeded  ask no more in this run: calls, tokens or money are spent
    ├── AdviceError         fall back to another advisor: this one has no proposal now
    │   ├── AdviceUnusable  the same; several in a row are an outage (rubbish, refusals, cut-off replies)
    │   ├── AdviceRejected  an outage that retrying will hardly end (key, model name): ask ever more rarely
    │   └── AdviceSpent     ask this advisor no more in this run: its budget is spent
    ├── TrainingError       the trial failed; carries the class of failure that advisors learn from
    └── JournalError        stop: the record of the run cannot be read or written

An `InputError` is shown to a person as it is, without a traceback.
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:  # every command begins with this module, `--help` too
    from pydantic import ValidationError

Known = Callable[[Sequence[str]], Iterable[str]]
"""Path of a key to the keys that are allowed there."""
MAX_SHOWN = 120
MAX_LISTED = 40
_SECRET = re.compile(r"(^|[._])(key|token|secret|password)$", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    Attributes:
        field: Where, as a dotted path (`hyperparameters.eta.low`).
        rule: What must hold there.
        got: The value found, shortened; empty when the field is absent.
        remedy: What to do about it.
    """

    field: str
    rule: str
    got: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        # A key in the wrong place is still a key.
        shown = "what is not shown" if _SECRET.search(self.field) else self.got
        got = f", got {shown}" if self.got else ""
        remedy = f". {self.remedy[0].upper()}{self.remedy[1:]}" if self.remedy else ""
        text = f"`{self.field}`: {self.rule}{got}{remedy}"
        return text if text.endswith(("?", "…", ".")) else f"{text}."


class FieldProblems(ValueError):
    """Raised by a pydantic validator that found several problems; fields are relative to its own."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class AutoMLGPTError(Exception):
    """Every error this package raises on purpose."""


class InputError(AutoMLGPTError):
    """Something a person wrote is wrong. Holds all the problems found, not the first.

    Args:
        source: The file or object that was read, for the first line of the message.
        problems: At least one problem.
    """

    noun: ClassVar[str] = "input"

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{self.source}: {count} problem{'s' if count != 1 else ''} in the {self.noun}"
        return "\n".join([head, *(f"  - {problem}" for problem in self.problems)])


class CardError(InputError):
    """A Data Card, Model Card or Request cannot be used as written."""

    noun = "card"


class SpaceError(InputError):
    """A search space is ill-formed, or a configuration lies outside it."""

    noun = "search space"


class JobError(InputError):
    """A job file, a command-line override or an argument cannot be used."""

    noun = "job"


class DataError(InputError):
    """Data is missing, unreadable, or does not match its Data Card."""

    noun = "data"


class LLMError(AutoMLGPTError):
    """The language model gave no usable text."""


class LLMUnavailable(LLMError):
    """The server did not answer this time: retry, then follow the outage policy.

    Args:
        message: What happened, without any key or header.
        retry_after: Seconds the server asked us to wait, where it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LLMRejected(LLMError):
    """The server answered that it will not serve this request; retrying cannot help."""


class LLMBudgetExceeded(LLMRejected):
    """The run may not ask the model again: its calls, tokens or money are spent."""


class AdviceError(AutoMLGPTError):
    """An advisor has no proposal or review now; the caller falls back to another one.

    Args:
        message: Why.
        outage: Whether the cause is a language model that cannot be reached or will not answer, so
            that the outage policy applies, rather than a passing lack of ideas.
    """

    def __init__(self, message: str, outage: bool = False) -> None:
        super().__init__(message)
        self.outage = outage


class AdviceUnusable(AdviceError):
    """The advisor answered, but nothing in its answer could be used."""


class AdviceRejected(AdviceError):
    """The advisor's language model refuses to serve this run."""


class AdviceSpent(AdviceError):
    """The advisor may not be asked again in this run: its tokens or money are spent."""


class TrainingError(AutoMLGPTError):
    """A trial failed for a reason that depends on its configuration.

    Args:
        kind: Class of failure shown to advisors: `nan`, `oom`, `timeout` or `error`.
        message: What happened, for a person.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class JournalError(AutoMLGPTError):
    """The journal cannot be read or written; going on would lose the record of the run."""


class _BoundedRepr(reprlib.Repr):
    """A repr whose cost is bounded too: a few YAML aliases can stand for a list of billions."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple = 4, 8, 12, 12
        self.maxstring = self.maxother = self.maxlong = 2 * MAX_SHOWN

    def repr_str(self, x: str, level: int) -> str:
        """Cut at the end, where `reprlib` cuts in the middle: readers compare beginnings."""
        return repr(x[: self.maxstring])


_REPR = _BoundedRepr()


def shown(value: Any) -> str:
    """Return `value` as it appears in an error message: short, on one line."""
    text = " ".join(_REPR.repr(value).split())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def reason_of(error: OSError) -> str:
    """Return why a file could not be read or written, without its name; some errors have but a text."""
    return error.strerror or first_line(error)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean `x`?" for the closest known word, or the list of known ones."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    more = ", …" if len(words) > MAX_LISTED else ""
    return f"known: {', '.join(f'`{w}`' for w in words[:MAX_LISTED])}{more}" if words else ""


def problems_of(error: ValidationError, known: Known = lambda path: ()) -> list[Problem]:
    """Translate pydantic's errors into `Problem`s, one a field.

    Args:
        error: What pydantic raised.
        known: Returns the keys that are allowed beside the one at a path, for suggestions on unknown ones.
    """
    return [p for item in error.errors(include_url=False) for p in _problems(dict(item), known)]


_TAGS = frozenset({"float", "int", "choice", "constant"})


def _problems(item: dict[str, Any], known: Known) -> list[Problem]:
    error = item.get("ctx", {}).get("error")
    if not isinstance(error, FieldProblems):
        return [_problem(item, known)]
    path = [str(part) for part in item["loc"] if part not in _TAGS]
    return [replace(p, field=".".join([*path, p.field] if p.field else path)) for p in error.problems]


def _problem(item: dict[str, Any], known: Known) -> Problem:
    # pydantic puts the tag of a discriminated union into the path; a reader's file has no such key.
    path = [str(part) for part in item["loc"] if part not in _TAGS]
    field = ".".join(path) or "(whole)"
    kind, value = item["type"], item.get("input")
    if kind == "extra_forbidden":
        return Problem(field, "unknown key", shown(value), did_you_mean(path[-1], known(path)) or "remove it")
    if kind == "missing":
        return Problem(field, "required key is missing", remedy="add it")
    if kind == "value_error":
        error = item.get("ctx", {}).get("error")
        rule, _, remedy = str(error).partition(" | ")
        return Problem(field, rule, shown(value), remedy)
    remedy = f"write `[{shown(value)}]`" if kind == "list_type" and isinstance(value, str | int | float) else ""
    return Problem(field, item["msg"][0].lower() + item["msg"][1:], shown(value), remedy)


def finite(value: float | None) -> bool:
    """Return whether `value` is a number (not None, NaN or infinite)."""
    return value is not None and math.isfinite(value)
