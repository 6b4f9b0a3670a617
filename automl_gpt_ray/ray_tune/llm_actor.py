"""A language-model client in a Ray actor, with CPUs or GPUs of its own.

    client = InActor(partial(TransformersClient, "owner/name"), num_gpus=1)
    client.complete(prompt, schema)      # the first prompt starts the actor, which loads the weights
    client.close()                       # its CPUs, GPUs and memory are free again

The driver and the trials never load the model. Knows no model: any client that a function makes
will do. One prompt runs at a time.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any, final

from automl_gpt_ray.errors import LLMError, LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.records import Completion, JsonSchema, Prompt


@final
class InActor:
    """An `LLMClient` that another process answers for; usable from several threads.

    An actor that died is started anew with the next prompt. Picklable: a copy starts an actor of its
    own, or finds the one of that name.

    Args:
        make_client: Makes the client, in the actor; cloudpickle must be able to carry it there.
        num_cpus: CPUs the actor takes from the cluster for as long as it lives.
        num_gpus: GPUs, which may be shared: 0.5 is half of one. At 0 the actor sees none.
        name: Actors of one name in a Ray namespace are one; None for an actor of this client alone.
        timeout_s: Seconds for one answer, as seen from here. Give the client a shorter time-out of its
            own: an actor that overruns this one is taken for stuck and ended.
        start_timeout_s: Seconds for the actor to find its CPUs and GPUs and make the client.
    """

    def __init__(
        self,
        make_client: Callable[[], LLMClient],
        num_cpus: float = 1,
        num_gpus: float = 0,
        name: str | None = None,
        *,
        timeout_s: float = 900.0,
        start_timeout_s: float = 300.0,
    ) -> None:
        self._make_client = make_client
        self._resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}
        self._name = name
        self._timeout_s, self._start_timeout_s = timeout_s, start_timeout_s
        self._lock = threading.Lock()
        self._actor: Any = None
        self._ready = False

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_actor", "_ready")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _actor=None, _ready=False)

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the answer of the client in the actor; see `LLMClient.complete`.

        Raises:
            LLMUnavailable: From the client; or the actor died, found no place in the cluster, or did
                not answer in time.
            LLMRejected: From the client; or it could not be made, or Ray is not connected.
        """
        # Waiting here, not in the actor's queue, keeps others' prompts out of this one's time.
        if not self._lock.acquire(timeout=self._timeout_s):
            raise LLMUnavailable(f"{self._label} was busy with other prompts for {self._timeout_s:g} s")
        try:
            actor = self._started()
            # Plain values only: a mapping of another kind may not travel.
            wanted = None if schema is None else json.loads(json.dumps(schema, default=dict))
            answer = self._result(actor.complete.remote(prompt, wanted), self._timeout_s)
        finally:
            self._lock.release()
        if isinstance(answer, Completion):
            return answer
        raise answer

    def close(self) -> None:
        """End the actor, also one that others share by its name; a later prompt starts a new one."""
        import ray

        actor, self._actor, self._ready = self._actor, None, False
        if actor is not None and ray.is_initialized():
            ray.kill(actor)

    @property
    def _label(self) -> str:
        return f"the language model's actor `{self._name}`" if self._name else "the language model's actor"

    def _started(self) -> Any:
        import ray

        if not ray.is_initialized():
            raise LLMRejected("a language model in an actor needs Ray: call `ray.init()` first")
        actor = self._actor
        if actor is None:
            options = {**self._resources, "name": self._name, "get_if_exists": self._name is not None}
            actor = ray.remote(_Host).options(**options).remote(self._make_client, self._resources["num_gpus"])
            self._actor = actor
        if not self._ready:
            error = self._result(actor.ready.remote(), self._start_timeout_s, starting=True)
            if error is not None:
                self.close()
                raise error
            self._ready = True
        return actor

    def _result(self, promised: Any, seconds: float, starting: bool = False) -> Any:
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError, RayError

        try:
            return ray.get(promised, timeout=seconds)
        except GetTimeoutError:
            if starting:
                # It may only be waiting for a place: it keeps its turn, and the next prompt waits on.
                raise LLMUnavailable(self._no_place()) from None
            self.close()
            raise LLMUnavailable(f"{self._label} gave no answer within {seconds:g} s, and was ended") from None
        except RayActorError as error:
            self._actor, self._ready = None, False
            raise LLMUnavailable(f"{self._label} died: {_cause(error)}") from error
        except RayError as error:
            raise LLMUnavailable(f"{self._label} failed: {_cause(error)}") from error

    def _no_place(self) -> str:
        wanted = f"{self._resources['num_cpus']:g} CPU and {self._resources['num_gpus']:g} GPU"
        return f"{self._label} did not start within {self._start_timeout_s:g} s: are {wanted} free beside the trials?"


class _Host:
    """What runs in the actor. Errors are returned: Ray would wrap those that are raised."""

    def __init__(self, make_client: Callable[[], LLMClient], num_gpus: float) -> None:
        if not num_gpus:
            # Ray can be told to leave GPUs visible to those that were given none.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._client: LLMClient | None = None
        self._error: LLMError | None = None
        try:
            self._client = make_client()
        except LLMError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - whatever it is, no later prompt would fare better
            self._error = LLMRejected(f"the language model's client could not be made: {error}")

    def ready(self) -> LLMError | None:
        """Return why there is no client, or None."""
        return self._error

    def complete(self, prompt: Prompt, schema: JsonSchema | None) -> Completion | LLMError:
        """Return the client's answer or its error."""
        if self._client is None:
            return self._error or LLMUnavailable("the client is not there yet")
        try:
            return self._client.complete(prompt, schema)
        except LLMError as error:
            return error


def _cause(error: Exception) -> str:
    """Return what Ray says of a failure in one line: the last where it shows a traceback, else the first."""
    lines = [part.strip() for part in str(error).splitlines() if part.strip()] or [type(error).__name__]
    return lines[-1] if any("Traceback" in part or part.startswith("File ") for part in lines) else lines[0]
