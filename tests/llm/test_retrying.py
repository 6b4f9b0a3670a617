"""Retries on a clock of the test's own: nothing here sleeps."""

from __future__ import annotations

import pickle
import random
import threading

import pytest

from automl_gpt_ray.errors import LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.llm.scripted import Scripted

DOWN = LLMUnavailable("down")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Always(random.Random):
    """Jitter at a fixed share of its range."""

    def __init__(self, share):
        super().__init__(0)
        self.share = share

    def uniform(self, a, b):
        return a + self.share * (b - a)


@pytest.fixture
def clock():
    return Clock()


def retrying(replies, clock, share=1.0, **settings):
    client = Scripted(replies, repeat_last=True)
    return Retrying(client, clock=clock, sleep=clock.sleep, rng=Always(share), **settings), client


def test_it_asks_until_there_is_an_answer(clock, prompt):
    client, script = retrying([DOWN, DOWN, "yes"], clock)
    assert client.complete(prompt).text == "yes"
    assert len(script.prompts) == 3


def test_waits_double_up_to_the_cap(clock, prompt):
    client, _ = retrying([DOWN], clock, attempts=7, base_s=1.0, cap_s=10.0)
    with pytest.raises(LLMUnavailable):
        client.complete(prompt)
    assert clock.slept == [1, 2, 4, 8, 10, 10]


def test_jitter_reaches_down_to_zero(clock, prompt):
    client, _ = retrying([DOWN], clock, share=0.0)
    with pytest.raises(LLMUnavailable):
        client.complete(prompt)
    assert clock.slept == [0, 0, 0]


@pytest.mark.parametrize(("asked", "waited"), [(5.0, 5.0), (0.25, 1.0), (3600.0, 30.0)])
def test_the_server_s_own_wait_is_honoured_up_to_the_cap(asked, waited, clock, prompt):
    client, _ = retrying([LLMUnavailable("slow down", asked), "yes"], clock)
    assert client.complete(prompt).text == "yes"
    assert clock.slept == [waited]


def test_a_rejection_is_not_retried(clock, prompt):
    client, script = retrying([LLMRejected("wrong key")], clock)
    with pytest.raises(LLMRejected, match=r"wrong key$"):
        client.complete(prompt)
    assert len(script.prompts) == 1
    assert clock.slept == []


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_last_error_says_how_often_it_was_tried(attempts, clock, prompt):
    errors = [LLMUnavailable(f"error {n}", float(n)) for n in range(attempts)]
    client, script = retrying(errors, clock, attempts=attempts)
    with pytest.raises(LLMUnavailable, match=rf"error {attempts - 1} \(gave up after {attempts} attempt") as caught:
        client.complete(prompt)
    assert len(script.prompts) == attempts
    assert caught.value.retry_after == attempts - 1
    assert caught.value.__cause__ is errors[-1]


def test_no_try_begins_past_the_deadline(clock, prompt):
    client, script = retrying([DOWN], clock, attempts=9, deadline_s=6.0)
    with pytest.raises(LLMUnavailable, match="3 attempts: no time for another within 6 s"):
        client.complete(prompt)
    assert clock.slept == [1, 2], "the third wait, of 4 s, would end at 7"
    assert len(script.prompts) == 3


def test_a_stop_ends_the_wait_and_the_tries(clock, prompt):
    stop = threading.Event()
    client, script = retrying([DOWN], clock, stop=stop)
    client._sleep = lambda seconds: stop.set()
    with pytest.raises(LLMUnavailable, match="interrupted while waiting"):
        client.complete(prompt)
    assert len(script.prompts) == 1


def test_a_stop_wakes_a_real_wait(prompt):
    stop = threading.Event()
    client = Retrying(Scripted([DOWN], repeat_last=True), base_s=60, cap_s=60, stop=stop, rng=Always(1.0))
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    with pytest.raises(LLMUnavailable, match="interrupted while waiting"):
        client.complete(prompt)
    timer.join()


def test_a_stop_during_the_call_is_seen_before_the_wait(clock, prompt):
    stop = threading.Event()

    def last(prompt):
        stop.set()
        raise DOWN

    client, script = retrying([last], clock, stop=stop)
    with pytest.raises(LLMUnavailable, match=r"interrupted after 1 attempt\)"):
        client.complete(prompt)
    assert clock.slept == []
    assert len(script.prompts) == 1


def test_defaults_are_picklable():
    copy = pickle.loads(pickle.dumps(Retrying(None, attempts=7)))
    assert copy._attempts == 7


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"base_s": -1.0}, {"cap_s": -1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="must be >= 1"):
        Retrying(Scripted([]), **wrong)
