"""The language-model advisor: one call, at most one repair, everything written down in order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from small_runs import CONDITIONAL, MAXIMISE, bare_brief, full_brief, made_history, trial, valid_item

from automl_gpt_ray.advisors.insight import insight_of
from automl_gpt_ray.advisors.language import MAX_WANTED, LanguageAdvisor
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import (
    AdviceError,
    AdviceRejected,
    AdviceSpent,
    AdviceUnusable,
    LLMBudgetExceeded,
    LLMRejected,
    LLMUnavailable,
)
from automl_gpt_ray.events import (
    CallFailed,
    PromptSent,
    ReplyRead,
    ReplyReceived,
    ResultReported,
    RunStarted,
    TrialEnded,
    TrialStarted,
)
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.prompts.paragraph import proposal_prompt
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import Completion, History, Usage

BRIEF = bare_brief(CONDITIONAL)
EMPTY = History(MAXIMISE, (), (), 5, 0, 4)


def reply(*etas):
    items = [valid_item({**CONDITIONAL.default, "eta": eta}, BRIEF) for eta in etas]
    return json.dumps({"proposals": items})


def advise(script, history=EMPTY, n=2, brief=BRIEF):
    """Return the proposals or the error, the client and the events."""
    events, client = [], Scripted(script)
    try:
        result = LanguageAdvisor(client, brief, events.append).propose(history, n)
    except AdviceError as error:
        result = error
    return result, client, events


def test_a_good_reply():
    made, client, events = advise([Completion(reply(0.1, 0.2), "m", Usage(9, 3), 0.5)])
    assert [p.config["eta"] for p in made] == [0.1, 0.2]
    assert [(p.source, p.history_version, p.reason) for p in made] == [("language", 5, "to see")] * 2
    assert made[0].predicted_log.source == "language"
    assert [type(e) for e in events] == [PromptSent, ReplyReceived]
    assert len({e.call for e in events}) == 1
    assert events[0].messages == client.prompts[0].messages
    assert (events[0].purpose, events[0].wanted, events[0].history_version) == ("propose", 2, 5)
    assert (events[1].usage, events[1].seconds, events[1].text) == (Usage(9, 3), 0.5, reply(0.1, 0.2))
    assert client.schemas[0]["properties"]["proposals"]["maxItems"] == 2


def test_one_repair_and_no_more():
    made, client, events = advise(["no idea", reply(0.1), reply(0.2)])
    assert [p.config["eta"] for p in made] == [0.1]
    assert len(client.prompts) == 2
    assert [type(e) for e in events] == [PromptSent, ReplyReceived] * 2
    assert [e.purpose for e in events[::2]] == ["propose", "repair"]
    assert [m.role for m in client.prompts[1].messages] == ["system", "user", "assistant", "user"]
    assert client.prompts[1].messages[:2] == client.prompts[0].messages
    assert client.prompts[1].messages[2].content == "no idea"
    assert "must be one JSON object" in client.prompts[1].messages[3].content


def test_a_failed_repair_is_an_error_but_no_outage():
    error, client, events = advise(["no idea", "still none", reply(0.1)])
    assert isinstance(error, AdviceUnusable)
    assert not error.outage
    assert "even after a repair: no_json" in str(error)
    assert len(client.prompts) == 2
    assert [type(e) for e in events] == [PromptSent, ReplyReceived, PromptSent, ReplyReceived, CallFailed]
    assert events[-1].error == "no_json"
    assert events[-1].call == events[-2].call


def test_a_partly_good_reply_needs_no_repair_and_its_faults_are_kept():
    made, client, events = advise([reply(0.1, 9.0, 0.2)], n=3)
    assert [p.config["eta"] for p in made] == [0.1, 0.2]
    assert len(client.prompts) == 1
    assert [type(e) for e in events] == [PromptSent, ReplyReceived, ReplyRead]
    assert (events[2].call, events[2].usable) == (events[1].call, 2)
    (problem,) = events[2].problems
    assert problem.startswith("proposals[1]: `eta`: must be between")


def test_the_faults_of_a_repaired_reply_are_kept_too():
    _, _, events = advise(["no idea", reply(0.1, 9.0)], n=3)
    assert isinstance(events[-1], ReplyRead)
    assert events[-1].call == events[-2].call == f"{events[0].call}-repair"


def test_what_is_more_than_asked_for_is_said():
    made, _, events = advise([reply(0.1, 0.2, 0.3)], n=2)
    assert len(made) == 2
    assert events[-1].usable == 2
    assert events[-1].problems == ("3 usable proposals are more than the 2 asked for: the first were taken",)


def test_a_prompt_that_cannot_be_made_short_enough_is_not_sent():
    events, client = [], Scripted([reply(0.1)])
    with pytest.raises(AdviceError, match="`max_prompt_tokens` is 300") as caught:
        LanguageAdvisor(client, BRIEF, events.append, max_prompt_tokens=300).propose(EMPTY, 2)
    assert caught.value.outage
    assert not client.prompts
    assert [(type(e), e.error) for e in events] == [(CallFailed, "PromptTooLong")]


@pytest.mark.parametrize("limit", [None, 3200])
def test_a_prompt_can_be_made_again_from_the_journal(tmp_path, limit):
    brief = full_brief()
    book = Book(Journal(tmp_path / "j"))
    start = RunStarted("accuracy", "max", 8, 5, brief.space.default, brief.to_dict())
    book.record(start)
    for number, each in enumerate(made_history(brief.space, 30).trials):
        book.record(TrialStarted(f"t{number}", each.proposal))
        for seen in each.observations:
            book.record(ResultReported(f"t{number}", seen))
        if each.state.ended:
            book.record(TrialEnded(f"t{number}", each.state, each.failure))
    client = Scripted([LLMUnavailable("down")])
    advisor = LanguageAdvisor(client, brief, book.record, insight_of(brief.space, 5), limit)
    with pytest.raises(AdviceError):
        advisor.propose(book.history(), 4)
    book.close()

    again, sent = Book(), None
    for entry in read_journal(tmp_path / "j"):
        if isinstance(entry.event, PromptSent):
            sent = entry.event
            break
        again.replay([entry.event])
    told = Brief.from_dict(again.started.brief)
    insight = insight_of(told.space, again.started.seed)(again.history()) if sent.informed else None
    assert "<optimiser>" in client.prompts[0].messages[1].content
    assert proposal_prompt(told, again.history(), sent.wanted, insight, sent.max_tokens) == client.prompts[0]
    assert sent.messages == client.prompts[0].messages
    assert sent.tokens == estimated_tokens(client.prompts[0])
    assert limit is None or sent.tokens <= limit < estimated_tokens(proposal_prompt(told, again.history(), 4, insight))


@pytest.mark.parametrize(
    ("failure", "kind", "outage"),
    [
        (LLMUnavailable("down"), AdviceError, True),
        (LLMRejected("bad key"), AdviceRejected, True),
        (LLMBudgetExceeded("spent"), AdviceSpent, False),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_an_outage_is_named(failure, kind, outage, at):
    error, client, events = advise([*["no idea"][:at], failure, reply(0.1)])
    assert type(error) is kind
    assert error.outage is outage
    assert str(failure) in str(error)
    assert len(client.prompts) == at + 1
    assert isinstance(events[-2], PromptSent)
    assert (events[-1].error, events[-1].message) == (type(failure).__name__, str(failure))


@pytest.mark.parametrize(
    ("finish", "kind", "words"), [("refusal", "refusal", "refused to answer"), ("length", "cut_off", "cut off")]
)
def test_refusals_and_cut_off_replies_are_named(finish, kind, words):
    bad = Completion('{"proposals": [', "m", finish=finish)
    error, client, events = advise([bad, bad])
    assert events[-1].error == kind
    assert words in str(error)
    assert words in client.prompts[1].messages[-1].content


def test_a_cut_off_reply_that_can_be_used_is():
    made, _, _ = advise([Completion(reply(0.1), "m", finish="length")])
    assert len(made) == 1


def test_never_more_than_asked_for():
    made, client, _ = advise([reply(0.1, 0.2, 0.3)], n=2)
    assert len(made) == 2
    many = [0.02 * i for i in range(1, 20)]
    made, client, _ = advise([reply(*many)], n=50)
    assert len(made) == MAX_WANTED
    assert client.schemas[0]["properties"]["proposals"]["maxItems"] == MAX_WANTED


def test_what_was_tried_is_refused_and_repaired():
    history = replace(EMPTY, trials=(trial(1, {**CONDITIONAL.default, "eta": 0.1}, [0.5]),))
    made, client, _ = advise([reply(0.1), reply(0.2)], history)
    assert [p.config["eta"] for p in made] == [0.2]
    assert "already ran" in client.prompts[1].messages[-1].content


def test_calls_for_the_same_history_have_their_own_ids():
    advisor = LanguageAdvisor(Scripted([reply(0.1, 0.2), reply(0.1, 0.2)]), BRIEF)
    ids = [p.id for _ in range(2) for p in advisor.propose(EMPTY, 2)]
    assert len(set(ids)) == 4


def test_prompts_are_on_disk_before_the_model_is_asked(tmp_path):
    path = tmp_path / "j"
    book = Book(Journal(path))
    book.record(RunStarted("accuracy", "max", 4, 0, CONDITIONAL.default))

    def answer(prompt):
        assert read_journal(path)[-1].event.messages == prompt.messages
        return reply(0.1)

    LanguageAdvisor(Scripted([answer]), BRIEF, book.record).propose(book.history(), 1)
    assert isinstance(read_journal(path)[-1].event, ReplyReceived)
    assert book.spending.calls == 1
    book.close()


def test_a_hostile_reply_reaches_the_journal_and_nothing_else(tmp_path):
    book = Book(Journal(tmp_path / "j"))
    book.record(RunStarted("accuracy", "max", 4, 0, CONDITIONAL.default))
    text = '{"proposals": [{"hyperparameters": {"\\ud800": 1}, "reason": "\ud800"}]}'
    with pytest.raises(AdviceError):
        LanguageAdvisor(Scripted([text, text]), BRIEF, book.record).propose(book.history(), 1)
    book.close()
    assert len(read_journal(tmp_path / "j")) == 6


def test_cards_and_history_are_in_the_prompt():
    brief = full_brief()
    history = made_history(brief.space)
    _, client, _ = advise([LLMUnavailable("down")], history, brief=brief)
    text = client.prompts[0].messages[1].content
    assert "<history>" in text
    assert "Measured leaves" in text
