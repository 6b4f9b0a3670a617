"""Tokens: estimated before the call, kept to a limit by telling less, in one order."""

from __future__ import annotations

import itertools

import pytest
from small_runs import MAXIMISE, bare_brief, full_brief, made_history, trial

from automl_gpt_ray.advisors.insight import insight_of
from automl_gpt_ray.prompts.detail import FULL, LADDER
from automl_gpt_ray.prompts.paragraph import proposal_prompt, repair_prompt
from automl_gpt_ray.prompts.tokens import estimated_tokens, text_tokens
from automl_gpt_ray.records import History, Message, Prompt

BRIEF = full_brief(data={"description": "Leaves of three trees. " * 60})
HISTORY = made_history(BRIEF.space, 60)
INSIGHT = insight_of(BRIEF.space)(HISTORY)


def prompt(limit=None):
    return proposal_prompt(BRIEF, HISTORY, 4, INSIGHT, limit)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a tree", 2),
        ("hyperparameters", 4),
        ("0.125", 5),
        ('{"a": 1}', 5),
        ("a\n\n    b", 5),
        ("é", 2),
        ("木", 3),
        ("😀", 4),
        ("\ud800", 3),
    ],
)
def test_the_estimate(text, tokens):
    assert text_tokens(text) == tokens


def test_messages_have_a_head():
    assert estimated_tokens(Prompt((Message("system", "a"), Message("user", "b")))) == 10


def test_the_estimate_lies_above_the_rule_of_thumb():
    text = prompt().messages[1].content
    assert text_tokens(text) > len(text) / 4


def test_each_rung_tells_less():
    sizes = [estimated_tokens(proposal_prompt(BRIEF, HISTORY, 4, INSIGHT, limit)) for limit in (None, 1)]
    assert sizes[1] < 0.7 * sizes[0]
    for more, less in itertools.pairwise(LADDER):
        assert more != less
        assert all(vars(less)[name] <= count for name, count in vars(more).items())
    assert LADDER[0] == FULL


def test_a_limit_is_kept_and_no_more_is_left_out_than_needed():
    full, least = estimated_tokens(prompt()), estimated_tokens(prompt(1))
    assert prompt(full) == prompt()
    before = full + 1
    for limit in range(full, least - 1, -20):
        tokens = estimated_tokens(prompt(limit))
        assert least <= tokens <= limit
        assert tokens <= before
        before = tokens
    assert prompt(least - 1) == prompt(1)


def test_what_is_left_out_first():
    def section(text, name):
        return text.split(f"\n{name}")[1].split("\n")[1:9] if f"\n{name}" in text else []

    def count(text, name):
        lines = section(text, name)
        return len(list(itertools.takewhile(lambda line: line.startswith("  "), lines)))

    texts, limit = [], estimated_tokens(prompt())
    while not texts or prompt(limit).messages[1].content != texts[-1]:
        texts.append(prompt(limit).messages[1].content)
        limit = estimated_tokens(prompt(limit)) - 1
    assert [count(t, "latest settings") for t in texts[:2]] == [5, 2]
    assert [count(t, "best settings") for t in texts[:3]] == [6, 6, 3]
    told = ["<optimiser>" in t for t in texts]
    assert told == sorted(told, reverse=True)
    assert told[2]
    assert not told[-1]
    assert all(t.count("<history>") == 1 for t in texts)


def test_a_repair_keeps_to_the_limit_too():
    first, reply = prompt(), "x y " * 5000
    limit = estimated_tokens(first) + 700
    again = repair_prompt(first, reply, ["no_json"], limit)
    assert estimated_tokens(again) <= limit
    assert reply.startswith(again.messages[-2].content)
    assert len(repair_prompt(first, reply, ["no_json"]).messages[-2].content) == 20_000


def test_a_choice_of_pages_is_shown_by_its_beginning():
    from automl_gpt_ray.parameters import ChoiceParameter
    from automl_gpt_ray.space import SearchSpace

    space = SearchSpace({"text": ChoiceParameter(choices=["a", *(f"{i}" + "long " * 300 for i in range(8))])})
    trials = tuple(trial(i, {"text": c}, [0.1 * i]) for i, c in enumerate(space.parameters["text"].choices))
    history = History(MAXIMISE, trials, (), 3, 0, 4)
    text = proposal_prompt(bare_brief(space), history, 2, insight_of(space)(history)).messages[1].content
    assert len(text) < 10_000
