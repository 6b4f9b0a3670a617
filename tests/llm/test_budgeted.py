from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from automl_gpt_ray.budget import Price
from automl_gpt_ray.errors import LLMBudgetExceeded, LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.budgeted import Budgeted, Spent
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.records import Completion, Message, Prompt, Usage

PRICES = {"m": Price(1.0, 10.0), "m-mini": Price(0.1, 1.0)}


def answer(prompt_tokens=100, completion_tokens=50, model="m"):
    return Completion("text", model, Usage(prompt_tokens, completion_tokens))


def test_it_counts_calls_tokens_money_and_time(prompt):
    ticks = iter([0.0, 2.0, 10.0, 13.0, 20.0, 20.5])
    script = Scripted([answer(), LLMUnavailable("down"), answer(1, 2)])
    client = Budgeted(script, prices=PRICES, clock=lambda: next(ticks))
    client.complete(prompt)
    with pytest.raises(LLMUnavailable):
        client.complete(prompt)
    client.complete(prompt)
    spent = client.spent
    assert spent == Spent(3, 101, 52, 5.5, pytest.approx((101 + 520) / 1e6), failures=1)
    assert spent.tokens == 153
    assert not spent.estimated


def test_calls_are_limited_before_they_are_made(prompt):
    script = Scripted(["a"], repeat_last=True)
    client = Budgeted(script, max_calls=2)
    client.complete(prompt)
    client.complete(prompt)
    with pytest.raises(LLMBudgetExceeded, match="2 of 2 calls"):
        client.complete(prompt)
    assert len(script.prompts) == 2
    assert (client.spent.calls, client.spent.failures) == (2, 0)


def test_failed_calls_count(prompt):
    client = Budgeted(Scripted([LLMUnavailable("down")]), max_calls=1)
    with pytest.raises(LLMUnavailable):
        client.complete(prompt)
    with pytest.raises(LLMBudgetExceeded):
        client.complete(prompt)


def test_a_prompt_that_does_not_fit_is_not_sent(prompt):
    script = Scripted([answer(70, 20)], repeat_last=True)
    client = Budgeted(script, max_tokens=100)  # the prompt is about 10 tokens
    client.complete(prompt)
    client.complete(prompt)
    with pytest.raises(LLMBudgetExceeded, match=r"180 of 100 tokens, and the next prompt has about 10"):
        client.complete(prompt)
    with pytest.raises(LLMBudgetExceeded, match="about 100"):
        Budgeted(script, max_tokens=99).complete(Prompt((Message("user", "x" * 400),)))
    assert len(script.prompts) == 2


def test_money_ends_the_budget(prompt):
    client = Budgeted(Scripted([answer(500_000, 0)], repeat_last=True), max_money=1.0, prices=PRICES)
    client.complete(prompt)
    client.complete(prompt)
    with pytest.raises(LLMBudgetExceeded, match="1 of 1 US dollars"):
        client.complete(prompt)


@pytest.mark.parametrize(
    ("model", "money"),
    [
        ("m", 1.0),
        ("m-2026-01-01", 1.0),
        ("m:latest", 1.0),
        ("m-mini", 0.1),
        ("m-mini-0613", 0.1),
        ("m-maxi", 1.0),  # not in the table: its highest price
        ("n", 1.0),
    ],
)
def test_the_price_is_that_of_the_model_that_answered(model, money, prompt):
    client = Budgeted(Scripted([answer(1_000_000, 0, model)]), prices=PRICES)
    client.complete(prompt)
    assert client.spent.money == pytest.approx(money)


def test_a_prompt_that_must_cost_more_than_is_left_is_not_sent(prompt):
    script = Scripted([answer()], repeat_last=True)
    client = Budgeted(script, max_money=1e-6, prices=PRICES)  # about 10 tokens at 0.1 a million or more
    with pytest.raises(LLMBudgetExceeded, match="0 of 1e-06 US dollars, and the next prompt has about"):
        client.complete(Prompt((Message("user", "x" * 400),)))
    assert script.prompts == ()
    client.complete(Prompt((Message("user", "x" * 40),)))


def test_without_prices_money_is_unknown_not_zero(prompt):
    client = Budgeted(Scripted([answer()]))
    client.complete(prompt)
    assert client.spent.money is None
    with pytest.raises(ValueError, match="`max_money` needs `prices`"):
        Budgeted(Scripted([]), max_money=1.0)


def test_unreported_tokens_are_estimated_and_marked(prompt):
    client = Budgeted(Scripted(["x" * 9, answer()]))
    usage = client.complete(prompt).usage
    assert usage.estimated
    characters = sum(len(message.content) for message in prompt.messages)
    assert client.spent.prompt_tokens == -(-characters // 4)
    assert client.spent.completion_tokens == 3
    assert usage == Usage(client.spent.prompt_tokens, 3, estimated=True)
    assert not client.complete(prompt).usage.estimated
    assert client.spent.estimated
    assert client.spent.estimated_calls == 1


def test_a_restored_run_goes_on_from_what_it_had_spent(prompt):
    client = Budgeted(Scripted([answer()]), max_calls=5, already=Spent(calls=5))
    with pytest.raises(LLMBudgetExceeded):
        client.complete(prompt)


def test_the_number_of_calls_is_exact_with_several_threads(prompt):
    script = Scripted(["a"], repeat_last=True)
    client = Budgeted(script, max_calls=25)

    def ask(_):
        try:
            return client.complete(prompt)
        except LLMBudgetExceeded:
            return None

    with ThreadPoolExecutor(8) as pool:
        answered = [reply for reply in pool.map(ask, range(100)) if reply]
    assert len(answered) == len(script.prompts) == client.spent.calls == 25
    assert client.spent.estimated_calls == 25


def test_prompts_under_way_count_against_the_tokens(prompt):
    both = Barrier(2, timeout=5)

    def slow(prompt):
        both.wait()
        both.wait()
        return "a"

    client = Budgeted(Scripted([slow]), max_tokens=15)  # the prompt is about 10 tokens
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.complete, prompt)
        both.wait()
        with pytest.raises(LLMBudgetExceeded):
            client.complete(prompt)
        both.wait()
        assert first.result(5).text == "a"


def test_a_spent_budget_is_not_retried(prompt):
    script = Scripted(["a"], repeat_last=True)
    client = Retrying(Budgeted(script, max_calls=0), sleep=lambda s: pytest.fail("waited"))
    with pytest.raises(LLMBudgetExceeded) as caught:
        client.complete(prompt)
    assert isinstance(caught.value, LLMRejected)
