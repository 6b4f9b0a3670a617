"""The helm of a run: planner, reviewing and steering, put together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from automl_gpt_ray.advisors.reviewer import LanguageReviewer
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.curves.competitors import Loading
from automl_gpt_ray.lineage import Revision
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.planner import Planner
from automl_gpt_ray.records import TrialRecord
from automl_gpt_ray.remedy import fault_of, guess_of, sound_step
from automl_gpt_ray.replies import SOURCE as LANGUAGE
from automl_gpt_ray.review import Review
from automl_gpt_ray.reviewing import Reviewing
from automl_gpt_ray.revision import RevisionRule, ask, room
from automl_gpt_ray.run_budget import RunBudget, Supply
from automl_gpt_ray.steering import Steering
from automl_gpt_ray.steering_rule import SteeringRule
from automl_gpt_ray.watch import Watch

REVIEWS = 5
"""A full training is reviewed this often."""
NOT_REVISED = "trials are not revised here"


def steer(
    book: Book,
    brief: Brief,
    watch: Watch,
    rule: SteeringRule,
    limits: RunBudget,
    supply: Supply,
    llm: LLMClient | None = None,
    max_prompt_tokens: int | None = None,
) -> Steering:
    """Return the steering of a run within its budget, at work; `llm` reviews running trials."""
    given, measured = rule.switch_cost, watch.cost
    cost = (lambda: measured.steps) if given is None else (lambda: given)
    left = lambda history: limits.steps_left()  # noqa: E731 - what is left depends on the book alone
    planner = Planner(brief.space, brief.max_steps, left, cost, Loading(), watch.keeper.gates)
    reviewing = None
    if llm is not None and rule.review:
        reviewer = LanguageReviewer(llm, brief, book.record, max_prompt_tokens)
        told = (book, brief, reviewer, watch.reviews, watch.keeper, lambda trial: planner.forecasts.get(trial))
        every = rule.review_every or max(1, round(brief.max_steps / REVIEWS))
        revise, may = partial(_revise, book, brief, rule.revise), partial(_room, brief, rule.revise)
        reviewing = Reviewing(*told, every, revise, may, rule.background, rule.forecasts != "trusted")
    steering = Steering(book, planner, watch.keeper, rule, lambda: not limits.ending(supply), cost, reviewing)
    measured.begin()
    steering.start()
    return steering


def _room(brief: Brief, rule: RevisionRule | None, trial: TrialRecord) -> Mapping[str, tuple[float, float] | None]:
    return room(trial, brief.space, rule) if rule else {}


def _revise(book: Book, brief: Brief, rule: RevisionRule | None, review: Review) -> str:
    """Have a running trial changed as a review says; return why not, or an empty string."""
    if rule is None:
        return NOT_REVISED
    final, trial = review.predicted.value if review.predicted else None, book.trial(review.trial)
    # It says what to change; what is damaged already needs to go back too.
    damaged = trial is not None and fault_of(trial, book.history(), guess_of(brief))
    back_to = sound_step(trial, book.history()) if trial and damaged else None
    told = (book, review.trial, review.changes, brief.space, rule)
    found = ask(*told, reason=review.reason, by=LANGUAGE, predicted=final, back_to=back_to)
    return "" if isinstance(found, Revision) else f"revise ({review.reason}): not followed, {found}"
