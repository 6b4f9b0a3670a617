"""The prompt paragraph: fixed in format, composed from cards, request and history.

After AutoML-GPT (arXiv 2305.02499, sec. 3.3): Model Card, Data Card, evaluation metrics and additional
requests, then data processing, model architecture, hyperparameters and the predicted training log.
Pure: equal arguments give equal text, which the golden files in the tests hold fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.insight import Insight
from automl_gpt_ray.prompts.cards_text import data_card_lines, model_card_lines, request_lines
from automl_gpt_ray.prompts.detail import LADDER, Detail
from automl_gpt_ray.prompts.experience_text import experience_lines
from automl_gpt_ray.prompts.feedback_text import feedback_lines
from automl_gpt_ray.prompts.history_text import history_lines
from automl_gpt_ray.prompts.insight_text import insight_lines
from automl_gpt_ray.prompts.quoting import cleaned, escaped, quoted
from automl_gpt_ray.prompts.schema import reply_schema
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import History, Message, Prompt

VERSION = "3"
"""Grows with every change of the words; written into each journal."""

LOG_POINTS = 4
REPLY_SHOWN = (20_000, 4000, 1000, 200)
"""Characters of a reply that a repair prompt quotes: the most that leave it within its tokens."""


def proposal_prompt(
    brief: Brief,
    history: History | None,
    wanted: int,
    insight: Insight | None = None,
    max_tokens: int | None = None,
) -> Prompt:
    """Return the prompt that asks for `wanted` settings with their predicted training logs.

    Args:
        brief: What is to be tuned.
        history: The run so far; None or empty at its start.
        wanted: Number of settings, at least 1.
        insight: What the optimiser knows after `history`.
        max_tokens: Most `estimated_tokens`. A longer prompt tells less, in the order of `detail.LADDER`;
            where even the shortest is longer, that one comes back.
    """
    return told_within(max_tokens, lambda detail: _proposal_prompt(brief, history, wanted, insight, detail))


def told_within(max_tokens: int | None, make: Callable[[Detail], Prompt]) -> Prompt:
    """Return the prompt that tells the most within `max_tokens`; the shortest where even that is longer."""
    for detail in LADDER:
        prompt = make(detail)
        if max_tokens is None or estimated_tokens(prompt) <= max_tokens:
            break
    return prompt


def repair_prompt(prompt: Prompt, reply: str, problems: Sequence[str], max_tokens: int | None = None) -> Prompt:
    """Return `prompt` continued: the reply, what was wrong with it, and a request to correct it.

    Of a reply that would take it beyond `max_tokens` the beginning is quoted.
    """
    shown = [quoted(problem, 300)[1:-1] for problem in problems[:12]]
    request = template("repair").render(problems=shown)
    for length in REPLY_SHOWN:
        again = prompt.then(cleaned(reply, length), request)
        if max_tokens is None or estimated_tokens(again) <= max_tokens:
            break
    return again


def log_steps(max_steps: int) -> list[int]:
    """Return the steps that a predicted log is asked for: a quarter, half, three quarters and all."""
    return sorted({max(1, round(max_steps * i / LOG_POINTS)) for i in range(1, LOG_POINTS + 1)})


def _proposal_prompt(
    brief: Brief, history: History | None, wanted: int, insight: Insight | None, detail: Detail
) -> Prompt:
    steps = log_steps(brief.max_steps)
    text = template("paragraph").render(
        model_card=model_card_lines(brief, detail),
        data_card=data_card_lines(brief, detail),
        request=request_lines(brief, detail),
        experience=experience_lines(brief, detail),
        history=history_lines(brief, history, detail) if history else "",
        feedback=feedback_lines(history) if history else "",
        insight=insight_lines(brief, insight, detail) if insight else "",
        wanted=wanted,
        metric=quoted(brief.objective.metric),
        steps=", ".join(map(str, steps)),
        has_processing="data_processing" in brief.groups,
        has_architecture="architecture" in brief.groups,
        schema=escaped(json.dumps(reply_schema(brief, wanted, steps), ensure_ascii=False)),
    )
    return Prompt((Message("system", template("system").render()), Message("user", text)))


@cache
def template(name: str) -> Template:
    """Return the words of a prompt by the name of their file."""
    # The words are for a model, not for a browser: what is untrusted in them goes through `quoted`.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("automl_gpt_ray", "prompts"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    return environment.get_template(f"{name}.md.j2")
