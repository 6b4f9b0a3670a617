"""A client in a real actor: its answers, its errors, its death and its return."""

from __future__ import annotations

import json
import os
import pickle
import time
from functools import partial

import pytest
import ray_clients
from llm.tiny_model import save_tiny_model
from ray_clients import Broken, Dying, Sleepy, Where

from automl_gpt_ray.errors import LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.llm.transformers_client import TransformersClient
from automl_gpt_ray.ray_tune.llm_actor import InActor
from automl_gpt_ray.records import Message, Prompt

PROMPT = Prompt((Message("user", "Propose."),))


@pytest.fixture
def client_of():
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(ray_clients)  # the workers do not know this folder
    clients = []

    def make(factory, **settings):
        clients.append(InActor(factory, **{"num_cpus": 0.1, **settings}))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_without_ray_it_says_what_to_do(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(LLMRejected, match=r"call `ray\.init"):
        InActor(partial(Scripted, ["a"])).complete(PROMPT)


@pytest.mark.ray
def test_it_answers_from_another_process_without_a_gpu(local_ray, client_of):
    client = client_of(Where)
    assert isinstance(client, LLMClient)
    process, gpus = client.complete(PROMPT, {"type": "object"}).text.split()
    assert int(process) != os.getpid()
    assert gpus == "[]"
    assert client.complete(PROMPT).text.split()[0] == process, "one actor for all prompts"


@pytest.mark.ray
def test_errors_come_out_as_they_went_in(local_ray, client_of):
    client = client_of(partial(Scripted, [LLMUnavailable("slow down", 2.5), LLMRejected("no"), "yes"]))
    with pytest.raises(LLMUnavailable, match="slow down") as caught:
        client.complete(PROMPT)
    assert type(caught.value) is LLMUnavailable
    assert caught.value.retry_after == 2.5
    with pytest.raises(LLMRejected, match="no"):
        client.complete(PROMPT)
    assert client.complete(PROMPT).text == "yes"


@pytest.mark.ray
def test_an_actor_that_died_comes_back(local_ray, client_of):
    client = client_of(Dying)
    first = client.complete(PROMPT).text
    with pytest.raises(LLMUnavailable, match="died"):
        client.complete(Prompt((Message("user", "die"),)))
    assert client.complete(PROMPT).text != first


@pytest.mark.ray
def test_a_client_that_cannot_be_made_is_refused(local_ray, client_of):
    with pytest.raises(LLMRejected, match="could not be made: no such thing"):
        client_of(Broken).complete(PROMPT)


@pytest.mark.ray
def test_a_stuck_actor_is_ended(local_ray, client_of):
    client = client_of(Sleepy, timeout_s=0.5)
    begun = time.monotonic()
    with pytest.raises(LLMUnavailable, match=r"no answer within 0\.5 s, and was ended"):
        client.complete(Prompt((Message("user", "60"),)))
    assert time.monotonic() - begun < 30
    assert client.complete(Prompt((Message("user", "0"),))).text == "awake"


@pytest.mark.ray
def test_without_a_place_in_the_cluster_it_says_so(local_ray, client_of):
    client = client_of(partial(Scripted, ["a"]), num_cpus=64, start_timeout_s=0.3)
    with pytest.raises(LLMUnavailable, match="are 64 CPU and 0 GPU free"):
        client.complete(PROMPT)


@pytest.mark.ray
def test_actors_of_one_name_are_one(local_ray, client_of):
    client = client_of(Where, name="shared-model")
    copy = pickle.loads(pickle.dumps(client))
    assert copy.complete(PROMPT).text == client.complete(PROMPT).text


@pytest.mark.ray
def test_closing_frees_the_actor(local_ray, client_of):
    client = client_of(Where)
    first = client.complete(PROMPT).text
    client.close()
    client.close()
    assert client.complete(PROMPT).text != first


@pytest.mark.ray
def test_a_model_answers_from_an_actor(local_ray, client_of, tmp_path):
    schema = {"type": "object", "properties": {"eta": {"type": "number", "minimum": 0.1, "maximum": 1}}}
    client = client_of(partial(TransformersClient, save_tiny_model(tmp_path), temperature=1.0))
    completion = client.complete(PROMPT, {**schema, "required": ["eta"]})
    assert 0.1 <= json.loads(completion.text)["eta"] <= 1
