"""A key in the environment, echoed by the model's server wherever it can: no file and no line of a run holds it."""

from __future__ import annotations

import json

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.config import read_job
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.retrying import Retrying
from automl_gpt_ray.ray_tune.run import run

pytestmark = pytest.mark.ray
PLANTED = "sk-planted-7f3a9c51d2e84b60"


def echo(body):
    """An answer whose reasons quote the key, and which is unusable every other time."""
    values = json.loads(TuningAnswer()(body))
    for item in values["proposals"]:
        item["reason"] = f"because of {PLANTED}"
    echo.calls += 1
    return json.dumps(values) if echo.calls % 2 else f"no JSON, but {PLANTED}"


@pytest.mark.usefixtures("local_ray")
def test_a_planted_key_is_nowhere(iris_job, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    echo.calls = 0
    lines = []
    with LLMServer(echo) as server:
        client = Retrying(OpenAIClient("test-model", server.url, timeout_s=5.0), attempts=2, base_s=0.01)
        llm = {"model": "test-model", "base_url": server.url}
        outcome = run(read_job({**iris_job, "trials": 6, "llm": llm}), client, tmp_path / "run", lines.append)
        sent = [request["headers"].get("authorization", "") for request in server.requests]
    # It was there to leak: sent to the server, and quoted by it in proposals that were trained.
    assert any(PLANTED in header for header in sent)
    assert outcome.sources["language"] >= 1
    told = "\n".join([*lines, outcome.to_json(), *capfd.readouterr()])
    assert PLANTED not in told
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any(path.name == "journal.jsonl" for path in files)
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
