"""How many tokens a prompt takes, estimated before it is sent.

No model's own tokenizer: those differ, and few servers give theirs away. The estimate is made to lie on
the high side for English, JSON and numbers, so that a limit put on it holds for the model too. It is
never corrected by what a server counted, so that equal prompts have equal estimates in every run.
"""

from __future__ import annotations

import re

from automl_gpt_ray.records import Prompt

LETTERS_PER_TOKEN, MARKS_PER_TOKEN = 4, 2
PER_MESSAGE = 4
# A single space belongs to the word after it; some tokenizers take numbers digit by digit.
_PIECES = re.compile(r"[A-Za-z]+|[0-9]|[!-/:-@\[-`{-~]+|[^\x00-\x7f]+|  +|[^\S ]")


def estimated_tokens(prompt: Prompt) -> int:
    """Return about how many tokens `prompt` takes, what heads its messages included."""
    return sum(text_tokens(message.content) + PER_MESSAGE for message in prompt.messages)


def text_tokens(text: str) -> int:
    """Return about how many tokens `text` takes.

    A word counts one for every four letters begun, a run of marks one for every two; digits and line ends
    count one each; beyond ASCII each byte of UTF-8 counts one, the most a tokenizer that falls back on
    bytes makes of it.
    """
    return sum(_tokens(piece) for piece in _PIECES.findall(text))


def _tokens(piece: str) -> int:
    if piece[0] > "\x7f":
        return len(piece.encode("utf-8", "surrogatepass"))
    if piece[0].isalpha():
        return -(-len(piece) // LETTERS_PER_TOKEN)
    return 1 if piece[0].isspace() else -(-len(piece) // MARKS_PER_TOKEN)
