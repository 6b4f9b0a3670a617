"""What a job file says of its scheduler."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SchedulerOptions(BaseModel):
    """What decides which trials go on.

    `asha` (Ray's) stops the worse trials at steps `grace` (by default 1), `grace` × `eta` and so on. `freeze_thaw`
    pauses them, at first at such rungs (`grace` by default a tenth of a full training), later wherever another
    trial, paused or new, promises more; it needs a trainable that saves checkpoints and goes on from them. `audit`
    is the share of those to be paused that run on, to see whether pausing is right, and the share of all steps
    that this may cost; `switch_cost` what a pause and
    a start cost, in steps (by default it is measured); `max_paused` how many paused trials keep their checkpoints.
    `forecasts: ignored` keeps to the rungs: what the forecasts would decide is never asked.
    With a language model, `freeze_thaw` has it review each running trial after every `review_every` steps (by
    default a fifth of a full training), unless `review` is false. `revise` is who changes the hot hyperparameters of
    a trial as it trains: such reviews (`review`), also rules that cure a learning rate which is far too high
    (`rules`), or nobody (`none`).

    `time_attr` is the result key that counts steps: by default `step` for the trainers of this package
    and `training_iteration` for others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["none", "asha", "freeze_thaw"] = "none"
    grace: int | None = Field(default=None, ge=1)
    eta: float = Field(default=3.0, gt=1, allow_inf_nan=False)
    audit: float = Field(default=0.05, ge=0, lt=1)
    switch_cost: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    forecasts: Literal["earned", "ignored"] = "earned"
    max_paused: int = Field(default=64, ge=1)
    review: bool = True
    review_every: int | None = Field(default=None, ge=1)
    revise: Literal["none", "review", "rules"] = "review"
    time_attr: str | None = None
