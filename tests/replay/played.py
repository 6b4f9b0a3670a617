"""Runs played without a cluster, and journals that were tampered with."""

from __future__ import annotations

import json
import random
import threading
import time

from small_runs import DATA_CARD, MODEL_CARD, REQUEST
from tuning_answer import TuningAnswer

from automl_gpt_ray.cards import parse_data_card, parse_model_card, parse_request
from automl_gpt_ray.errors import LLMUnavailable
from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import Completion


class Model:
    """Answers like a language model that can tune; `says(n)` may break the n-th call (from 0)."""

    def __init__(self, says=lambda n: None):
        self._answer, self._says, self._lock = TuningAnswer(), says, threading.Lock()
        self.calls = 0

    def complete(self, prompt, schema=None):
        with self._lock:
            number, self.calls = self.calls, self.calls + 1
        said = self._says(number)
        if isinstance(said, Exception):
            raise said
        messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        text = said or self._answer({"messages": messages, "response_format": form})
        return Completion(text, "m", seconds=0.01 * number)


def faulty(seed):
    """A model that is down, or talks rubbish, in a third of its calls."""
    rng = random.Random(seed)
    kinds = [LLMUnavailable("down"), LLMUnavailable("still down"), "rubbish {", '{"proposals": []}', *[None] * 8]
    return Model(lambda n: kinds[rng.randrange(len(kinds))])


def search(folder, llm=None, seed=5, data=None, **arguments):
    cards = {"model_card": parse_model_card(MODEL_CARD), "data_card": parse_data_card({**DATA_CARD, **(data or {})})}
    return LLMSearch(llm, **cards, request=parse_request(REQUEST), journal=folder, seed=seed, **arguments)


def drive(searcher, trials, seed=0, parallel=4, first=0, climb=False, pace=0.0):
    """Call `searcher` as Ray would until `trials` have ended: some fail, some are stopped, some report NaN.

    `pace` is what a step takes in seconds: with 0, advisors hardly come to say anything on a fast machine.
    """
    rng, under_way, number, give_up = random.Random(seed), {}, first, time.monotonic() + 60
    while number < first + trials or under_way:
        assert time.monotonic() < give_up, "no suggestion came"
        if number < first + trials and len(under_way) < parallel:
            name = f"t{number}"
            if isinstance(searcher.suggest(name), dict):
                under_way[name] = (0, 0.1 + number / 1000 if climb else rng.random())
                number += 1
            else:
                time.sleep(0.002)
        for name, (step, quality) in list(under_way.items()):
            if rng.random() < 0.5:
                time.sleep(pace)
                if _step(searcher, name, step + 1, quality, climb):
                    del under_way[name]
                else:
                    under_way[name] = (step + 1, quality)


def _step(searcher, name, step, quality, climb):
    value = float("nan") if step == 3 and 0.3 < quality < 0.4 else quality * step / 8
    result = {"accuracy": value, "step": step, "training_iteration": step, "time_total_s": 0.1 * step}
    if quality < 0.1 and step == 2:
        searcher.on_trial_complete(name, error=True)
        return True
    if step == 8 or (step == 4 and 0.4 < quality < 0.6) or climb:
        searcher.on_trial_result(name, result)
        searcher.on_trial_complete(name, {**result, "done": True})
        return True
    searcher.on_trial_result(name, result)
    return False


def rewrite(folder, change):
    """Pass each line of a journal through `change(event as a dict)`; None removes it. Checksums are made anew."""
    import zlib

    path = folder / FILE_NAME
    lines = []
    for text in path.read_text("utf-8").splitlines():
        place = json.loads(text)
        event = change(place["event"])
        if event is None:
            continue
        body = f'"seq":{place["seq"]},"time":{place["time"]:.3f},"event":{json.dumps(event, separators=(",", ":"))}}}'
        lines.append(f'{{"crc":"{zlib.crc32(body.encode()):08x}",{body}\n')
    path.write_text("".join(lines), "utf-8")
    assert len(read_journal(path)) == len(lines)


def nth(kind, number, edit):
    """A change for `rewrite` of the `number`-th (from 0) event of a kind; `edit(event)` returns the new one."""
    seen = iter(range(10**9))

    def change(event):
        return edit(event) if event["kind"] == kind and next(seen) == number else event

    return change
