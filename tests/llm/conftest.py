"""What the tests of the clients share: a planted key, a prompt, a schema, a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `llm_server`, whichever way pytest was started

from llm_server import LLMServer

from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.records import Message, Prompt

PLANTED = "sk-planted-123456"

SCHEMA = {
    "title": "a reply",
    "type": "object",
    "properties": {"eta": {"type": "number", "minimum": 1e-4, "maximum": 1.0}, "reason": {"type": "string"}},
    "required": ["eta", "reason"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def planted_key(monkeypatch):
    """Every test runs with a key in the environment that must never be seen again."""
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    return PLANTED


@pytest.fixture
def prompt():
    return Prompt((Message("system", "You tune models."), Message("user", "Propose a learning rate.")))


@pytest.fixture
def schema():
    return SCHEMA


@pytest.fixture
def serve():
    """Start servers that end with the test: `serve(answer=..., fault=...)`."""
    servers = []

    def start(**settings):
        servers.append(LLMServer(**settings).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def ask(serve, prompt, schema):
    """Ask a fresh client of a server with one fault on every request; returns the completion."""

    def once(fault=None, **settings):
        server = serve(fault=lambda n: fault)
        client = OpenAIClient("test-model", server.url, **{"timeout_s": 5.0, **settings})
        return client.complete(prompt, schema)

    return once
