"""What a model costs, measured as it trains: latency, size, peak memory. What a Request may limit.

Latency is the time of the predictions that a step is scored by, over their number: milliseconds an example in
batches as the trainer scores them, without reading data and without computing scores. Knows no model.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import numpy as np

LATENCY, SIZE, MEMORY, GPU_MEMORY = "latency_ms", "model_size_mb", "memory_mb", "gpu_memory_mb"
MB = 1e6
MAX_DEPTH = 12

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@final
class Stopwatch:
    """Times predictions.

    clock = Stopwatch()
    with clock.over(len(rows)):
        predictions = model.predict(rows)
    clock.latency_ms
    """

    def __init__(self) -> None:
        self.seconds, self.examples = 0.0, 0

    @contextmanager
    def over(self, examples: int) -> Iterator[None]:
        """Time what happens in the context: predictions of so many examples."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began
        self.examples += examples

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds an example; None where none was predicted."""
        return 1e3 * self.seconds / self.examples if self.examples else None

    def costs(self, size_bytes: float) -> dict[str, float]:
        """Return latency and size as a step reports them."""
        found = {SIZE: size_bytes / MB}
        return found if self.latency_ms is None else {**found, LATENCY: self.latency_ms}


@contextmanager
def watched(model: Any) -> Iterator[Stopwatch]:
    """Time every call of a PyTorch module or one of its parts, by the length of its first tensor.

    Of nested calls the outermost counts. An encoder of two parts that are called alone is timed by the text.
    """
    import torch  # only modules of torch are watched

    clock, began = Stopwatch(), list[float]()

    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # a GPU is still at work when the call returns
        return time.perf_counter()

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        began.append(now())

    def after(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        start = began.pop()
        tensor = next((v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor) and v.ndim), None)
        if not began and tensor is not None:
            clock.seconds += now() - start
            clock.examples += len(tensor)

    hooks = []
    for part in (model, *model.children()):
        hooks.append(part.register_forward_pre_hook(before, with_kwargs=True))
        hooks.append(part.register_forward_hook(after, with_kwargs=True))
    try:
        yield clock
    finally:
        for hook in hooks:
            hook.remove()


def weights_bytes(model: Any) -> int:
    """Return what the weights and buffers of a PyTorch module take, in bytes."""
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))


def arrays_bytes(value: Any) -> int:
    """Return what the arrays take that an object holds, at any depth, in bytes; what scikit-learn's models weigh."""
    return _arrays(value, {}, 0)


def forget_peak() -> None:
    """Let the peak of memory be measured from here on: one process may train several trials."""
    with suppress(OSError):  # Linux only, and not in every container
        _CLEAR.write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> Mapping[str, float]:
    """Return the peak memory since `forget_peak`, in megabytes: of this process, and of its GPU where it has one."""
    found = {MEMORY: _peak_bytes() / MB}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found[GPU_MEMORY] = torch.cuda.max_memory_allocated() / MB
    return found


def _peak_bytes() -> float:
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def _arrays(value: Any, seen: dict[int, Any], depth: int) -> int:
    # What was seen is held: the number of an object that is gone may be given to another.
    if isinstance(value, np.ndarray) and value.dtype != object:
        counted = 0 if id(value) in seen else value.nbytes
        seen[id(value)] = value
        return counted
    if depth > MAX_DEPTH or id(value) in seen or isinstance(value, str | bytes | int | float | type | None):
        return 0
    seen[id(value)] = value
    return sum(_arrays(part, seen, depth + 1) for part in _parts(value))


def _parts(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set) or (isinstance(value, np.ndarray) and value.dtype == object):
        return list(value.flat) if isinstance(value, np.ndarray) else value
    if hasattr(value, "__dict__"):
        return list(vars(value).values())
    # A compiled tree tells its arrays only as the state that it would be saved by.
    state = value.__getstate__() if type(value).__name__ == "Tree" else None
    return state.values() if isinstance(state, dict) else ()
