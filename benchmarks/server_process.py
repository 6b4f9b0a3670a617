"""The model server in a process of its own, while a `with` block lasts.

with ServerProcess(latency_s=5, failures=0.1) as server:
client = server.client()
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Self

from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.llm.retrying import Retrying

ROOT = Path(__file__).resolve().parents[1]


class ServerProcess:
    """A model server.

    Args:
        latency_s: Seconds that every completion takes.
        failures: Share of the requests that fail, in the ways that pass.

    Attributes:
        url: What to give a client as its base URL.
    """

    def __init__(self, latency_s: float = 0.0, failures: float = 0.0) -> None:
        self._options = ["--answer", "tuning", "--latency", str(latency_s), "--failures", str(failures)]
        self.latency_s = latency_s
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.model_server", *self._options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait()

    def client(self, retries: bool = True) -> LLMClient:
        """Return a client as a job has it: the real one, with retries."""
        client = OpenAIClient("test-model", self.url, timeout_s=3 * self.latency_s + 10)
        return Retrying(client) if retries else client

    def requests(self) -> int:
        """Return how many completions were asked for so far."""
        with urllib.request.urlopen(f"{self.url}/requests", timeout=10) as reply:  # noqa: S310 - our own server
            return int(json.load(reply)["requests"])
