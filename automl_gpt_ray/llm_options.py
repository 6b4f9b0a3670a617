"""The `llm` part of a job file: which language model is in charge, and how much may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from automl_gpt_ray.budget import Price, price_of

_STRICT = ConfigDict(extra="forbid", frozen=True)
OPENAI = "api.openai.com"


class LLMLimits(BaseModel):
    """What all runs on one cluster together may ask of one account. None is no limit.

    Where runs state different limits under one name, the strictest of each kind holds for all of them for as long as
    the run that states it goes on.

    Attributes:
        shared: Runs whose limits bear the same name share them. By default server and model, as in
            `api.openai.com/gpt-5`; give each account on one server a name of its own.
        requests_per_minute: Requests within any 60 s, those that fail and are tried again included.
        tokens_per_minute: Tokens in both directions within any 60 s. A prompt is estimated before it is sent, and its
            reply from those before; what was really used counts from then on.
        concurrent: Requests under way at once.
        tokens: Tokens of all runs together, in both directions, over the life of the cluster.
        money: US dollars for these, at `prices`.
        prices: As `budget.prices`, which are taken where there are none here.
    """

    model_config = _STRICT

    shared: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,120}$")
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    money: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    prices: dict[str, Price] = Field(default_factory=dict)


class LLMOptions(BaseModel):
    """Which language model is in charge. Keys come from the environment or a file, never from this file.

    Attributes:
        model: Name the server knows; for `local`, a hub id or a folder.
        provider: `openai` for any OpenAI-compatible server, `local` for a model in a Ray actor.
        cpus: CPUs of that actor.
        gpus: GPUs of that actor; may be a fraction.
        base_url: An OpenAI-compatible server; None for OpenAI itself.
        api_key_env: Environment variable that holds the key; local servers need none.
        api_key_file: File that holds the key instead, on the machine of the driver (a mounted secret).
        timeout_s: Longest wait for one reply, in seconds; a day at most.
        temperature: Sampling temperature; None leaves the server's default.
        max_tokens: Longest reply in tokens.
        max_prompt_tokens: Longest prompt in tokens, estimated on the high side before each call. A longer
            one tells less: fewer latest trials, fewer best, no insight, ... None for no limit.
        structured: `auto` uses structured output where the server has it.
        record: Folder in which replies are recorded.
        replay: Answer from `record` only, without a server.
        on_outage: While the model cannot be asked: `classical` carries on with the other advisors, `wait`
            starts no proposal but the model's, `fail` ends the run and keeps its results.
        wait_s: Longest wait for one outage, in seconds; then the other advisors carry on.
        wait_healthy_s: Seconds that a run waits at its start for the server at `base_url` to answer; then it ends
            before anything is trained. None does not wait.
        limits: What all runs on the cluster together may ask of the server; by default no limit is known.
    """

    model_config = _STRICT

    model: str = Field(min_length=1)
    provider: Literal["openai", "local"] = "openai"
    cpus: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    gpus: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    api_key_file: str | None = Field(default=None, min_length=1)
    timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=1)
    max_prompt_tokens: int | None = Field(default=16_000, ge=500)
    structured: Literal["auto", "json_schema", "json_object", "none"] = "auto"
    record: str | None = None
    replay: bool = False
    on_outage: Literal["classical", "wait", "fail"] = "classical"
    wait_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    wait_healthy_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    limits: LLMLimits | None = None

    @field_validator("base_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https:// | write `http://localhost:8000/v1`, for example")
        if url is not None and "@" in url:
            raise ValueError("must not hold a name or a key | put the key into the variable that `api_key_env` names")
        urlsplit(url or "")  # ValueError where it has no end of an IPv6 address, for example
        return url

    @model_validator(mode="after")
    def _limits_of_a_server(self) -> LLMOptions:
        if self.limits is None:
            return self
        if self.provider == "local":
            raise ValueError("`limits` are of a server, and a local model has none | leave `limits` out")
        if self.limits.money is not None and not price_of(self.limits.prices, self.model):
            rule = f"`limits.money` needs the price of `{self.model}`"
            raise ValueError(f"{rule} | add `budget.prices: {{{self.model}: {{input: …, output: …}}}}`")
        return self

    @property
    def account(self) -> str:
        """The name under which limits are shared; holds no key."""
        if self.limits is not None and self.limits.shared:
            return self.limits.shared
        server = urlsplit(self.base_url).netloc if self.base_url else OPENAI
        return f"{server}/{self.model}"


def with_prices(values: Any) -> Any:
    """Return a job's raw values with `llm.limits.prices` taken from `budget.prices` where only that has them."""
    if not isinstance(values, Mapping):
        return values
    llm, budget = values.get("llm"), values.get("budget")
    limits = llm.get("limits") if isinstance(llm, Mapping) else None
    prices = budget.get("prices") if isinstance(budget, Mapping) else None
    if not isinstance(llm, Mapping) or not isinstance(limits, Mapping) or limits.get("prices") or not prices:
        return values
    return {**values, "llm": {**llm, "limits": {**limits, "prices": prices}}}
