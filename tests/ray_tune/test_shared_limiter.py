"""Several runs, one account: permits from one actor, which may die."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.llm.limited import Limited
from automl_gpt_ray.llm.quota import Terms
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.ray_tune import shared_limiter
from automl_gpt_ray.ray_tune.configured_llm import configured
from automl_gpt_ray.ray_tune.shared_limiter import NAMESPACE, SharedLimiter, actor_name
from automl_gpt_ray.records import Message, Prompt

pytestmark = pytest.mark.ray
PROMPT = Prompt((Message("user", "Propose a learning rate, and say why it is not the one before."),))
ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import json, sys
import ray
from automl_gpt_ray.llm.quota import Terms
from automl_gpt_ray.ray_tune.shared_limiter import SharedLimiter

ray.init(address=sys.argv[1], namespace="another", logging_level="ERROR", log_to_driver=False)
limiter = SharedLimiter(sys.argv[2], Terms(**json.loads(sys.argv[3])))
print(sum(not limiter.ask(f"theirs-{n}", 100, 0).wait_s for n in range(20)))
"""


@pytest.fixture
def account(local_ray, request):
    import ray

    name = f"test/{request.node.name}"
    yield name
    with contextlib.suppress(ValueError):
        ray.kill(actor_of(name))


def actor_of(account):
    import ray

    return ray.get_actor(actor_name(account), namespace=NAMESPACE)


def kill(account):
    import ray

    actor = actor_of(account)
    ray.kill(actor)
    with contextlib.suppress(ray.exceptions.RayActorError):
        while True:  # Ray does not wait: on a busy machine the actor takes a call or two before it is gone
            ray.get(actor.__ray_call__.remote(id))


def ask_all(limiters, asks=12):
    """Let each ask from a thread of its own; return how many permits all of them had."""
    permits = []

    def ask(number, limiter):
        for call in range(asks):
            name = f"{number}-{call}"
            if not limiter.ask(name, 100, 0).wait_s:
                permits.append(name)
                limiter.settle(name, 100, (100, 0.0))

    threads = [threading.Thread(target=ask, args=item) for item in enumerate(limiters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(permits)


def test_two_drivers_share_one_limit(account):
    import ray

    terms = {"requests_per_minute": 10}
    mine = SharedLimiter(account, Terms(**terms), warn=pytest.fail)
    assert [mine.ask(f"mine-{n}", 100, 0).wait_s for n in range(4)] == [0, 0, 0, 0]
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", DRIVER, address, account, json.dumps(terms)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "6", done.stderr[-2000:]
    assert mine.ask("mine-4", 100, 0).wait_s > 0


def test_an_actor_that_died_learns_again(account):
    limiters = [SharedLimiter(account, Terms(requests_per_minute=10), warn=pytest.fail) for _ in range(2)]
    assert ask_all(limiters) == 10
    for _ in range(2):
        kill(account)
        assert ask_all(limiters) == 0, "what was granted before it died counts still"


def test_what_was_spent_outlives_the_actor(account):
    terms = Terms(tokens=1000)
    ended, living = (SharedLimiter(account, terms, warn=pytest.fail) for _ in range(2))
    assert not ended.ask("a", 100, 0).refused
    ended.settle("a", 700, (700, 0.0))
    assert not living.ask("b", 100, 0).refused
    living.settle("b", 150, (150, 0.0))
    del ended
    kill(account)
    assert "used 850 of 1000 tokens" in living.ask("c", 200, 0).refused
    newcomer = SharedLimiter(account, terms, warn=pytest.fail)
    assert "used 850 of 1000 tokens" in newcomer.ask("d", 200, 0).refused


def test_a_reply_is_kept_though_the_actor_dies_under_the_call(account):
    def answer(prompt):
        kill(account)
        return "kept"

    limiter = SharedLimiter(account, Terms(requests_per_minute=5, tokens=50), warn=pytest.fail)
    assert Limited(Scripted([answer]), limiter).complete(PROMPT).text == "kept"
    tokens = estimated_tokens(PROMPT) + 1
    assert f"used {tokens} of 50 tokens" in limiter.ask("next", 40, 0).refused


def test_without_an_actor_a_run_keeps_to_its_part_and_says_so_once(account, monkeypatch):
    said, now = [], [0.0]
    limiters = [
        SharedLimiter(account, Terms(requests_per_minute=10), said.append, clock=lambda: now[0], away_s=30)
        for _ in range(2)
    ]
    assert not limiters[0].ask("first", 100, 0).wait_s
    assert not limiters[1].ask("second", 100, 0).wait_s
    real = shared_limiter._actor
    kill(account)

    def gone(account):
        raise RuntimeError("no such node\nand so on")

    monkeypatch.setattr(shared_limiter, "_actor", gone)
    assert ask_all([limiters[1]]) == 4, "half of 10, of which it has had one"
    assert said == [
        f"the actor that shares the limits of `{account}` cannot be reached (no such node): "
        "this run keeps to 1/2 of the limits by itself until it can"
    ]
    now[0] = 31.0
    monkeypatch.setattr(shared_limiter, "_actor", real)
    assert ask_all([limiters[1]]) == 4, "what was granted meanwhile counts, and what the other was granted before"
    assert ask_all([limiters[0]]) == 0
    assert len(said) == 1


def test_before_ray_is_there_the_limits_are_those_of_the_run(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    limiter = SharedLimiter("nobody", Terms(requests_per_minute=2), warn=pytest.fail)
    assert ask_all([limiter]) == 2
    assert ask_all([pickle.loads(pickle.dumps(limiter))]) == 2


def test_the_actor_holds_neither_key_nor_prompt(account, monkeypatch):
    import ray

    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-123456")
    options = LLMOptions(model="m", base_url="http://127.0.0.1:1/v1", limits={"shared": account.replace(" ", "")})
    client = configured(options)
    limiter = client._client._limiter
    Limited(Scripted(["a reply"]), limiter).complete(PROMPT)
    actor = actor_of(options.account)
    held = ray.get(actor.__ray_call__.remote(lambda host: repr({**vars(host._quota), "env": ""})))
    ray.kill(actor)
    assert "lease_s=120.0" in held
    assert not [secret for secret in ("sk-planted", "Propose", "learning rate", "a reply") if secret in held]
