"""Where the small actors of a run live."""

from __future__ import annotations

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def beside_driver() -> NodeAffinitySchedulingStrategy:
    """Return the strategy that puts an actor on the driver's node while there is room.

    Ray puts what needs no CPU on any node; those of workers come and go, and what is lost with one is missed before
    Ray has noticed that it is gone.
    """
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
