"""A real run on a local Ray, replayed with the network out of reach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.config import read_job
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.replay import replay

pytestmark = pytest.mark.ray

OFFLINE = """
import socket, sys

def refuse(*arguments, **keywords):
    raise OSError("a replay must not touch the network")

class Refused(socket.socket):
    __init__ = refuse

socket.socket = Refused
for name in ("create_connection", "getaddrinfo", "socketpair"):
    setattr(socket, name, refuse)
from automl_gpt_ray.cli import main
sys.argv = ["automl-gpt-ray", "replay", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def folder(local_ray, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replayed") / "run"
    configs = Path(__file__).resolve().parents[2] / "configs" / "cards"
    with LLMServer(TuningAnswer()) as server:
        values = {
            "name": "iris",
            "data_card": f"{configs}/data/iris.yaml",
            "model_card": f"{configs}/models/xgboost.yaml",
            "trials": 10,
            "max_steps": 4,
            "llm": {"model": "test-model", "base_url": server.url},
        }
        run(read_job(values), OpenAIClient("test-model", server.url, timeout_s=5.0), folder)
    return folder


def offline(*arguments):
    """The command line in a process of its own that cannot open a socket."""
    done = subprocess.run([sys.executable, "-c", OFFLINE, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_everything_is_the_same_with_no_network(folder):
    code, out, err = offline(folder, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["different"], report["differences"], report["notes"]) == (0, [], [])
    kinds = report["kinds"]
    assert kinds["outcome"]["same"] == 1
    assert kinds["trust"]["same"] == 10
    assert kinds["prompts"]["same"] >= 1
    assert kinds["language proposals"]["same"] >= 1
    assert kinds["choices"]["same"] + kinds.get("random draws", {"same": 0})["same"] == 10
    assert report["same"] >= 25


def test_a_person_reads_a_table(folder):
    code, out, err = offline(folder)
    assert (code, err) == (0, "")
    assert "no decision differs" in out
    assert "outcome" in out


def test_a_changed_outcome_is_found(folder, tmp_path):
    (tmp_path / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes())
    outcome = json.loads((folder / "outcome.json").read_text("utf-8"))
    (tmp_path / "outcome.json").write_text(json.dumps({**outcome, "best_config": {**outcome["best_config"], "eta": 9}}))
    code, out, _ = offline(tmp_path)
    assert code == 1
    assert "best_config" in out
    (found,) = replay(tmp_path).differences
    assert (found.kind, found.recorded) == ("outcome", "9")
    (tmp_path / "outcome.json").unlink()
    assert replay(tmp_path).tallies["outcome"].not_derivable == 1


def test_no_run_there_is_one_message(tmp_path):
    code, out, err = offline(tmp_path)
    assert (code, out) == (2, "")
    assert "must be the folder of a run, or its journal" in err
    assert "Traceback" not in err
