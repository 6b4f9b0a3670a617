"""The language-model advisor: the prompt paragraph out, checked proposals back.

One call brings several proposals. A reply from which nothing can be used gets one repair round; then
the outcome is an `AdviceError` and somebody else proposes. Prompts are written down before they are
sent and replies before they are read, so a paid reply is never lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from automl_gpt_ray.advisors.advisor import taken
from automl_gpt_ray.advisors.asking import Asker
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.events import Event, PromptSent, ReplyRead, ReplyReceived
from automl_gpt_ray.insight import Insight
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.prompts.paragraph import log_steps, proposal_prompt
from automl_gpt_ray.prompts.schema import reply_schema
from automl_gpt_ray.records import History, Proposal
from automl_gpt_ray.replies import SOURCE, Drafts, ReplyError, parse_proposals

MAX_WANTED = 6


@final
class LanguageAdvisor:
    """Proposes what a language model answers to the prompt paragraph.

    Args:
        client: The model.
        brief: What is to be tuned.
        record: Called with `PromptSent`, `ReplyReceived`, `ReplyRead` and `CallFailed` events, in that
            order, from the thread that called `propose`.
        insight: Gives what the optimiser knows after a history, for the prompt.
        max_prompt_tokens: Most tokens of a prompt, as estimated before it is sent. Longer ones tell
            less; one that cannot be made short enough is not sent.
    """

    def __init__(
        self,
        client: LLMClient,
        brief: Brief,
        record: Callable[[Event], object] = lambda event: None,
        insight: Callable[[History], Insight | None] | None = None,
        max_prompt_tokens: int | None = None,
    ) -> None:
        self._brief, self._record = brief, record
        self._asker = Asker(client, record, max_prompt_tokens)
        self._insight = insight

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return up to `n` (at most six) proposals; AdviceError when the model gave none that can be used."""
        wanted = min(n, MAX_WANTED)
        insight = self._insight(history) if self._insight else None
        prompt = proposal_prompt(self._brief, history, wanted, insight, self._asker.limit)
        schema = reply_schema(self._brief, wanted, log_steps(self._brief.max_steps))
        call, found = self._asker.answer(
            "reply",
            ("propose", "repair"),
            prompt,
            schema,
            lambda answer: read_reply(answer.text, answer.finish, self._brief, history, wanted),
            history.version,
            wanted,
            self._insight is not None,
        )
        if found.problems:
            self._record(ReplyRead(call, len(found.drafts), found.problems))
        return proposals_of(found, call, history.version)


def reread(brief: Brief, history: History, prompt: PromptSent, reply: ReplyReceived) -> list[Proposal] | ReplyError:
    """Return the proposals of a reply that came in but was not read, because the driver was killed."""
    result = read_reply(reply.text, reply.finish, brief, history, prompt.wanted)
    if isinstance(result, ReplyError):
        return result
    return proposals_of(result, prompt.call, prompt.history_version)


def read_reply(text: str, finish: str, brief: Brief, history: History, wanted: int) -> Drafts | ReplyError:
    """Return up to `wanted` usable proposals of a reply; what is wrong with it is named after how it ended."""
    result = parse_proposals(text, brief, frozenset(taken(history)))
    return result.after(finish) if isinstance(result, ReplyError) else _at_most(result, wanted)


def _at_most(drafts: Drafts, wanted: int) -> Drafts:
    count = len(drafts.drafts)
    if count <= wanted:
        return drafts
    extra = f"{count} usable proposals are more than the {wanted} asked for: the first were taken"
    return Drafts(drafts.drafts[:wanted], (*drafts.problems, extra))


def proposals_of(drafts: Drafts, call: str, version: int) -> list[Proposal]:
    """Return the proposals of the reply to `call`, which was asked of history `version`."""
    # Two calls may be in flight for the same history, so the id comes from the call.
    return [
        Proposal(
            id=f"{SOURCE}-{call}-{index}",
            config=draft.config,
            reason=draft.reason,
            source=SOURCE,
            predicted_log=draft.predicted_log,
            history_version=version,
            notes=draft.notes,
        )
        for index, draft in enumerate(drafts.drafts)
    ]
