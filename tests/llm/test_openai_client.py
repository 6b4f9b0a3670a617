"""The OpenAI client against a real server that breaks in every way the fault table knows."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import subprocess
import sys
import threading
import time

import pytest
from llm_faults import FAULTS, Fault, error, refuses

from automl_gpt_ray.errors import JobError, LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.redaction import redact, secrets_in
from automl_gpt_ray.records import Message, Prompt

PLANTED = "sk-planted-123456"

ERRORS = [
    # fault, class, words of the message, retry_after
    ("rate limited", LLMUnavailable, "429: slow down", 7.0),
    ("quota spent", LLMRejected, "quota is spent", None),
    ("server error", LLMUnavailable, "500: internal error", None),
    ("overloaded", LLMUnavailable, "503: overloaded", 2.0),
    ("request timeout", LLMUnavailable, "408", None),
    ("conflict", LLMUnavailable, "409", None),
    ("bad request", LLMRejected, "400: maximum context length is 4096 tokens", None),
    ("unauthorised", LLMRejected, "variable `OPENAI_API_KEY`", None),
    ("forbidden", LLMRejected, "403: country not supported", None),
    ("wrong model", LLMRejected, "Check `llm.model`", None),
    ("unprocessable", LLMRejected, "422: body.messages: bad role", None),
    ("html error page", LLMUnavailable, "502: Bad gateway nginx.", None),
    ("html instead of a reply", LLMUnavailable, "an HTML page", None),
    ("plain text", LLMUnavailable, "not JSON", None),
    ("connection reset", LLMUnavailable, "Is the server running? Check `llm.base_url`", None),
    ("hang", LLMUnavailable, "no complete answer within 0.4 s", None),
    ("dripping body", LLMUnavailable, "no complete answer within 0.4 s", None),
    ("dripping head", LLMUnavailable, "no complete answer within 0.4 s", None),
    ("truncated body", LLMUnavailable, "broke off", None),
    ("empty body", LLMUnavailable, "the body is empty", None),
    ("invalid json", LLMUnavailable, "not JSON", None),
    ("json list", LLMUnavailable, "not a JSON object", None),
    ("not utf-8", LLMUnavailable, "not JSON", None),
    ("error with status 200", LLMUnavailable, "no choices: upstream is down", None),
    ("empty choices", LLMUnavailable, "no choices", None),
    ("null choices", LLMUnavailable, "no choices", None),
    ("null content", LLMUnavailable, "the reply is empty", None),
    ("empty content", LLMUnavailable, "the reply is empty", None),
    ("content is a number", LLMUnavailable, "content is not text", None),
    ("huge body", LLMUnavailable, "more than 4 MiB", None),
]
SILENT = {"hang", "dripping body", "dripping head"}


@pytest.mark.parametrize(("name", "kind", "words", "after"), ERRORS, ids=[case[0] for case in ERRORS])
def test_a_fault_has_its_class_and_says_what_happened(name, kind, words, after, serve, prompt, schema):
    server = serve(fault=lambda n: FAULTS[name])
    client = OpenAIClient("test-model", server.url, timeout_s=0.4 if name in SILENT else 5.0)
    begun = time.monotonic()
    with pytest.raises((LLMUnavailable, LLMRejected)) as caught:
        client.complete(prompt, schema)
    assert type(caught.value) is kind
    assert time.monotonic() - begun < 4.5, "the deadline bounds the whole call"
    message = str(caught.value)
    assert words in message
    assert "`test-model` at 127.0.0.1:" in message
    assert getattr(caught.value, "retry_after", None) == after
    assert caught.value.__context__ is caught.value.__cause__ is None, (
        "an exception of the SDK holds the request's headers"
    )
    assert len(server.requests) == 1, "the client does not retry by itself"


ANSWERS = [
    # fault, text or None for anything that fits the schema, finish
    ("wrong content type", None, "stop"),
    ("missing usage", None, "stop"),
    ("content in parts", "two parts", "stop"),
    ("refusal", "I cannot help with that.", "refusal"),
    ("content filter", "", "refusal"),
    ("cut off", None, "length"),
    ("cut off before any text", "", "length"),
]


@pytest.mark.parametrize(("name", "text", "finish"), ANSWERS, ids=[case[0] for case in ANSWERS])
def test_an_odd_reply_is_still_an_answer(name, text, finish, ask):
    completion = ask(FAULTS[name])
    assert completion.finish == finish
    assert completion.text == text if text is not None else set(json.loads(completion.text)) == {"eta", "reason"}
    assert completion.usage.total == 0 if name == "missing usage" else completion.usage.total > 0
    assert 0 < completion.seconds < 5


def test_every_fault_of_the_table_is_covered():
    covered = {case[0] for case in ERRORS} | {case[0] for case in ANSWERS}
    assert covered | set(REFUSALS) | {"rate limited until a date"} == set(FAULTS)


REFUSALS = {
    "no response format": "none",
    "no json schema": "json_object",
    "no strict schema": "json_schema without strict",
    "no temperature": "no temperature",
    "no max_tokens": "max_completion_tokens",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_parameter_is_given_up_and_that_is_remembered(name, serve, prompt, schema):
    server = serve(fault=lambda n: FAULTS[name])
    client = OpenAIClient("test-model", server.url, temperature=0.5, max_tokens=50)
    assert client.complete(prompt, schema).text
    needed = len(server.requests)
    assert needed >= 2
    accepted = server.requests[-1]["body"]
    assert client.complete(prompt, schema).text
    assert len(server.requests) == needed + 1, "the second call starts from what the first one learnt"
    assert server.requests[-1]["body"] == accepted
    assert _shape(accepted) == REFUSALS[name]
    copy = pickle.loads(pickle.dumps(client))
    assert copy.complete(prompt, schema).text
    assert len(server.requests) == needed + 2, "a copy knows it too"


def _shape(body):
    if body.get("temperature") is None:
        return "no temperature"
    if "max_completion_tokens" in body:
        return "max_completion_tokens"
    wanted = body.get("response_format")
    if wanted is None:
        return "none"
    return f"{wanted['type']} without strict" if "json_schema" in wanted else wanted["type"]


def test_a_server_that_refuses_everything_at_once_is_still_understood(serve, prompt, schema):
    faults = [FAULTS[name] for name in REFUSALS]
    seen = []

    def fault(n):
        return next((f for f in faults if f.when(seen[n])), None)

    server = serve(fault=fault)
    server.received = lambda body, headers, real=server.received: (seen.append(body), real(body, headers))[1]
    completion = OpenAIClient("test-model", server.url, temperature=0.5, max_tokens=50).complete(prompt, schema)
    assert completion.text
    assert set(seen[-1]) == {"model", "messages", "max_completion_tokens"}
    assert len(seen) == 6


def test_a_limit_that_is_too_high_is_not_taken_for_an_unknown_parameter(serve, prompt):
    fault = error(400, "max_tokens is too large: 90000. This model allows at most 4096 completion tokens")
    server = serve(fault=lambda n: fault)
    with pytest.raises(LLMRejected, match="too large: 90000"):
        OpenAIClient("test-model", server.url, max_tokens=90000).complete(prompt)
    assert len(server.requests) == 1


def test_a_fixed_form_of_structured_output_is_not_weakened(serve, prompt, schema):
    server = serve(fault=lambda n: FAULTS["no response format"])
    with pytest.raises(LLMRejected, match="response_format is not supported"):
        OpenAIClient("test-model", server.url, structured="json_object").complete(prompt, schema)
    assert [r["body"]["response_format"] for r in server.requests] == [{"type": "json_object"}]


def test_finding_the_dialect_does_not_extend_the_deadline(serve, prompt, schema):
    # With a deadline of its own for each request, the second would be answered.
    server = serve(latency_s=0.8, fault=lambda n: refuses("response_format", "response_format is unsupported"))
    with pytest.raises(LLMUnavailable, match=r"within 1\.5 s"):
        OpenAIClient("test-model", server.url, timeout_s=1.5).complete(prompt, schema)
    assert len(server.requests) == 2


def test_the_thread_of_an_abandoned_request_ends_by_itself(serve, prompt):
    server = serve(fault=lambda n: Fault(drip_s=0.05))
    before = set(threading.enumerate())
    with pytest.raises(LLMUnavailable):
        OpenAIClient("test-model", server.url, timeout_s=0.3).complete(prompt)
    left = [t for t in threading.enumerate() if t not in before and t.name == "llm-call"]
    for thread in left:
        thread.join(3.0)
    assert not any(thread.is_alive() for thread in left)


def test_the_request_says_what_was_asked(serve, prompt, schema):
    server = serve(answer=lambda body: "fine")
    client = OpenAIClient(
        "test-model",
        server.url,
        temperature=0.0,
        max_tokens=9,
        extra={"chat_template_kwargs": {"enable_thinking": False}},
    )
    completion = client.complete(prompt, schema)
    assert (completion.text, completion.model, completion.finish) == ("fine", "test-model", "stop")
    assert server.requests[0]["headers"]["accept-encoding"] == "identity", "the cap counts bytes as sent"
    assert server.requests[0]["body"] == {
        "model": "test-model",
        "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
        "temperature": 0.0,
        "max_tokens": 9,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a_reply", "schema": schema, "strict": True},
        },
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_an_open_schema_is_not_sent_as_strict(serve, prompt):
    server = serve()
    OpenAIClient("test-model", server.url).complete(prompt, {"type": "object", "properties": {"a": {"type": "string"}}})
    assert "strict" not in server.requests[0]["body"]["response_format"]["json_schema"]


def test_thinking_and_broken_text_pass_through(serve):
    server = serve(answer=lambda body: "<think>hm</think>{}")
    completion = OpenAIClient("test-model", server.url).complete(Prompt((Message("user", "a \udcff name"),)))
    assert completion.text == "<think>hm</think>{}"
    assert server.requests[0]["body"]["messages"][0]["content"] == "a ? name"


def test_no_server_is_a_refused_connection(prompt):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(LLMUnavailable, match=r"refused.*Is the server running\? Check `llm.base_url`"):
        OpenAIClient("test-model", f"http://127.0.0.1:{port}/v1").complete(prompt)


def test_a_date_in_retry_after_becomes_seconds(ask):
    with pytest.raises(LLMUnavailable) as caught:
        ask(FAULTS["rate limited until a date"])
    assert 3000 < caught.value.retry_after <= 3600


class TestKeys:
    def test_the_key_is_read_at_each_call_and_goes_only_to_the_server(self, serve, prompt, monkeypatch):
        server = serve()
        client = OpenAIClient("test-model", server.url)
        client.complete(prompt)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-second-7654321")
        client.complete(prompt)
        monkeypatch.delenv("OPENAI_API_KEY")
        client.complete(prompt)
        sent = [request["headers"]["authorization"] for request in server.requests]
        assert sent == [f"Bearer {PLANTED}", "Bearer sk-second-7654321", "Bearer none"]

    def test_openai_itself_needs_a_key(self, prompt, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(LLMRejected, match="`OPENAI_API_KEY` is not set"):
            OpenAIClient("test-model").complete(prompt)
        with pytest.raises(LLMRejected, match="`MY_KEY` is not set"):
            OpenAIClient("test-model", "https://api.openai.com/v1/", api_key_env="MY_KEY").complete(prompt)

    def test_a_key_echoed_by_the_server_is_not_shown(self, ask):
        for said in (
            f"Incorrect API key provided: {PLANTED}",
            f"x{PLANTED}y",
            "bad header Authorization: Bearer abc123456",
        ):
            with pytest.raises(LLMRejected) as caught:
                ask(error(401, said))
            assert "[redacted]" in str(caught.value)
            for text in (
                str(caught.value),
                repr(caught.value),
                repr(caught.value.args),
                str(pickle.dumps(caught.value)),
            ):
                assert PLANTED not in text
                assert "abc123456" not in text

    def test_a_key_at_the_cut_of_a_long_message_is_not_shown_in_part(self, ask):
        with pytest.raises(LLMRejected) as caught:
            ask(error(401, "x " * 145 + PLANTED))
        assert "sk-plan" not in str(caught.value)
        assert len(str(caught.value)) < 500

    def test_the_used_client_is_picklable_without_the_key(self, serve, prompt, caplog):
        caplog.set_level(logging.DEBUG)
        client = OpenAIClient("test-model", serve().url)
        first = client.complete(prompt)
        frozen = pickle.dumps(client)
        assert PLANTED.encode() not in frozen
        assert PLANTED not in repr(client) + str(vars(pickle.loads(frozen))) + caplog.text
        assert pickle.loads(frozen).complete(prompt).model == first.model

    @pytest.mark.parametrize("name", [case[0] for case in ERRORS if case[0] not in SILENT | {"huge body"}])
    def test_no_fault_brings_the_key_to_light(self, name, ask, caplog):
        caplog.set_level(logging.DEBUG)
        with pytest.raises((LLMUnavailable, LLMRejected)) as caught:
            ask(FAULTS[name])
        assert PLANTED not in str(caught.value) + repr(vars(caught.value)) + caplog.text

    def test_a_password_in_the_url_is_not_shown(self, serve, prompt):
        url = serve(fault=lambda n: FAULTS["server error"]).url.replace("//", "//user:pass-word@")
        client = OpenAIClient("test-model", url)
        with pytest.raises(LLMUnavailable) as caught:
            client.complete(prompt)
        assert "pass-word" not in str(caught.value) + repr(client)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"model": " "}, "llm.model"),
        ({"base_url": "localhost:8000"}, "llm.base_url"),
        ({"base_url": "http://host:port/v1"}, "llm.base_url"),
        ({"timeout_s": 0}, "llm.timeout_s"),
        ({"timeout_s": float("nan")}, "llm.timeout_s"),
        ({"structured": "yaml"}, "llm.structured"),
    ],
)
def test_arguments_are_checked_at_once(arguments, field):
    with pytest.raises(JobError) as caught:
        OpenAIClient(**{"model": "test-model", **arguments})
    assert [problem.field for problem in caught.value.problems] == [field]


def test_importing_the_package_does_not_import_openai():
    code = "import sys, automl_gpt_ray.llm.openai_client; sys.exit('openai' in sys.modules or 'httpx2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_key_from_a_file_is_read_anew_and_known_as_a_secret(tmp_path):
    file = tmp_path / "key"
    client = OpenAIClient("m", api_key_file=str(file))
    with pytest.raises(LLMRejected, match="holds none that can be read"):
        client.complete(Prompt((Message("user", "hi"),)))
    for key in ("first-planted-key", "second-planted-key"):
        file.write_text(key + "\n")
        assert client._asked().secrets == (key,)
        assert redact(f"it was {key}!", secrets_in()) == "it was [redacted]!"
    assert "planted" not in repr(client) + str(vars(client))
