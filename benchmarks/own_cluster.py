"""A Ray cluster of one's own on this machine: `ray start` processes on free ports, in a folder of their own.

    with OwnCluster(folder, cpus=0) as cluster:     # a head without CPUs: drivers only
        node = cluster.add_node(cpus=2)
        cluster.url                                 # of the job server
        node.kill()                                 # as a machine dies

Each node is a group of processes that ends with it; no other Ray on the machine is touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

START_S = 90.0
STORE = 100 * 1024**2


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Node:
    """One node: a `ray start --block` and everything that it started."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log.open("wb")
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        self._process = subprocess.Popen(  # noqa: S603 - Ray's own command
            [*command, *arguments], env=dict(environment), stdout=self._log, stderr=self._log, start_new_session=True
        )

    @property
    def ended(self) -> bool:
        """Return whether its first process has ended by itself."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it at once, as a machine that loses its power."""
        for group in self._groups():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _groups(self) -> set[int]:
        # Raylet and workers may have made groups of their own: all of them descend from the first process.
        import psutil

        groups = {self._process.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(ProcessLookupError):
                    groups.add(os.getpgid(child.pid))
        return groups - {os.getpgid(0)}


class OwnCluster:
    """A head and its nodes; ended when the context is left.

    Args:
        folder: For logs; made where absent.
        cpus: Of the head.
        environment: Variables of all nodes, added to this process's own.
        auth: `RAY_AUTH_MODE` of the cluster: `disabled` or `token`.

    Attributes:
        address: For `ray.init`.
        url: Of the job server.
        environment: For processes that talk to the cluster.
        temp: Folder of all that its nodes write.
    """

    def __init__(
        self, folder: Path, cpus: float = 1, environment: Mapping[str, str] | None = None, auth: str = "disabled"
    ) -> None:
        self._folder, self._cpus, self._count = folder, cpus, 0
        port, dashboard = free_ports(2)
        self.address, self.url = f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
        self._ports = (port, dashboard)
        self.temp = tempfile.mkdtemp(prefix="agr-", dir="/tmp")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        # A job's entrypoint is `python`, as on any head: let that be the one that runs here.
        path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
        self.environment = {
            **inherited,
            "PATH": path,
            "RAY_AUTH_MODE": auth,
            "RAY_USAGE_STATS_ENABLED": "0",
            **(environment or {}),
        }
        self._nodes: list[Node] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        port, dashboard = self._ports
        head = ["--head", f"--port={port}", f"--dashboard-port={dashboard}", "--include-dashboard=true"]
        try:
            client = f"--ray-client-server-port={free_ports(1)[0]}"
            self._start([*head, client], self._cpus)
            self._wait(lambda: self._asked("/api/version") is not None and self.alive(), "the head")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self._nodes):
            node.kill()
        shutil.rmtree(self.temp, ignore_errors=True)

    def add_node(self, cpus: float = 1, wait: bool = True, **resources: float) -> Node:
        """Start a node and return it; with `wait`, once the head counts it."""
        before = self.alive()
        node = self._start([f"--address={self.address}", f"--resources={json.dumps(resources)}"], cpus)
        if wait:
            self._wait(lambda: self.alive() - before, "the node")
        return node

    def end_nodes(self) -> None:
        """End every node but the head."""
        for node in self._nodes[1:]:
            node.kill()
        del self._nodes[1:]

    def alive(self) -> set[str]:
        """Return the ids of the nodes that the head takes for alive."""
        found = self._asked("/nodes?view=summary") or {}
        nodes = found.get("data", {}).get("summary", [])
        raylets = [node.get("raylet", {}) for node in nodes]
        return {str(raylet.get("nodeId")) for raylet in raylets if raylet.get("state") == "ALIVE"}

    def _start(self, arguments: list[str], cpus: float) -> Node:
        self._count += 1
        shared = [
            "--node-ip-address=127.0.0.1",
            f"--num-cpus={cpus:g}",
            f"--object-store-memory={STORE}",
            "--dashboard-agent-listen-port=0",
        ]
        ports = [f"--{name}=0" for name in ("dashboard-agent-grpc-port", "runtime-env-agent-port")]
        log = self._folder / f"node-{self._count}.log"
        # A folder for each, as on machines of their own: packages of jobs are unpacked there.
        temp = f"--temp-dir={self.temp}/{self._count}"
        node = Node([*arguments, *shared, *ports, temp], self.environment, log)
        self._nodes.append(node)
        return node

    def _wait(self, ready: Any, what: str) -> None:
        deadline = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > deadline or self._nodes[-1].ended:
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self._folder.glob("node-*.log"))
                raise RuntimeError(f"{what} did not come up:\n{logs}")
            time.sleep(0.1)

    def _asked(self, path: str) -> dict[str, Any] | None:
        headers = {}
        if self.environment["RAY_AUTH_MODE"] == "token":
            headers["Authorization"] = f"Bearer {self.environment['RAY_AUTH_TOKEN']}"
        try:
            request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310 - our own head
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - as above
                found: dict[str, Any] = json.load(reply)
                return found
        except (OSError, ValueError, urllib.error.HTTPError):
            return None
