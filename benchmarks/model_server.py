"""A chat-completions server on this machine, real down to the socket, for benchmarks, tests and rehearsals.

It speaks enough of the OpenAI protocol for the `openai` package, answers from a function of the
request (by default anything that fits the schema asked for), and breaks in the ways that
`model_faults` lists. In a process of its own (so that its work is not the measured one's):

    python -m benchmarks.model_server --answer tuning --latency 5 --failures 0.1

The first line it prints is its URL; `GET /v1/requests` says how many completions were asked for.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from benchmarks.model_faults import FAULTS, Fault, error, sometimes
from benchmarks.schema_answer import SchemaAnswer
from benchmarks.tuning_answer import TuningAnswer

Answer = Callable[[Mapping[str, Any]], str]
MODELS = ("test-model",)


class LLMServer:
    """The server, while the `with` block lasts.

        with LLMServer(fault=lambda n: FAULTS["overloaded"] if n == 0 else None) as server:
            client = OpenAIClient("test-model", server.url)

    Args:
        answer: Text of the reply to a request's body; default: whatever fits its schema.
        latency_s: Seconds that every completion takes.
        fault: How to break the n-th completion request (from 0), or None to serve it.
        port: Where to listen on the loopback interface; 0 for any free port.

    Attributes:
        requests: Each completion request so far, as {"body": dict, "headers": dict with lower-case
            names}.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        latency_s: float = 0.0,
        fault: Callable[[int], Fault | None] = lambda n: None,
        port: int = 0,
    ) -> None:
        self.answer: Answer = answer or SchemaAnswer()
        self.latency_s = latency_s
        self.fault = fault
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Quiet(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """What to give a client as its base URL."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()  # wakes whoever hangs
        self._http.shutdown()
        self._http.server_close()

    def received(self, body: dict[str, Any], headers: dict[str, str]) -> Fault | None:
        """Note a request and return the fault to answer it with, if any."""
        with self._lock:
            number = len(self.requests)
            self.requests.append({"body": body, "headers": headers})
        fault = self.fault(number)
        return fault if fault is not None and fault.when(body) else None


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that gave up are part of the tests; anything else is a bug of a test's answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    owner: LLMServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """List the models, or count the requests."""
        if self.path.rstrip("/") == "/v1/models":
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in MODELS]
            return self._send(Fault(body=json.dumps({"object": "list", "data": data}).encode()))
        if self.path.rstrip("/") == "/v1/requests":
            return self._send(Fault(body=json.dumps({"requests": len(self.owner.requests)}).encode()))
        return self._send(error(404, f"no such page: {self.path}"))

    def do_POST(self) -> None:
        """Complete a chat."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self.path.rstrip("/") != "/v1/chat/completions":
            return self._send(error(404, f"no such page: {self.path}"))
        fault = self.owner.received(body, {k.lower(): v for k, v in self.headers.items()}) or Fault()
        self.owner.closing.wait(self.owner.latency_s + fault.hang_s)
        return self._reset() if fault.reset else self._send(fault, body)

    def _send(self, fault: Fault, request: Mapping[str, Any] | None = None) -> None:
        body = fault.body if fault.body is not None else self._completion(fault, request or {})
        self.close_connection = fault != Fault()
        whole = self._head(fault, len(body))
        if fault.truncate:
            body = body[: len(body) // 2]
        self._write(whole, fault.drip_head_s)
        self._write(body, fault.drip_s)

    def _head(self, fault: Fault, length: int) -> bytes:
        headers = {"Content-Type": fault.content_type, "Content-Length": str(length), **fault.headers}
        if self.close_connection:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {fault.status} {'OK' if fault.status < 300 else 'Error'}"]
        return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode()

    def _completion(self, fault: Fault, request: Mapping[str, Any]) -> bytes:
        text = self.owner.answer(request)
        sent = sum(len(str(message.get("content", ""))) for message in request["messages"])
        reply = {
            "id": f"chatcmpl-{len(self.owner.requests)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": _usage(sent // 4 + 1, len(text) // 4 + 1),
        }
        if fault.edit is not None:
            fault.edit(reply)
        return json.dumps(reply).encode()

    def _write(self, data: bytes, drip_s: float) -> None:
        if not drip_s:
            self.wfile.write(data)
        for at in range(len(data) if drip_s else 0):
            self.wfile.write(data[at : at + 1])
            if self.owner.closing.wait(drip_s):
                return

    def _reset(self) -> None:
        # Closing with a linger of zero sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args: Any) -> None:
        """Say nothing: the caller reports."""


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    total = prompt_tokens + completion_tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 for any free port")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every completion takes")
    parser.add_argument("--answer", choices=["schema", "tuning"], default="schema", help="who answers")
    parser.add_argument("--failures", type=float, default=0.0, help="share of the requests that fail")
    parser.add_argument("--kinds", nargs="*", choices=FAULTS, metavar="KIND", help="how; default: what passes")
    chosen = parser.parse_args(arguments)
    answer = TuningAnswer() if chosen.answer == "tuning" else SchemaAnswer()
    fault = sometimes(chosen.failures, chosen.kinds)
    with LLMServer(answer, latency_s=chosen.latency, fault=fault, port=chosen.port) as server:
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
