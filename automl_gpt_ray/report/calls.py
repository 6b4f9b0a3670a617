"""Every call of a language model: what was asked, what was answered, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from automl_gpt_ray.events import REPAIR, AdviceGiven, CallFailed, PromptSent, ReplyRead, ReplyReceived
from automl_gpt_ray.report.story import Story
from automl_gpt_ray.report.trials import call_of
from automl_gpt_ray.review import ReviewsRead

MOST_CHARS = 6_000_000
"""Characters of all prompts and replies together; the latest calls keep theirs, and the page says so."""
ONE_TEXT = 60_000
"""Characters of one text."""


def calls(story: Story) -> dict[str, Any]:
    """Return the calls, oldest first, and the texts they refer to.

    Returns:
        `calls`: dicts; `prompt` lists (role, place in `texts`), `reply` is a place or None; `texts`: each once, since
        prompts repeat each other; `left_out`: number of calls whose texts had no room.
    """
    found = _found(story)
    texts, places, room, left_out = list[str](), dict[str, int](), MOST_CHARS, 0

    def place(text: str) -> int:
        nonlocal room
        if text not in places:
            places[text] = len(texts)
            texts.append(
                text if len(text) <= ONE_TEXT else text[:ONE_TEXT] + f"\n… {len(text) - ONE_TEXT} more characters"
            )
            room -= len(texts[-1])
        return places[text]

    for call in reversed(found.values()):
        fits = room > 0
        left_out += not fits
        call["prompt"] = [(role, place(text)) for role, text in call["prompt"]] if fits else []
        call["reply"] = place(call["reply"]) if fits and call["reply"] is not None else None
    return {"calls": list(found.values()), "texts": texts, "left_out": left_out}


def _found(story: Story) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for moment, sent in story.at(PromptSent):
        found[sent.call] = {
            "id": sent.call,
            "purpose": sent.purpose,
            "at": round(moment.seconds, 3),
            "prompt": [(m.role, m.content) for m in sent.messages],
            "subjects": [story.numbers.get(s.trial) for s in sent.subjects],
            "reply": None,
            "trials": [],
            "problems": [],
            "error": "",
        }
    for event in story.events(ReplyReceived):
        if call := found.get(event.call):
            call |= {
                "reply": event.text,
                "model": event.model,
                "seconds": round(event.seconds, 3),
                "finish": event.finish,
            }
            call |= {"tokens_in": event.usage.prompt_tokens, "tokens_out": event.usage.completion_tokens}
    _add_what_came_of_it(story, found)
    return found


def _add_what_came_of_it(story: Story, found: dict[str, dict[str, Any]]) -> None:
    told: list[ReplyRead | ReviewsRead] = [*story.events(ReplyRead), *story.events(ReviewsRead)]
    for read in told:
        if call := found.get(read.call):
            call["problems"] = list(read.problems)
    for failed in story.events(CallFailed):
        if call := found.get(failed.call):
            call["error"] = f"{failed.error}: {failed.message}"
    trials: dict[str, list[int]] = defaultdict(list)
    for trial in story.history.trials:
        if made_by := call_of(trial.proposal.id):
            trials[made_by].append(story.numbers[trial.id])
    proposals = {call_of(p.id) for advice in story.events(AdviceGiven) for p in advice.proposals}
    for name, call in found.items():
        first = name.removesuffix(REPAIR)
        last = f"{first}{REPAIR}" not in found or name.endswith(REPAIR)
        call["trials"] = trials[first] if last else []
        call["used"] = last and first in proposals
