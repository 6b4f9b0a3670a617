"""The helm of a run: planner, reviewing and steering, put together."""

from __future__ import annotations

from automl_gpt_ray.advisors.reviewer import LanguageReviewer
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.planner import Planner
from automl_gpt_ray.reviewing import Reviewing
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
    planner = Planner(brief.space, brief.max_steps, lambda history: limits.steps_left(), cost)
    reviewing = None
    if llm is not None and rule.review:
        reviewer = LanguageReviewer(llm, brief, book.record, max_prompt_tokens)
        told = (book, brief, reviewer, watch.reviews, watch.keeper, lambda trial: planner.forecasts.get(trial))
        every = rule.review_every or max(1, round(brief.max_steps / REVIEWS))
        reviewing = Reviewing(*told, every, lambda review: NOT_REVISED, rule.background, rule.gated)
    steering = Steering(book, planner, watch.keeper, rule, lambda: not limits.ending(supply), cost, reviewing)
    measured.begin()
    steering.start()
    return steering
