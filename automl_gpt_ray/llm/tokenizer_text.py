"""How a conversation becomes the text a model reads, and which text each of its tokens writes.

Works on any tokenizer of `transformers` without importing it. Knows no model and no schema.
"""

from __future__ import annotations

from typing import Any

from automl_gpt_ray.records import Message, Prompt

ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}


class LayoutRefused(ValueError):
    """The tokenizer's chat template does not take this conversation."""


def text_of(prompt: Prompt, tokenizer: Any) -> str:
    """Return the text that asks for the next turn.

    A tokenizer with a chat template lays the turns out itself. Without one each turn is headed by
    its role, and the text ends where the assistant's turn begins:

        System:
        You tune models.

        User:
        Propose a learning rate.

        Assistant:

    Raises:
        LayoutRefused: The chat template fails on this conversation.
    """
    turns = [Message(m.role, _without(special_texts(tokenizer), m.content)) for m in prompt.messages]
    if not tokenizer.chat_template:
        return "\n\n".join([*(f"{ROLES[m.role]}:\n{m.content}" for m in turns), "Assistant:\n"])
    try:
        return _templated(turns, tokenizer)
    except Exception:  # noqa: BLE001 - a template is a program that came with the model
        # Some models know no system role: its words then open the first turn of the user.
        turns = _without_system(turns)
    try:
        return _templated(turns, tokenizer)
    except Exception as error:
        raise LayoutRefused(str(error) or type(error).__name__) from error


def token_texts(tokenizer: Any, size: int) -> dict[int, str]:
    """Return what each token below `size` adds to a text, special tokens left out.

    Each is decoded behind a letter, because a decoder may drop the space before a first word.
    """
    special = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    tokens = [number for number in range(min(len(tokenizer), size)) if number not in special]
    anchor = tokenizer.encode("e", add_special_tokens=False)[-1:]
    before = len(decoded(tokenizer, anchor))
    return {number: decoded(tokenizer, [*anchor, number])[before:] for number in tokens}


def decoded(tokenizer: Any, tokens: list[int]) -> str:
    """Return the text of `tokens` as it is, special ones left out."""
    return str(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def special_texts(tokenizer: Any) -> list[str]:
    """Return the texts that the tokenizer reads as control tokens, longest first."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*tokenizer.all_special_tokens, *added} - {""}, key=len, reverse=True)


def _without(special: list[str], text: str) -> str:
    """Break control tokens written in a text: cards and logs must not open a turn of their own."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    for word in special:
        clean = clean.replace(word, f"{word[0]} {word[1:]}")
    return clean


def _templated(turns: list[Message], tokenizer: Any) -> str:
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _without_system(turns: list[Message]) -> list[Message]:
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    first, *rest = [turn for turn in turns if turn.role != "system"] or [Message("user", "")]
    return [Message(first.role, f"{system}\n\n{first.content}".strip()), *rest]
