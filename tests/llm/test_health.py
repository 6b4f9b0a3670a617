"""Waiting for a server that starts beside the trials."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from automl_gpt_ray.config import LLMOptions
from automl_gpt_ray.errors import JobError
from automl_gpt_ray.llm import health


@pytest.fixture
def served(monkeypatch):
    """Serves `codes`, the last of them for ever; returns the URL and what was asked."""
    monkeypatch.setattr(health, "POLL_S", 0.01)
    servers = []

    def start(*codes):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(codes[min(len(asked), len(codes)) - 1])
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def options(url, seconds=30.0, **more):
    return LLMOptions(model="m", base_url=url, wait_healthy_s=seconds, **more)


@pytest.mark.parametrize("last", [200, 401])
def test_a_server_is_waited_for(served, last):
    url, asked = served(503, 503, last)
    told = []
    health.wait_healthy(options(url), told.append)
    assert asked == ["/v1/models"] * 3
    assert told[0].startswith("waiting up to 30 s for m")
    assert told[1].startswith("m is there after")


def test_one_that_never_comes_ends_the_run_before_it_trains():
    with pytest.raises(JobError, match=r"llm\.wait_healthy_s.*must answer within 0\.01 s"):
        health.wait_healthy(options("http://127.0.0.1:9/v1", 0.01))


def test_nobody_waits_unasked(served):
    url, asked = served(503)
    health.wait_healthy(None)
    health.wait_healthy(LLMOptions(model="m", base_url=url))
    health.wait_healthy(options(url, replay=True, record="x"))
    assert asked == []


def test_what_speaks_no_http_is_waited_for_and_told():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    line.sendall(b"SSH-2.0-OpenSSH_9\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(JobError, match="must answer within"):
            health.wait_healthy(options(f"http://127.0.0.1:{server.getsockname()[1]}/v1", 0.01))
