"""Calls of a language model as they stand in a journal, read again without any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from automl_gpt_ray.advisors.language import MAX_WANTED, proposals_of, read_reply
from automl_gpt_ray.advisors.recipe import NotDerivable
from automl_gpt_ray.advisors.reviewer import REVIEW, REVIEW_REPAIR, read_reviews
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.events import REPAIR, CallFailed, PromptSent, ReplyReceived
from automl_gpt_ray.insight import Insight
from automl_gpt_ray.prompts.paragraph import proposal_prompt, repair_prompt
from automl_gpt_ray.prompts.review import review_prompt
from automl_gpt_ray.records import History, Message, Prompt, Proposal
from automl_gpt_ray.replies import Drafts, ReplyError
from automl_gpt_ray.review_replies import Reviews

InsightOf = Callable[[History], Insight | None]


@dataclass
class Call:
    """One call: its prompt, what came back, and what that says.

    Attributes:
        sent: The prompt.
        history: What it was composed from; forgotten once the reply was read.
        reply: What the model answered.
        result: What the reply holds.
        failure: Why it brought nothing.
        late: Whether the reply is read by a driver that came back.
    """

    sent: PromptSent
    history: History | None
    reply: ReplyReceived | None = None
    result: Drafts | Reviews | ReplyError | None = None
    failure: CallFailed | None = None
    late: bool = False

    def proposals(self) -> list[Proposal]:
        """Return the proposals of the reply; empty when it holds none that can be used."""
        if not isinstance(self.result, Drafts):
            return []
        return proposals_of(self.result, self.sent.call, self.sent.history_version)


@final
class Calls:
    """The calls that nothing has come of yet.

    Args:
        brief: What is tuned.
        insight: What the optimiser knows after a history.
    """

    def __init__(self, brief: Brief, insight: InsightOf) -> None:
        self._brief, self._insight = brief, insight
        self._open: dict[str, Call] = {}

    def sent(self, event: PromptSent, history: History) -> None:
        """Note that a model was asked."""
        self._open.pop(event.call.removesuffix(REPAIR), None)
        self._open[event.call] = Call(event, history)

    def messages(self, event: PromptSent, history: History) -> tuple[Message, ...]:
        """Return the messages of a prompt, composed again.

        Raises:
            NotDerivable: What it continues is not in the journal.
        """
        if event.purpose == REVIEW:
            return review_prompt(self._brief, history, event.subjects, event.max_tokens).messages
        if event.purpose == "propose":
            insight = self._insight(history) if event.informed else None
            return proposal_prompt(self._brief, history, event.wanted, insight, event.max_tokens).messages
        first = self._open.get(event.call.removesuffix(REPAIR))
        if event.purpose not in ("repair", REVIEW_REPAIR) or first is None or first.reply is None:
            raise NotDerivable("what the prompt continues is not in the journal")
        problems = first.result.problems if isinstance(first.result, ReplyError) else ()
        return repair_prompt(Prompt(first.sent.messages), first.reply.text, problems, event.max_tokens).messages

    def received(self, event: ReplyReceived) -> None:
        """Read a reply."""
        call = self._open.get(event.call)
        if call is not None and call.history is not None:
            call.reply = event
            if call.sent.subjects:
                call.result = read_reviews(event.text, event.finish, self._brief, call.sent.subjects)
            else:
                call.result = read_reply(event.text, event.finish, self._brief, call.history, call.sent.wanted)
            call.history = None

    def failed(self, event: CallFailed) -> Call | None:
        """Note that a call brought nothing, and return it where it is known."""
        call = self._open.get(event.call)
        if call is not None:
            call.failure = event
        return call

    def resumed(self) -> None:
        """Note that the driver came back: what it had not read yet it reads then, knowing more."""
        for call in self.answered():
            call.late = True

    def reread(self, call: Call, now: History) -> None:
        """Read a reply of before the driver came back with what is known now; others stay as they are."""
        if call.late and call.reply and not call.sent.subjects:
            call.result = read_reply(call.reply.text, call.reply.finish, self._brief, now, call.sent.wanted)

    def find(self, call: str) -> Call | None:
        """Return a call by its id."""
        return self._open.get(call)

    def answered(self, version: int | None = None) -> list[Call]:
        """Return the calls for proposals with a reply that nothing came of yet, of one history version where given."""
        calls = (c for c in self._open.values() if c.reply and not c.failure and not c.sent.subjects)
        return [c for c in calls if version is None or c.sent.history_version == version]

    def of(self, version: int, wanted: int) -> Call | None:
        """Return the first call made at `version` for `wanted` proposals."""
        asked = (c for c in self._open.values() if not c.sent.subjects)
        made = (c for c in asked if (c.sent.history_version, c.sent.wanted) == (version, wanted))
        return next(made, None)

    def close(self, call: Call) -> None:
        """Forget a call: something came of it."""
        self._open.pop(call.sent.call, None)


@final
class Retold:
    """The language model's advisor in a replay: says what the journal holds, asks nobody."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Return what the model's reply to this history holds.

        Raises:
            AdviceError: The call failed, or nothing in its reply could be used.
            NotDerivable: There is no such call in the journal.
        """
        call = self._calls.of(history.version, min(n, MAX_WANTED))
        if call is None:
            raise NotDerivable("the journal holds no such call of the language model")
        if call.failure and call.reply is None:
            raise AdviceError(call.failure.message, outage=True)
        if isinstance(call.result, ReplyError):
            text = f"the language model's reply could not be used, even after a repair: {call.result}"
            raise AdviceError(text)
        if call.result is None:
            raise NotDerivable("the journal holds no answer to this call of the language model")
        return call.proposals()
