"""The budget of a run: what it may use of each kind, what that costs, and which limit ended it.

    budget = Budget(steps=200, tokens=50_000)
    endings(budget, Used(steps=203))     # "the budget of 200 training steps was used up (203 spent)"

Pure arithmetic: knows no clock, no trial and no language model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from automl_gpt_ray.errors import FieldProblems, Problem
from automl_gpt_ray.records import Usage

INTERRUPTED = "interrupted"
"""What ended a run that nothing ended: its driver was told to stop."""

Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PerMillion = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    input: PerMillion
    output: PerMillion

    def of(self, usage: Usage) -> float:
        """Return the price of one call, in US dollars."""
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / 1e6


class Budget(BaseModel):
    """What a run may use; None is no limit. The first limit that is reached ends the run.

    At the end of `steps`, `seconds` and `gpu_hours` running trials are stopped where they are; at that of
    the others they run on to their end, for they cost none of it. Whatever ended it, a run keeps its best.

    Attributes:
        trials: Trials begun.
        steps: Training steps (epochs, rounds) over all trials.
        seconds: Wall-clock seconds of the search, those before an interruption included.
        gpu_hours: Seconds of training times the trial's share of GPUs, over all trials, in hours.
        tokens: Tokens sent to and received from the language model.
        money: US dollars for these, at `prices`.
        prices: Model name to its price; a name also covers its dated versions (`m` covers `m-2026-01-01`).
            What answers under a name that is not there is charged the highest prices of the table.
        after_tokens: What follows when tokens or money are spent: `stop` trains the proposals that are paid
            for and ends the run; `classical` asks no more and carries on without the language model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gpu_hours: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tokens: int | None = Field(default=None, ge=1)
    money: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    prices: dict[str, Price] = Field(default_factory=dict)
    after_tokens: Literal["stop", "classical"] = "stop"

    @field_validator("trials", "steps", "seconds", "gpu_hours", "tokens", "money", mode="before")
    @classmethod
    def _are_numbers(cls, value: Any) -> Any:
        return no_switch(value)

    @property
    def limits(self) -> dict[str, float]:
        """Kind to limit, of those that are limited."""
        return {kind: limit for kind in KINDS if (limit := getattr(self, kind)) is not None}

    def cost(self, models: Mapping[str, Usage]) -> float | None:
        """Return the US dollars that calls cost, by the model that answered; None without prices."""
        if not self.prices:
            return None
        return sum(self.price(model).of(usage) for model, usage in models.items())

    def price(self, model: str) -> Price:
        """Return the price of what answered under the name `model`; there must be prices."""
        highest = Price(max(p.input for p in self.prices.values()), max(p.output for p in self.prices.values()))
        return price_of(self.prices, model) or highest


@dataclass(frozen=True)
class Used:
    """What a run has used of each kind of its budget; `money` is None where no prices are known."""

    trials: int = 0
    steps: int = 0
    seconds: float = 0.0
    gpu_hours: float = 0.0
    tokens: int = 0
    money: float | None = None


@dataclass(frozen=True)
class Ending:
    """Why no further trial begins.

    Attributes:
        kind: A kind of budget, `space`, or `outage`.
        reason: For a person; completes "ended because …".
        at_once: Whether running trials are stopped too.
    """

    kind: str
    reason: str
    at_once: bool = False


# Kind -> what "the budget of N …" is of. Those that stop running trials come first: where two limits are
# reached at once, the one that did something is named.
KINDS = {
    "seconds": "seconds",
    "gpu_hours": "GPU-hours",
    "steps": "training steps",
    "tokens": "tokens",
    "money": "US dollars",
    "trials": "trials",
}
AT_ONCE = frozenset({"seconds", "gpu_hours", "steps"})
PAID = frozenset({"tokens", "money"})


def endings(budget: Budget, used: Used) -> list[Ending]:
    """Return every limit that `used` has reached; those that stop running trials first."""
    reached = []
    for kind, limit in budget.limits.items():
        spent = getattr(used, kind)
        if spent is not None and spent >= limit and not (kind in PAID and budget.after_tokens == "classical"):
            reached.append(Ending(kind, _reason(kind, limit, spent), kind in AT_ONCE))
    return reached


def price_of(prices: Mapping[str, Price], model: str) -> Price | None:
    """Return the price of `model`, or of the name it is a dated version of."""
    # Dated versions only: `m` must not price `m-mini`.
    fits = [name for name in prices if re.fullmatch(rf"{re.escape(name)}([-:@](\d[\d.-]*|latest))?", model)]
    return prices[max(fits, key=len)] if fits else None


SHORT_FORMS = {"trials": "trials", "time_budget_s": "seconds"}
"""Top-level key of a job -> what it is short for in `budget`."""


def filled_short_forms(values: Any) -> Any:
    """Return a job's raw values with `trials` and `time_budget_s` taken from `budget` where only that has them.

    Raises:
        FieldProblems: Both are given and differ.
    """
    budget = values.get("budget") if isinstance(values, Mapping) else None
    if not isinstance(budget, Mapping):
        return values
    filled, problems = dict(values), []
    for short, kind in SHORT_FORMS.items():
        limit = budget.get(kind)
        if limit is None:
            continue
        if filled.get(short) is None:
            # What is not a limit is left where it stands, to be named there.
            if _is_limit(limit) and (kind != "trials" or limit == int(limit)):
                filled[short] = limit
        elif filled[short] != limit:
            rule = f"must not differ from `{short}`, which is short for it and is {filled[short]}"
            problems.append(Problem(f"budget.{kind}", rule, str(limit), "remove one of them"))
    if problems:
        raise FieldProblems(problems)
    return filled


def no_switch(value: Any) -> Any:
    """Return the raw value of a number; ValueError for true and false, which count as 1 and 0 elsewhere."""
    if isinstance(value, bool):
        raise ValueError("must be a number | write how many")
    return value


def _is_limit(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def amount(value: float) -> str:
    """Return a used amount as people write it."""
    return f"{value:.0f}" if value == int(value) else f"{value:.4g}"


def _reason(kind: str, limit: float, spent: float) -> str:
    if kind == "trials":
        return f"all {limit} trials were run"
    if kind == "seconds":
        return f"the time budget of {limit:g} s was used up ({spent:.1f} s spent)"
    return f"the budget of {amount(limit)} {KINDS[kind]} was used up ({amount(spent)} spent)"
