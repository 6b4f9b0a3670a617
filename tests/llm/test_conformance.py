"""What holds of every `LLMClient`, a provider or a wrapper around one."""

from __future__ import annotations

import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from llm_faults import FAULTS

from automl_gpt_ray.errors import LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.budgeted import Budgeted
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.recorded import Recorded
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.ray_tune.llm_actor import InActor
from automl_gpt_ray.records import Completion, Message, Prompt

REPLY = json.dumps({"eta": 0.1, "reason": "usual"})


def openai(make, replies, folder):
    """A client of a server that acts out `replies`, an exception being a status."""
    status = {LLMUnavailable: FAULTS["overloaded"], LLMRejected: FAULTS["unauthorised"]}
    faults = [status.get(type(reply)) for reply in replies]
    server = make(answer=lambda body: REPLY, fault=lambda n: faults[min(n, len(faults) - 1)])
    return OpenAIClient("test-model", server.url)


def scripted(make, replies, folder):
    return Scripted(replies, repeat_last=True)


def retrying(make, replies, folder):
    return Retrying(Scripted(replies, repeat_last=True), attempts=1)


def retrying_openai(make, replies, folder):
    return Retrying(openai(make, replies, folder), attempts=1)


def budgeted(make, replies, folder):
    return Budgeted(Scripted(replies, repeat_last=True), max_calls=1000)


def recorded(make, replies, folder):
    return Recorded(Scripted(replies, repeat_last=True), folder, "auto")


def replayed(make, replies, folder):
    """A replay of what a first pass over the prompts recorded."""
    recorder = Recorded(Scripted(replies, repeat_last=True), folder)
    for prompt in PROMPTS:
        recorder.complete(prompt, SCHEMA)
        recorder.complete(prompt)
    return Recorded(None, folder, "replay")


def stacked(make, replies, folder):
    return Recorded(Budgeted(Retrying(openai(make, replies, folder), attempts=1), max_calls=1000), folder)


def in_actor(make, replies, folder):
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    return InActor(partial(Scripted, replies, repeat_last=True), num_cpus=0.1)


MAKERS = [
    openai,
    scripted,
    retrying,
    retrying_openai,
    budgeted,
    recorded,
    replayed,
    stacked,
    pytest.param(in_actor, marks=pytest.mark.ray, id="in_actor"),
]
PICKLABLE = [openai, retrying_openai, pytest.param(in_actor, marks=pytest.mark.ray, id="in_actor")]
PROMPTS = [Prompt((Message("system", "You tune."), Message("user", f"Propose number {n}."))) for n in range(16)]
SCHEMA = {"type": "object", "properties": {"eta": {"type": "number"}, "reason": {"type": "string"}}}


@pytest.fixture(scope="module", autouse=True)
def ray_ends_with_the_module():
    """Ray is started by the first test that needs it; one that others started goes on."""
    started = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    yield
    if "ray" in sys.modules and not started:
        sys.modules["ray"].shutdown()


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def client_of(request, serve, tmp_path):
    return lambda *replies: request.param(serve, replies, tmp_path)


@pytest.fixture(params=[maker for maker in MAKERS if maker is not replayed], ids=lambda maker: maker.__name__)
def failing_client_of(request, serve, tmp_path):
    """As `client_of`, without the replay: an error is never recorded, so it is never replayed."""
    return lambda *replies: request.param(serve, replies, tmp_path)


def test_it_is_a_client(client_of):
    assert isinstance(client_of(REPLY), LLMClient)


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["free", "schema"])
def test_it_returns_a_completion_with_text(client_of, schema):
    completion = client_of(REPLY).complete(PROMPTS[0], schema)
    assert isinstance(completion, Completion)
    assert completion.text == REPLY
    assert completion.model
    assert completion.finish == "stop"
    assert completion.seconds >= 0


def test_it_leaves_the_arguments_alone(client_of):
    schema = json.loads(json.dumps(SCHEMA))
    client_of(REPLY).complete(PROMPTS[0], schema)
    assert schema == SCHEMA


def test_it_serves_several_threads(client_of):
    client = client_of(REPLY)
    with ThreadPoolExecutor(8) as pool:
        completions = list(pool.map(lambda prompt: client.complete(prompt, SCHEMA), PROMPTS))
    assert [completion.text for completion in completions] == [REPLY] * len(PROMPTS)


@pytest.mark.parametrize("error", [LLMUnavailable("down"), LLMRejected("no")], ids=lambda e: type(e).__name__)
def test_its_errors_are_of_the_class_that_says_what_to_do(failing_client_of, error):
    with pytest.raises(type(error)) as caught:
        failing_client_of(error).complete(PROMPTS[0], SCHEMA)
    assert type(caught.value) is type(error)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(error), "it crosses a process boundary"


def test_it_works_again_after_an_error(failing_client_of):
    client = failing_client_of(LLMUnavailable("down"), REPLY)
    with pytest.raises(LLMUnavailable):
        client.complete(PROMPTS[0], SCHEMA)
    assert client.complete(PROMPTS[0], SCHEMA).text == REPLY


@pytest.mark.parametrize("maker", PICKLABLE, ids=lambda maker: maker.__name__)
def test_a_client_that_claims_it_is_picklable(maker, serve, tmp_path):
    client = maker(serve, [REPLY], tmp_path)
    client.complete(PROMPTS[0], SCHEMA)
    assert pickle.loads(pickle.dumps(client)).complete(PROMPTS[0], SCHEMA).text == REPLY


def test_a_budget_is_not_picklable():
    with pytest.raises(TypeError, match="each copy would have the whole budget"):
        pickle.dumps(Budgeted(Scripted([REPLY])))
