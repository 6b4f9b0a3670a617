"""Where the small actors of a run live."""

from __future__ import annotations

from typing import Any

import ray

HEAD = "node:__internal_head__"
"""Resource that Ray gives to the head of every cluster, and to no other node."""


def on_head() -> dict[str, Any]:
    """Return the options of an actor that takes nothing and lives on the head.

    Ray puts what needs no CPU on any node. Those of workers come and go, and what is lost with one is missed before
    Ray has noticed that it is gone; without its head a cluster is gone altogether.
    """
    cluster: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return {"num_cpus": 0, **({"resources": {HEAD: 0.001}} if HEAD in cluster else {})}
