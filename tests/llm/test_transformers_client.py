"""A real model of random weights, loaded as any other: what it says is noise, its shape is not."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import parse_data_card, parse_model_card, parse_request
from automl_gpt_ray.errors import JobError, LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.constrained import MAX_STRING
from automl_gpt_ray.llm.transformers_client import TransformersClient
from automl_gpt_ray.prompts.paragraph import log_steps, proposal_prompt, repair_prompt
from automl_gpt_ray.prompts.schema import reply_schema
from automl_gpt_ray.records import Message, Prompt
from automl_gpt_ray.replies import Drafts, parse_proposals
from llm.tiny_model import CHAT, save_tiny_model

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("outlines_core")

MODEL = {
    "name": "net",
    "structure": "a network",
    "tasks": ["classification"],
    "input_types": ["tabular"],
    "data_processing": {"impute": {"type": "choice", "choices": ["mean", "médiane", None], "default": None}},
    "architecture": {
        "kind": {"type": "choice", "choices": ["plain", "dart"], "default": "plain"},
        "norm": {"type": "choice", "choices": [True, False], "default": True},
        "width": {"type": "int", "low": 3, "high": 1200, "log": True, "default": 64},
    },
    "hyperparameters": {
        "rate": {"type": "float", "low": 3e-6, "high": 0.25, "log": True, "default": 0.01},
        "decay": {"type": "float", "low": 1e-9, "high": 1e-4, "log": True, "default": 1e-6},
        "shift": {"type": "float", "low": -2.5, "high": 0.75, "default": 0.0},
        "drop": {"type": "float", "low": 0.0, "high": 0.5, "default": 0.1, "when": {"kind": ["dart"]}},
        "batch": {"type": "choice", "choices": [16, 32, 0.5], "default": 32},
        "tag": {"type": "constant", "value": "x"},
    },
    "max_steps": 8,
    "trainable": "a.b:c",
}
DATA = {
    "name": "adult",
    "task": "classification",
    "input_type": "tabular",
    "metric": "accuracy",
    "label_space": {"column": "y", "classes": ["a", "b"]},
}
BRIEF = Brief.of(parse_model_card(MODEL, "m"), parse_data_card(DATA, "d"), parse_request({}))
PROMPT = proposal_prompt(BRIEF, None, 1)
SCHEMA = reply_schema(BRIEF, 1, log_steps(BRIEF.max_steps))
SHORT = Prompt((Message("system", "You tune models."), Message("user", "Propose a learning rate.")))
RATE = {
    "type": "object",
    "properties": {"eta": {"type": "number", "minimum": 1e-4, "maximum": 1.0}, "reason": {"type": "string"}},
    "required": ["eta", "reason"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    # Trained on the prompt, the tokenizer reads it in few tokens: the test is about the reply.
    lines = [line for message in PROMPT.messages for line in message.content.splitlines()]
    return save_tiny_model(tmp_path_factory.mktemp("gpt2"), lines=lines, vocabulary=1200)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("llama"), kind="llama", chat=CHAT, padded=33, context=512)


@pytest.fixture(scope="module")
def client(folder):
    return TransformersClient(folder, temperature=1.0)


@pytest.mark.parametrize("seed", range(22))
def test_noise_is_a_valid_proposal(client, seed):
    completion = client.complete(PROMPT, SCHEMA)
    assert completion.finish == "stop", completion.text[-200:]
    reply = json.loads(completion.text)
    result = parse_proposals(completion.text, BRIEF)
    assert isinstance(result, Drafts)
    assert result.problems == ()
    [draft], [said] = result.drafts, reply["proposals"]
    assert BRIEF.space.problems(draft.config) == []
    assert draft.config["rate"] == said["hyperparameters"]["rate"], "its own value, not the default"
    assert 1 <= len(said["reason"]) <= MAX_STRING
    assert len(said["predicted_log"]) == 4


def test_noise_is_several_valid_proposals(client):
    wanted = 6
    completion = client.complete(PROMPT, reply_schema(BRIEF, wanted, log_steps(BRIEF.max_steps)))
    result = parse_proposals(completion.text, BRIEF)
    assert isinstance(result, Drafts)
    assert result.problems == ()
    assert 1 <= len(result.drafts) <= wanted


def test_it_is_a_client_that_says_what_it_spent(client, folder):
    completion = client.complete(SHORT, RATE)
    assert isinstance(client, LLMClient)
    assert completion.model == folder
    assert completion.usage.prompt_tokens > 5
    assert 5 < completion.usage.completion_tokens <= len(completion.text)
    assert completion.seconds > 0
    assert set(json.loads(completion.text)) == {"eta", "reason"}


def test_without_a_schema_it_writes_until_its_limit(folder):
    completion = TransformersClient(folder, temperature=1.0, max_new_tokens=20).complete(SHORT)
    assert completion.finish == "length"
    assert completion.usage.completion_tokens == 20
    assert completion.text


def test_unconstrained_it_ignores_the_schema(folder):
    client = TransformersClient(folder, temperature=1.0, max_new_tokens=20, constrained=False)
    assert client.complete(SHORT, RATE).finish == "length"


def test_a_reply_cut_off_says_so(folder):
    completion = TransformersClient(folder, temperature=1.0, max_new_tokens=5).complete(SHORT, RATE)
    assert completion.finish == "length"
    assert completion.usage.completion_tokens == 5


def test_equal_seeds_repeat_and_calls_differ(folder):
    first, same = (TransformersClient(folder, temperature=1.0, seed=3) for _ in range(2))
    texts = [client.complete(SHORT, RATE).text for client in (first, first, same, same)]
    assert texts[:2] == texts[2:]
    assert texts[0] != texts[1]
    assert TransformersClient(folder, temperature=1.0, seed=4).complete(SHORT, RATE).text not in texts


def test_zero_temperature_is_the_likeliest_reply(folder):
    replies = {TransformersClient(folder, temperature=0, seed=s).complete(SHORT, RATE).text for s in range(2)}
    assert len(replies) == 1


def test_the_random_numbers_of_the_process_stay(client):
    import torch

    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    client.complete(SHORT, RATE)
    assert torch.equal(torch.rand(3), wanted)


def test_several_threads_are_served_in_turn(client):
    with ThreadPoolExecutor(4) as pool:
        completions = list(pool.map(lambda _: client.complete(SHORT, RATE), range(8)))
    assert all(1e-4 <= json.loads(completion.text)["eta"] <= 1 for completion in completions)
    assert len({completion.text for completion in completions}) == 8


def test_a_copy_loads_for_itself(client):
    copy = pickle.loads(pickle.dumps(client))
    assert copy._loaded is None
    assert json.loads(copy.complete(SHORT, RATE).text)


def test_a_schema_is_compiled_once(folder):
    client = TransformersClient(folder, temperature=1.0)
    client.complete(SHORT, RATE)
    grammars = dict(client._grammars)
    client.complete(SHORT, json.loads(json.dumps(RATE)))
    assert client._grammars == grammars


def test_a_chat_template_and_spare_scores_do_no_harm(llama):
    client = TransformersClient(llama, temperature=1.0)
    completion = client.complete(SHORT, RATE)
    assert json.loads(completion.text)["reason"]
    assert completion.finish == "stop"


def test_a_broken_model_still_keeps_to_the_schema(folder):
    client = TransformersClient(folder, temperature=0.5)
    client.complete(SHORT, RATE)
    model = client._loaded.model
    model.generation_config.suppress_tokens = list(range(model.config.vocab_size))
    assert json.loads(client.complete(SHORT, RATE).text)
    model.lm_head.weight.data.fill_(math.nan)
    assert json.loads(client.complete(SHORT, RATE).text)


def test_it_ends_where_the_model_ends(folder):
    client = TransformersClient(folder, temperature=0, max_new_tokens=40)
    client.complete(SHORT)
    head = client._loaded.model.lm_head
    head.bias = type(head.weight)(head.weight.new_zeros(head.out_features))
    head.bias.data[client._loaded.tokenizer.eos_token_id] = 1e3
    completion = client.complete(SHORT)
    assert (completion.text, completion.finish, completion.usage.completion_tokens) == ("", "stop", 1)


def test_a_slow_reply_is_given_up(folder):
    client = TransformersClient(folder, temperature=1.0, timeout_s=1e-3)
    with pytest.raises(LLMUnavailable, match=r"tokens, and no end, within 0\.001 s"):
        client.complete(SHORT, RATE)


def test_a_prompt_longer_than_the_context_is_refused_with_the_numbers(llama):
    with pytest.raises(LLMRejected, match=r"context of 512 tokens, got a prompt of \d{4} tokens"):
        TransformersClient(llama).complete(PROMPT, SCHEMA)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(LLMRejected, match=r"must be an existing folder.*nowhere"):
        TransformersClient(str(tmp_path / "nowhere")).complete(SHORT)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(LLMRejected, match="must be a causal language model"):
        TransformersClient(str(tmp_path)).complete(SHORT)


def test_another_kind_of_model_is_refused(tmp_path):
    from transformers import ViTConfig, ViTModel

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    ViTModel(ViTConfig(image_size=16, patch_size=8, **size)).save_pretrained(tmp_path)
    with pytest.raises(LLMRejected, match="must be a causal language model"):
        TransformersClient(str(tmp_path)).complete(SHORT)


def test_missing_weights_are_not_made_up(tmp_path):
    from transformers import LlamaConfig, LlamaModel

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    LlamaModel(LlamaConfig(vocab_size=300, **size)).save_pretrained(tmp_path)
    with pytest.raises(LLMRejected, match=r"`lm_head\.weight` is missing"):
        TransformersClient(str(tmp_path)).complete(SHORT)


def test_a_model_without_its_tokenizer_is_refused(tmp_path):
    save_tiny_model(tmp_path)
    for file in tmp_path.glob("*token*"):
        file.unlink()
    with pytest.raises(LLMRejected, match="must come with its tokenizer"):
        TransformersClient(str(tmp_path)).complete(SHORT)


@pytest.mark.parametrize("wrong", [{"device": "abacus"}, {"device": "cuda:77"}, {"dtype": "float7"}], ids=str)
def test_an_impossible_place_is_refused(wrong, folder):
    with pytest.raises(LLMRejected, match=r"llm\.model"):
        TransformersClient(folder, **wrong).complete(SHORT)


def test_out_of_memory_may_pass(folder, monkeypatch):
    import torch

    client = TransformersClient(folder, temperature=1.0)
    client.complete(SHORT, RATE)

    def full(**settings):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(client._loaded.model, "generate", full)
        with pytest.raises(LLMUnavailable, match="ran out of memory: CUDA out of memory"):
            client.complete(SHORT, RATE)
    assert json.loads(client.complete(SHORT, RATE).text)


@pytest.mark.parametrize("package", ["torch", "transformers", "outlines_core"])
def test_a_missing_package_is_named_with_the_extra(package, folder, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == package and package == "outlines_core"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LLMRejected, match=rf"needs `{package}`: pip install 'automl-gpt-ray\[local-llm\]'"):
        TransformersClient(folder).complete(SHORT, RATE)


def test_a_schema_that_cannot_be_enforced_is_refused(client):
    with pytest.raises(LLMRejected, match="the reply's schema cannot be enforced"):
        client.complete(SHORT, {"type": "object"})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"model": " "}, "llm.model"),
        ({"max_new_tokens": 0}, "llm.max_tokens"),
        ({"temperature": -1.0}, "llm.temperature"),
        ({"timeout_s": 0}, "llm.timeout_s"),
    ],
)
def test_impossible_settings_are_refused(wrong, field):
    with pytest.raises(JobError, match=field):
        TransformersClient(**{"model": "x", **wrong})


def test_importing_it_is_light():
    module = "automl_gpt_ray.llm.transformers_client"
    heavy = ("torch", "transformers", "outlines_core", "ray")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_repair_reads_on(client):
    reply = client.complete(PROMPT, SCHEMA).text
    again = client.complete(repair_prompt(PROMPT, reply, ["proposals[0]: stands twice"]), SCHEMA)
    assert isinstance(parse_proposals(again.text, BRIEF), Drafts)
