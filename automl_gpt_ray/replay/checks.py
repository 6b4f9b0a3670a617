"""The checks of a replay: each decision in a journal against the same decision derived again.

When somebody was asked, what a model answered, what a trial reported and when it ended are given: the
journal tells. What was made of them is derived again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.default_first import DefaultFirst, default_proposal
from automl_gpt_ray.advisors.recalled import recalled_proposals
from automl_gpt_ray.advisors.recipe import NotDerivable
from automl_gpt_ray.advisors.reviewer import REVIEW_REPAIR
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.events import (
    REPAIR,
    AdviceGiven,
    CallFailed,
    PromptSent,
    ProposalDropped,
    ReplyRead,
    ReplyReceived,
    TrialStarted,
)
from automl_gpt_ray.journal import Entry
from automl_gpt_ray.lineage import Origin
from automl_gpt_ray.llm.redaction import REDACTED
from automl_gpt_ray.queue_rules import (
    EMERGENCY,
    HINTED,
    OUTDATED,
    REPLACED,
    START,
    admit,
    draw,
    outdated,
    pick,
    unheeding,
)
from automl_gpt_ray.records import History, Proposal
from automl_gpt_ray.replay.calls import Call
from automl_gpt_ray.replay.course import Course, kind_of
from automl_gpt_ray.replay.report import Findings
from automl_gpt_ray.replies import SOURCE as LANGUAGE
from automl_gpt_ray.replies import Drafts, ReplyError
from automl_gpt_ray.review import ReviewsRead
from automl_gpt_ray.review_replies import Reviews
from automl_gpt_ray.revision import inherited

PROMPTS, REPLIES, DROPS, CHOICES, DRAWS, TRUST = "prompts", "replies", "drops", "choices", "random draws", "trust"
UNREAD = "nothing came of it before the run ended"


@final
class Checks:
    """Checks the entries of a journal, in order, each before it is applied to the course.

    Args:
        course: The run so far.
        findings: Where the verdicts go.
    """

    def __init__(self, course: Course, findings: Findings) -> None:
        self._course, self._findings = course, findings
        self._replaced: list[Entry] = []

    def feed(self, entry: Entry) -> None:
        """Check an entry and let it have happened."""
        self._course.arrive(entry)
        if isinstance(entry.event, ProposalDropped) and entry.event.reason == REPLACED:
            # One act with the advice that replaces it, judged by what was known before both.
            self._replaced.append(entry)
            return
        self._check(entry)
        for dropped in self._replaced:
            self._course.apply(dropped)
        self._replaced = []
        self._course.apply(entry)

    def finish(self) -> None:
        """Count what the journal leaves open."""
        for _ in self._replaced:
            self._findings.not_derivable(DROPS, "what replaced it is not in the journal")
        try:
            for _ in self._course.calls.answered():
                self._findings.not_derivable(REPLIES, UNREAD)
        except NotDerivable:
            return

    def _check(self, entry: Entry) -> None:
        event, seq = entry.event, entry.seq
        match event:
            case PromptSent():
                self._guarded(PROMPTS, seq, lambda: self._prompt(event, seq))
            case ReplyReceived() | ReplyRead() | CallFailed():
                self._guarded(REPLIES, seq, lambda: self._answer(event, seq))
            case ReviewsRead():
                self._guarded(REPLIES, seq, lambda: self._reviewed(event, seq))
            case AdviceGiven():
                self._guarded(kind_of(event), seq, lambda: self._advice(event, seq))
            case ProposalDropped():
                self._guarded(DROPS, seq, lambda: self._drop(event, seq))
            case TrialStarted():
                kind = DRAWS if event.proposal.source == EMERGENCY else CHOICES
                self._guarded(kind, seq, lambda: self._choice(event, seq, kind))
                if event.shares:
                    self._guarded(TRUST, seq, lambda: self._trust(event, seq))

    def _guarded(self, kind: str, seq: int, check: Callable[[], None]) -> None:
        try:
            check()
        except NotDerivable as why:
            self._findings.not_derivable(kind, str(why))
        except Exception as error:  # noqa: BLE001 - a journal that was tampered with may break any rule
            self._findings.different(kind, seq, kind, "", "a decision", f"{type(error).__name__}: {error}")

    def _prompt(self, event: PromptSent, seq: int) -> None:
        course = self._course
        history = course.moment(event.history_version)
        first = course.calls.find(event.call.removesuffix(REPAIR))
        messages = course.calls.messages(event, history)
        self._findings.compare(PROMPTS, seq, f"call {event.call}", event, replace(event, messages=messages))
        if event.purpose in ("repair", REVIEW_REPAIR) and first:
            self._findings.same(REPLIES) if isinstance(first.result, ReplyError) else self._findings.different(
                REPLIES, seq, f"call {event.call}", "", "a reply that cannot be used", "a usable reply"
            )
        course.calls.sent(event, history)

    def _answer(self, event: ReplyReceived | ReplyRead | CallFailed, seq: int) -> None:
        match event:
            case ReplyReceived():
                self._course.calls.received(event)
            case ReplyRead():
                self._read(event, seq)
            case CallFailed():
                self._failure(event, seq)

    def _read(self, event: ReplyRead, seq: int) -> None:
        call = self._course.calls.find(event.call)
        result = call.result if call else None
        if result is None:
            raise NotDerivable("the reply is not in the journal")
        usable = len(result.drafts) if isinstance(result, Drafts) else 0
        self._findings.compare(
            REPLIES, seq, f"call {event.call}", event, ReplyRead(event.call, usable, result.problems)
        )

    def _reviewed(self, event: ReviewsRead, seq: int) -> None:
        call = self._course.calls.find(event.call)
        if call is None or not isinstance(call.result, Reviews):
            raise NotDerivable("the reply is not in the journal")
        derived = ReviewsRead(event.call, call.result.reviews, call.result.problems)
        self._findings.compare(REPLIES, seq, f"call {event.call}", event, derived)
        self._course.calls.close(call)

    def _failure(self, event: CallFailed, seq: int) -> None:
        call = self._course.calls.failed(event)
        if call is None or call.reply is None:
            return  # the network's doing
        self._course.calls.reread(call, self._course.book.history())
        result, subject = call.result, f"call {event.call}"
        if isinstance(result, ReplyError):
            derived = CallFailed(event.call, result.kind, str(result), call.reply.seconds)
            self._findings.compare(REPLIES, seq, subject, event, derived)
        else:
            self._findings.different(REPLIES, seq, subject, "", "a reply that cannot be used", "a usable reply")
        if self._course.team.loop == "prefetch":
            self._course.calls.close(call)

    def _advice(self, event: AdviceGiven, seq: int) -> None:
        if event.source == START:
            self._first(event, seq)
        elif self._course.team.loop == "ask_tell":
            self._asked(event, seq)
        elif event.source == LANGUAGE:
            self._told(event, seq)
        else:
            made = self._course.mixture.advisors.get(event.source)
            if made is None:
                raise NotDerivable(f"no advisor of the run is called `{event.source}`")
            history = self._course.moment(event.history_version)
            derived = self._admitted(event, _proposed(made, history, event.wanted))
            self._findings.compare(kind_of(event), seq, _ids(event), self._acted(event), derived)

    def _first(self, event: AdviceGiven, seq: int) -> None:
        brief, history = self._course.brief, self._course.moment(event.history_version)
        first = default_proposal(brief.space, history)
        made = (*([first] if first else []), *recalled_proposals(brief, history))
        self._findings.compare(kind_of(event), seq, _ids(event), event, replace(event, proposals=made))

    def _asked(self, event: AdviceGiven, seq: int) -> None:
        course = self._course
        history = course.moment(event.history_version)
        made = _proposed(DefaultFirst(course.advisor, course.brief.space), history, 1)
        derived = AdviceGiven(made[0].source if made else "", history.version, tuple(made))
        self._findings.compare(kind_of(event), seq, _ids(event), event, derived)
        for call in [c for c in course.calls.answered() if c.sent.history_version <= history.version]:
            self._findings.same(REPLIES)
            course.calls.close(call)

    def _told(self, event: AdviceGiven, seq: int) -> None:
        """Check the advice of a language model: some reply to the same history must hold it."""
        course = self._course
        book = course.now
        candidates = course.calls.answered(event.history_version)
        if not candidates:
            course.moment(event.history_version)
            self._findings.different(kind_of(event), seq, _ids(event), "", "proposals", "no reply holds them")
            return
        for call in candidates:
            course.calls.reread(call, book.history())
        derived = [(call, self._admitted(event, call.proposals())) for call in candidates]
        named = [pair for pair in derived if f"-{pair[0].sent.call}-" in _ids(event, all_ids=True)]
        call, admitted = (named or derived)[0]
        if not self._redacted(call, event):
            same = self._findings.compare(kind_of(event), seq, _ids(event), self._acted(event), admitted)
            read = {p.id: p for p in call.proposals()}
            if same or all(read.get(p.id) == p for p in event.proposals):
                self._findings.same(REPLIES)
            else:
                told = [read[p.id] for p in event.proposals if p.id in read]
                self._findings.compare(REPLIES, seq, f"call {call.sent.call}", list(event.proposals), told)
        course.calls.close(call)

    def _redacted(self, call: Call, event: AdviceGiven) -> bool:
        if call.reply is None or REDACTED not in call.reply.text:
            return False
        for kind in (REPLIES, kind_of(event)):
            self._findings.not_derivable(kind, "a key was removed from the reply")
        return True

    def _admitted(self, event: AdviceGiven, made: list[Proposal]) -> list[object]:
        course = self._course
        rule = course.rules[event.source]
        admitted = admit(course.now, event.source, made, rule, event.stock, course.brief.space)
        drops = [ProposalDropped(dropped, REPLACED) for dropped in admitted.dropped]
        return [*drops, replace(event, proposals=admitted.new, problems=admitted.problems)]

    def _acted(self, event: AdviceGiven) -> list[object]:
        return [*(entry.event for entry in self._replaced), event]

    def _drop(self, event: ProposalDropped, seq: int) -> None:
        if event.reason == HINTED:
            due = [p.id for p in unheeding(self._course.now, self._course.brief.space)]
            found = event.proposal if event.proposal in due else None
            self._findings.compare(DROPS, seq, event.proposal, event.proposal, found)
            return
        if event.reason != OUTDATED:
            raise NotDerivable(f"no rule drops a proposal because `{event.reason[:60]}`")
        course = self._course
        # Nothing of a source that cannot be asked is dropped; each choice tells which could not.
        recent = dict.fromkeys(course.rules, event.recent)
        due = [p.id for p in outdated(course.now, course.rules, (), recent)]
        self._findings.compare(
            DROPS, seq, event.proposal, event.proposal, event.proposal if event.proposal in due else None
        )

    def _choice(self, event: TrialStarted, seq: int, kind: str) -> None:
        course = self._course
        history = course.now.history()
        subject = f"trial {event.trial}"
        if event.parent is not None:
            chosen = self._clone(event.parent)
        elif course.team.loop == "ask_tell":
            chosen = history.pending[0] if history.pending else None
        else:
            if due := outdated(course.book, course.rules, event.outages, event.recent):
                self._findings.different(DROPS, seq, subject, "", f"{due[0].id} waits", f"{due[0].id} is dropped")
            chosen = pick(history, course.mixture.choose, event.outages, event.waits, event.urgent)
            chosen = chosen or draw(course.brief.space, course.team.seed, history, event.outages)
        self._findings.compare(kind, seq, subject, event.proposal, chosen)

    def _clone(self, origin: Origin) -> Proposal | None:
        parent = self._course.now.trial(origin.trial)
        revision = parent.lineage.asked if parent else None
        return inherited(parent, revision) if parent and revision else None

    def _trust(self, event: TrialStarted, seq: int) -> None:
        shares = self._course.mixture.shares(self._course.now.history())
        self._findings.compare(TRUST, seq, f"trial {event.trial}", event.shares, shares)


def _proposed(advisor: Advisor, history: History, n: int) -> list[Proposal]:
    try:
        return advisor.propose(history, n)
    except AdviceError:
        return []


def _ids(event: AdviceGiven, all_ids: bool = False) -> str:
    ids = [p.id for p in event.proposals] + [p.split(" ", 1)[0] for p in event.problems]
    return ", ".join(ids if all_ids or len(ids) < 3 else [*ids[:2], "…"])
