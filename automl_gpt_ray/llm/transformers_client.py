"""The client of a causal language model that runs in this process, on its CPUs or its GPU.

The weights come from a hub or a folder. Where a schema is given, only tokens that keep the reply
within it are sampled, so that even a weak model answers in the right shape. `torch` and
`transformers` are imported with the first prompt. Knows no Ray: `ray_tune.llm_actor` puts such a
client into a process of its own.
"""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from automl_gpt_ray.errors import LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.constrained import Grammar, Reply, VocabularyUnsuitable, spelling
from automl_gpt_ray.llm.local_errors import (
    MIN_ROOM,
    check,
    failed,
    is_path,
    line,
    missing_package,
    rejected,
    too_long,
    unplaced,
    unusable,
)
from automl_gpt_ray.llm.reply_regex import SchemaUnsupported, reply_regex
from automl_gpt_ray.llm.tokenizer_text import LayoutRefused, decoded, text_of, token_texts
from automl_gpt_ray.records import Completion, JsonSchema, Prompt, Usage

MAX_GRAMMARS = 16
"""Compiled schemas that are kept: a run asks for one to six proposals, in few shapes."""

_FAR = 1e4  # as good as infinite for a score, and finite after any temperature, in 16 bits too


@final
class TransformersClient:
    """An `LLMClient` over weights of one's own; usable from several threads, one prompt at a time.

    Picklable: a copy loads the weights anew, where it is first asked.

    Args:
        model: Folder, or `owner/name` on the hub, with a causal language model and its tokenizer.
        device: Where it runs, as `torch` names it; `auto` is the GPU where there is one.
        dtype: Number type of the weights (`bfloat16`); `auto` is the one they were saved in.
        max_new_tokens: Most tokens of a reply; less where the model's context ends before.
        temperature: Sampling temperature; 0 for the likeliest token, None for what the model's own
            settings say.
        timeout_s: Seconds for a reply, reading the prompt included. Loading the model and compiling
            a schema come before, and a first pass over a long prompt is not broken off.
        seed: The n-th call draws from this seed and n: runs repeat, and the same prompt asked again
            is answered anew.
        constrained: Whether a given schema is enforced; else the prompt alone tells of it.

    Raises:
        JobError: An argument cannot be used.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_new_tokens: int = 4096,
        temperature: float | None = None,
        timeout_s: float = 300.0,
        seed: int = 0,
        constrained: bool = True,
    ) -> None:
        check(model, max_new_tokens, temperature, timeout_s)
        self.model = model
        self.timeout_s = timeout_s
        self._placed = (device, dtype)
        self._max_new_tokens, self._temperature = max_new_tokens, temperature
        self._seed, self._calls = seed, 0
        self._constrained = constrained
        self._forget()

    def __repr__(self) -> str:
        return f"TransformersClient(model={self.model!r}, device={self._placed[0]!r}, timeout_s={self.timeout_s:g})"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_loaded", "_grammars")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._grammars: dict[str, Grammar] = {}

    def complete(self, prompt: Prompt, schema: JsonSchema | None = None) -> Completion:
        """Return the model's answer; see `LLMClient.complete`.

        Raises:
            LLMUnavailable: Too slow, out of memory, or busy with other prompts for `timeout_s`.
            LLMRejected: The model, its tokenizer, a package, the schema or the prompt's length will
                not do.
        """
        if not self._lock.acquire(timeout=self.timeout_s):
            raise LLMUnavailable(f"{self.model} was busy with other prompts for {self.timeout_s:g} s")
        try:
            return self._answer(prompt, schema)
        finally:
            self._lock.release()

    def _answer(self, prompt: Prompt, schema: JsonSchema | None) -> Completion:
        begun = time.monotonic()
        if self._loaded is None:
            self._loaded = _load(self.model, *self._placed)
        loaded = self._loaded
        grammar = self._grammar(schema, loaded) if schema is not None and self._constrained else None
        tokens = _encoded(prompt, loaded, self.model)
        room = min(self._max_new_tokens, loaded.context - len(tokens))
        if room < min(MIN_ROOM, self._max_new_tokens):
            raise too_long(len(tokens), loaded.context)
        writing = _Writing(time.monotonic() + self.timeout_s, grammar)
        self._calls += 1
        written = self._generate(tokens, room, writing, loaded)
        finish = writing.finish(written, loaded.ends)
        if finish == "late":
            raise LLMUnavailable(f"{self.model} wrote {len(written)} tokens, and no end, within {self.timeout_s:g} s")
        text = writing.reply.text if writing.reply else decoded(loaded.tokenizer, written)
        return Completion(text, self.model, Usage(len(tokens), len(written)), time.monotonic() - begun, finish)

    def _generate(self, tokens: list[int], room: int, writing: _Writing, loaded: _Loaded) -> list[int]:
        import torch

        ids = torch.tensor([tokens], device=loaded.model.device)
        sampling: dict[str, Any] = {}
        if self._temperature is not None:
            sampling = {"do_sample": self._temperature > 0, "temperature": self._temperature or 1.0}
        # The process may train models of its own: its random numbers stay as they were.
        cuda = [loaded.model.device] if loaded.model.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=cuda):
                torch.manual_seed(hash((self._seed, self._calls)) % 2**63)
                output = loaded.model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=room,
                    pad_token_id=loaded.pad,
                    eos_token_id=sorted(loaded.ends) or None,
                    num_beams=1,
                    logits_processor=[writing.masked],
                    stopping_criteria=[writing.stopped],
                    **sampling,
                )
        except RuntimeError as error:
            raise failed(self.model, error) from error
        return [int(token) for token in output[0, len(tokens) :]]

    def _grammar(self, schema: JsonSchema, loaded: _Loaded) -> Grammar:
        # The order of the keys is the order of the reply, so equal schemas are written the same.
        key = json.dumps(schema, default=dict)
        if key not in self._grammars:
            while len(self._grammars) >= MAX_GRAMMARS:
                del self._grammars[next(iter(self._grammars))]
            self._grammars[key] = _compiled(schema, loaded, self.model)
        return self._grammars[key]


@dataclass(frozen=True)
class _Loaded:
    model: Any
    tokenizer: Any
    context: int
    ends: frozenset[int]
    pad: int
    texts: dict[int, str] = field(repr=False)


class _Writing:
    """What happens around each token: those not allowed are ruled out, the end is noticed."""

    def __init__(self, deadline: float, grammar: Grammar | None) -> None:
        self._deadline, self._grammar = deadline, grammar
        self._late = False
        self.reply: Reply | None = None

    def masked(self, ids: Any, scores: Any) -> Any:
        import torch

        if self._grammar is None:
            return scores
        if self.reply is None:
            self.reply = Reply(self._grammar, scores.shape[-1])
        allowed = torch.from_numpy(self.reply.allowed()).to(scores.device)
        # Where a model's settings suppress the only way on, or its scores overflow, chance decides.
        scores = torch.nan_to_num(scores, nan=0.0, posinf=_FAR, neginf=-_FAR)
        return scores.masked_fill(~allowed, -math.inf)

    def stopped(self, ids: Any, scores: Any, **more: Any) -> Any:
        import torch

        self._late = time.monotonic() > self._deadline
        if self.reply is not None:
            self.reply.advance(int(ids[0, -1]))
        ended = self._late or (self.reply is not None and self.reply.finished)
        return torch.full((ids.shape[0],), ended, dtype=torch.bool, device=ids.device)

    def finish(self, written: list[int], ends: frozenset[int]) -> str:
        ended = self.reply.finished if self.reply is not None else bool(written) and written[-1] in ends
        if ended:
            return "stop"
        return "late" if self._late else "length"


def _load(name: str, device: str, dtype: str) -> _Loaded:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise missing_package(error) from error
    if is_path(name) and not Path(name).expanduser().is_dir():
        raise rejected("must be an existing folder, or `owner/name` on the hub", name, "correct the path")
    source = str(Path(name).expanduser()) if is_path(name) else name
    library: Any = transformers
    library.utils.logging.disable_progress_bar()
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        model, report = library.AutoModelForCausalLM.from_pretrained(source, dtype=dtype, output_loading_info=True)
        if missing := sorted(report["missing_keys"]):
            raise rejected(f"must hold all weights of a causal language model; `{missing[0]}` is missing", name)
        model = model.to(place).eval()
    except (OSError, ValueError, KeyError) as error:
        raise unusable(name, error, "must be a causal language model in the format of `transformers`") from error
    except (RuntimeError, AssertionError, AttributeError) as error:
        raise unplaced(name, place, error) from error
    return _with_tokenizer(name, source, model)


def _with_tokenizer(name: str, source: str, model: Any) -> _Loaded:
    import transformers

    rule = "must come with its tokenizer (`tokenizer.json` beside the weights)"
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise unusable(name, error, rule) from error
    if not tokenizer.encode("e", add_special_tokens=False):
        # A folder without a vocabulary loads all the same: as a tokenizer that reads nothing.
        raise rejected(rule, name)
    settings = model.config.get_text_config()
    ends = model.generation_config.eos_token_id
    several = ends if isinstance(ends, list) else [ends]
    known = frozenset(int(end) for end in [*several, tokenizer.eos_token_id] if end is not None)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(known, default=0)
    texts = token_texts(tokenizer, settings.vocab_size)
    limit = getattr(settings, "max_position_embeddings", None) or tokenizer.model_max_length
    return _Loaded(model, tokenizer, int(min(limit, 2**31)), known, pad, texts)


def _encoded(prompt: Prompt, loaded: _Loaded, name: str) -> list[int]:
    try:
        text = text_of(prompt, loaded.tokenizer)
    except LayoutRefused as error:
        raise rejected(f"its chat template must take the prompt ({line(error)})", name) from error
    # A template writes the opening token itself; a second one would confuse the model.
    plain = not loaded.tokenizer.chat_template
    return [int(token) for token in loaded.tokenizer(text, add_special_tokens=plain)["input_ids"]]


def _compiled(schema: JsonSchema, loaded: _Loaded, name: str) -> Grammar:
    try:
        return Grammar(reply_regex(schema), spelling(loaded.texts))
    except ImportError as error:
        raise missing_package(error) from error
    except VocabularyUnsuitable as error:
        rule = f"its vocabulary must be able to spell JSON ({error})"
        raise rejected(rule, name, "use another model, or `constrained=False`") from error
    except (SchemaUnsupported, ValueError) as error:
        raise LLMRejected(f"the reply's schema cannot be enforced: {line(error)}. Use `constrained=False`.") from error
