"""Who may ask a shared account, on a clock that a test moves."""

from __future__ import annotations

import pickle
import random

import pytest

from automl_gpt_ray.budget import Price
from automl_gpt_ray.config import LLMOptions, read_job
from automl_gpt_ray.errors import JobError, LLMBudgetExceeded, LLMUnavailable
from automl_gpt_ray.llm.configured import alone, configured
from automl_gpt_ray.llm.limited import Alone, Limited
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.quota import ACTIVE_S, PATIENCE_S, Quota, Terms
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.records import Completion, Usage


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def quota_of(clock, *terms):
    quota = Quota(clock)
    for number, one in enumerate(terms):
        quota.join(f"run{number}", one)
    return quota


def most_within(times, seconds=60.0):
    """The most events of `times` in any window of `seconds`."""
    times = sorted(times)
    return max(sum(1 for t in times[i:] if t - start < seconds) for i, start in enumerate(times))


def drive(clock, quota, runs, seconds, step=0.5, seed=0):
    """Let every run ask all the time; return the run and the time of every grant."""
    rng, calls, granted = random.Random(seed), dict.fromkeys(runs, 0), []
    until, due = clock.now + seconds, dict.fromkeys(runs, 0.0)
    while clock.now < until:
        for run in rng.sample(runs, len(runs)):
            if clock.now < due[run]:
                continue
            answer = quota.ask(run, f"{run}-{calls[run]}", prompt=100, reply=0)
            due[run] = clock.now + answer.wait_s
            if not answer.wait_s:
                quota.settle(run, f"{run}-{calls[run]}", 100, (0, 0.0))
                granted.append((run, clock.now))
                calls[run] += 1
        clock.sleep(step)
    return granted


def test_no_minute_has_more_requests_than_the_limit(clock):
    quota = quota_of(clock, Terms(requests_per_minute=7), Terms(requests_per_minute=7))
    granted = drive(clock, quota, ["run0", "run1"], 600)
    times = [at for _, at in granted]
    assert most_within(times) == 7
    assert len(granted) >= 7 * 9, "and little of it is left unused"


def test_runs_get_about_the_same(clock):
    quota = quota_of(clock, *[Terms(requests_per_minute=12)] * 3)
    alone_for_a_while = drive(clock, quota, ["run0"], 120)
    assert len(alone_for_a_while) >= 12, "nobody else wants any of it"
    granted = [run for run, _ in drive(clock, quota, ["run0", "run1", "run2"], 1200)]
    shares = [granted.count(f"run{n}") / len(granted) for n in range(3)]
    assert min(shares) > 0.3


def test_tokens_are_estimated_then_counted(clock):
    quota = quota_of(clock, Terms(tokens_per_minute=1000))
    assert not quota.ask("run0", "a", 400, reply=500).wait_s
    assert quota.ask("run0", "b", 200, reply=0).wait_s
    quota.settle("run0", "a", 500, (500, 0.0), reply=100)
    assert not quota.ask("run0", "b", 200, reply=0).wait_s
    quota.settle("run0", "b", 200, (700, 0.0))
    assert quota.ask("run0", "c", 250).wait_s, "a reply is expected to be as long as those before: 100"
    assert quota.ask("run0", "d", 150).wait_s, "nor does one of the same run that came later overtake it"


def test_a_prompt_larger_than_the_limit_goes_alone(clock):
    quota = quota_of(clock, Terms(tokens_per_minute=100))
    assert not quota.ask("run0", "a", 50, reply=0).wait_s
    assert quota.ask("run0", "large", 5000, reply=0).wait_s
    clock.sleep(60)
    assert not quota.ask("run0", "large", 5000, reply=0).wait_s


def test_a_place_that_is_never_given_back_is_free_again_after_its_lease(clock):
    quota = quota_of(clock, Terms(concurrent=1, lease_s=30), Terms(concurrent=1, lease_s=30))
    assert not quota.ask("run0", "killed", 10).wait_s
    assert quota.ask("run1", "b", 10).wait_s
    clock.sleep(29)
    assert quota.ask("run1", "b", 10).wait_s
    clock.sleep(1.1)
    assert not quota.ask("run1", "b", 10).wait_s
    quota.settle("run0", "killed", 10, (10, 0.0))  # it lived after all
    assert quota.ask("run0", "c", 10).wait_s, "and does not free the place of another"


def test_who_waits_and_is_killed_holds_nobody_up(clock):
    quota = quota_of(clock, Terms(requests_per_minute=2), Terms(requests_per_minute=2))
    for name in ("a", "b"):
        assert not quota.ask("run0", name, 1).wait_s
    assert quota.ask("run1", "killed", 1).wait_s
    clock.sleep(60.0 - PATIENCE_S + 1)
    assert quota.ask("run0", "c", 1).wait_s
    clock.sleep(PATIENCE_S)
    assert not quota.ask("run0", "c", 1).wait_s
    assert not quota.ask("run0", "d", 1).wait_s


def test_the_strictest_limits_hold_while_their_run_goes_on(clock):
    quota = quota_of(clock, Terms(requests_per_minute=60, tokens=10**6), Terms(requests_per_minute=2, money=1.0))
    assert quota.terms == Terms(requests_per_minute=2, tokens=10**6, money=1.0)
    assert quota.runs == 2
    clock.sleep(ACTIVE_S - 1)
    quota.ask("run0", "a", 1)
    clock.sleep(2)
    quota.ask("run0", "b", 1)
    assert quota.terms == Terms(requests_per_minute=60, tokens=10**6)
    assert not quota.knows("run1"), "it joins again with its next call"


def test_a_budget_is_spent_together(clock):
    quota = quota_of(clock, Terms(tokens=1000, money=2.0), Terms(tokens=1000))
    assert not quota.ask("run0", "a", 300, reply=0).refused
    assert "and the next prompt has about 800" in quota.ask("run1", "b", 800).refused, "300 are under way"
    quota.settle("run0", "a", 600, (600, 0.5))
    assert not quota.ask("run1", "b", 300, reply=0).refused
    quota.settle("run1", "b", 300, (300, 1.5))
    assert "2 of 2 US dollars" in quota.ask("run0", "c", 1).refused


def test_one_that_has_forgotten_is_told_again(clock):
    quota = quota_of(clock, Terms(requests_per_minute=3, tokens=1000))
    terms = Terms(requests_per_minute=3, tokens=1000)
    quota.join("other", terms, recent=[(30.0, 10), (5.0, 10)], spent={"other": (100, 0.0), "ended": (400, 0.0)})
    quota.join("run0", terms, spent={"other": (80, 0.0), "ended": (400, 0.0)})
    assert quota.spent == {"other": (100, 0.0), "ended": (400, 0.0)}, "told twice, counted once"
    assert not quota.ask("run0", "a", 10, reply=0).wait_s
    assert quota.ask("run0", "b", 10, reply=0).wait_s
    clock.sleep(30)
    assert not quota.ask("run0", "b", 10, reply=0).wait_s


def test_the_first_that_comes_to_one_that_has_forgotten_speaks_for_all(clock):
    quota, terms = Quota(clock), Terms(requests_per_minute=10)
    quota.join("run0", terms, recent=[(5.0, 10)] * 4, others=(5, 50, 5.0))
    quota.join("run1", terms, recent=[(5.0, 10)] * 4, others=(6, 60, 1.0))
    assert quota.used == (13, 130), "4 of its own and 5 of others, then 4: too many rather than too few"
    clock.sleep(55)
    assert quota.used == (0, 0)


def test_a_part_of_the_limits_is_never_nothing():
    terms = Terms(requests_per_minute=5, concurrent=2, tokens=100)
    assert terms.shared_by(3) == Terms(requests_per_minute=1, concurrent=1, tokens=100)


def test_a_client_waits_for_its_permit_and_says_what_it_used(clock, prompt):
    script = Scripted([Completion("x" * 8, "m", Usage(30, 20))], repeat_last=True)
    limiter = Alone(Terms(requests_per_minute=2, tokens=145), clock)
    client = Limited(script, limiter, prices={"m": Price(1.0, 1.0)}, sleep=clock.sleep)
    began = clock.now
    client.complete(prompt)
    client.complete(prompt)
    assert clock.now == began
    with pytest.raises(LLMBudgetExceeded, match=r"llm\.limits.*used 100 of 145 tokens"):
        Limited(script, limiter, sleep=clock.sleep).complete(prompt.__class__((*prompt.messages,) * 20))
    client.complete(prompt)
    assert 60 <= clock.now - began <= 65
    assert len(script.prompts) == 3


def test_a_failed_call_gives_its_place_back(clock, prompt):
    client = Limited(
        Scripted([LLMUnavailable("down"), "yes"]),
        Alone(Terms(concurrent=1), clock),
        sleep=lambda s: pytest.fail("waited"),
    )
    with pytest.raises(LLMUnavailable):
        client.complete(prompt)
    assert client.complete(prompt).text == "yes"


def test_a_run_that_was_silent_for_long_goes_on(clock, prompt):
    client = Limited(Scripted(["a"], repeat_last=True), Alone(Terms(requests_per_minute=1), clock), sleep=clock.sleep)
    client.complete(prompt)
    clock.sleep(2 * ACTIVE_S)
    assert client.complete(prompt).text == "a"


def test_the_options_of_a_job_make_a_limited_client_that_travels():
    options = LLMOptions(model="m", base_url="http://host:8000/v1", limits={"requests_per_minute": 3, "concurrent": 1})
    assert options.account == "host:8000/m"
    assert LLMOptions(model="m").account == "api.openai.com/m"
    assert LLMOptions(model="m", limits={"shared": "team"}).account == "team"
    limited = pickle.loads(pickle.dumps(Limited(OpenAIClient("m"), alone(options))))
    assert isinstance(limited, Limited)
    assert pickle.loads(pickle.dumps(configured(options)))


@pytest.mark.parametrize(
    ("llm", "rule"),
    [
        ({"limits": {"requests_per_minute": 0}}, "greater than or equal to 1"),
        ({"limits": {"requests_per_minut": 5}}, "unknown key"),
        ({"limits": {"shared": "a b"}}, "match pattern"),
        ({"limits": {"money": 5}}, "`limits.money` needs the price of `m`"),
        ({"limits": {"concurrent": 1}, "provider": "local"}, "a local model has none"),
    ],
)
def test_wrong_limits_are_named(llm, rule):
    with pytest.raises(JobError) as caught:
        read_job({"llm": {"model": "m", **llm}, "data_card": {}, "model_card": {}})
    assert any(rule in str(problem) for problem in caught.value.problems)


def test_prices_of_the_budget_are_those_of_the_limits():
    values = {"llm": {"model": "m", "limits": {"money": 5}}, "budget": {"prices": {"m": {"input": 1, "output": 2}}}}
    with pytest.raises(JobError) as caught:
        read_job({**values, "data_card": {}, "model_card": {}})
    assert not [problem for problem in caught.value.problems if problem.field.startswith("llm")]
