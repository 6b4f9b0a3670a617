from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from automl_gpt_ray.errors import LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.records import Completion, Message, Prompt


def test_replies_come_in_order_and_of_every_kind(prompt, schema):
    whole = Completion("whole", "m", seconds=2.0)
    client = Scripted(["text", whole, LLMRejected("no"), lambda prompt: prompt.messages[-1].content.upper()])
    assert client.complete(prompt).text == "text"
    assert client.complete(prompt, schema) is whole
    with pytest.raises(LLMRejected, match="no"):
        client.complete(prompt)
    assert client.complete(prompt).text == "PROPOSE A LEARNING RATE."
    assert client.prompts == (prompt,) * 4
    assert client.schemas == (None, schema, None, None)


def test_an_exhausted_script_says_so(prompt):
    client = Scripted(["one"])
    client.complete(prompt)
    with pytest.raises(LLMUnavailable, match="the script is exhausted: 1 replies, call 2"):
        client.complete(prompt)
    assert len(client.prompts) == 2


def test_the_last_reply_can_be_repeated(prompt):
    client = Scripted(["one", "two"], repeat_last=True)
    assert [client.complete(prompt).text for _ in range(4)] == ["one", "two", "two", "two"]
    with pytest.raises(LLMUnavailable, match="exhausted"):
        Scripted([], repeat_last=True).complete(prompt)


def test_each_reply_is_given_once_to_several_threads():
    client = Scripted([str(n) for n in range(200)])
    prompts = [Prompt((Message("user", str(n)),)) for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        texts = [completion.text for completion in pool.map(client.complete, prompts)]
    assert sorted(texts, key=int) == [str(n) for n in range(200)]
    assert set(client.prompts) == set(prompts)


def test_a_pickled_script_goes_on_where_it_was(prompt):
    client = Scripted(["one", "two"])
    client.complete(prompt)
    copy = pickle.loads(pickle.dumps(client))
    assert copy.complete(prompt).text == client.complete(prompt).text == "two"
    assert copy.prompts == (prompt, prompt)
