"""The reviewer: one batched call about running trials, checked reviews back.

As for proposals, a reply from which nothing can be used gets one repair round, and everything is written down
before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, final

from automl_gpt_ray.advisors.asking import Asker
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import Event, PromptSent, ReplyReceived
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.prompts.review import MOST, review_prompt, review_schema
from automl_gpt_ray.records import History
from automl_gpt_ray.replies import ReplyError
from automl_gpt_ray.review import Review, ReviewsRead, Subject
from automl_gpt_ray.review_replies import Reviews, parse_reviews

REVIEW, REVIEW_REPAIR = "review", "review repair"
"""Purposes of a review's prompts."""


class Reviewer(Protocol):
    """Says of running trials what should become of them."""

    def review(self, history: History, subjects: Sequence[Subject]) -> list[Review]:
        """Return at most one review of each subject. Blocks; run it off the event loop.

        Raises:
            AdviceError: There is none.
        """
        ...


@final
class LanguageReviewer:
    """Says what a language model answers.

    Args:
        client: The model.
        brief: What is tuned.
        record: As for `LanguageAdvisor`; `ReviewsRead` holds what a reply says.
        max_prompt_tokens: Likewise.
    """

    def __init__(
        self,
        client: LLMClient,
        brief: Brief,
        record: Callable[[Event], object] = lambda event: None,
        max_prompt_tokens: int | None = None,
    ) -> None:
        self._brief, self._record = brief, record
        self._asker = Asker(client, record, max_prompt_tokens)

    def review(self, history: History, subjects: Sequence[Subject]) -> list[Review]:
        """Return the model's reviews of the first MOST subjects."""
        asked = tuple(subjects[:MOST])
        prompt = review_prompt(self._brief, history, asked, self._asker.limit)
        schema = review_schema(self._brief, asked)
        call, found = self._asker.answer(
            "review",
            (REVIEW, REVIEW_REPAIR),
            prompt,
            schema,
            lambda answer: read_reviews(answer.text, answer.finish, self._brief, asked),
            history.version,
            subjects=asked,
        )
        self._record(ReviewsRead(call, found.reviews, found.problems))
        return list(found.reviews)


def read_reviews(text: str, finish: str, brief: Brief, subjects: Sequence[Subject]) -> Reviews | ReplyError:
    """Return the usable reviews of a reply; what is wrong with it is named after how it ended."""
    result = parse_reviews(text, brief, subjects)
    return result.after(finish) if isinstance(result, ReplyError) else result


def reread_reviews(brief: Brief, prompt: PromptSent, reply: ReplyReceived) -> Reviews | ReplyError:
    """Return the reviews of a reply that came in but was not read, because the driver was killed."""
    return read_reviews(reply.text, reply.finish, brief, prompt.subjects)
