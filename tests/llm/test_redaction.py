from __future__ import annotations

import pytest

from automl_gpt_ray.llm.redaction import redact, secrets_in


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key sk-planted-123456.", "key [redacted]."),
        ("pk-live_0123456789", "[redacted]"),
        ("Authorization: Bearer abc", "Authorization: [redacted]"),
        ("{'authorization': 'Basic dXNlcjpw', 'a': 1}", "{'authorization': '[redacted]', 'a': 1}"),
        ("sent Bearer abcdef123456==, then", "sent Bearer [redacted], then"),
        ("?api_key=abc&x=1", "?api_key=[redacted]&x=1"),
        ('{"api-key": "abc"}', '{"api-key": "[redacted]"}'),
        ("X-API-Key: abc", "X-API-Key: [redacted]"),
        ("http://user:word@host/v1", "http://[redacted]@host/v1"),
        ("redis://:hunter2@host", "redis://[redacted]@host"),
        ("https://ghp_0123@github.com/x", "https://[redacted]@github.com/x"),
        ("https://host/v1?key=AIza0&a=1", "https://host/v1?key=[redacted]&a=1"),
        ("/x?a=1&access_token=abc", "/x?a=1&access_token=[redacted]"),
        ("s3://b/x?X-Amz-Signature=0f", "s3://b/x?X-Amz-Signature=[redacted]"),
    ],
)
def test_what_looks_like_a_key_goes(text, left):
    assert redact(text) == left


@pytest.mark.parametrize(
    "prose",
    [
        "sk-learn-pipelines are fine",
        "the bearer of bad news",
        "risk-adjusted-2024 and task-1234567890",
        "see http://host:8000/v1 and mail a@b.c",
        "check the key in the environment variable `OPENAI_API_KEY`",
        "the api key is missing",
    ],
)
def test_prose_stays(prose):
    assert redact(prose) == prose


def test_known_secrets_go_wherever_they_stand():
    assert redact("xhunter2-hunter2y", ["hunter2-hunter2"]) == "x[redacted]y"
    assert redact("q=a%2Fb%20secret", ["a/b secret"]) == "q=[redacted]"
    assert redact("long-secret-extended", ["long-secret", "long-secret-extended"]) == "[redacted]"
    assert redact("nothing", ["", " "]) == "nothing"


def test_a_short_secret_goes_as_a_word_only():
    assert redact("abc, abcd and (abc)", ["abc"]) == "[redacted], abcd and ([redacted])"


def test_secrets_are_found_by_the_names_of_their_variables():
    environment = {
        "A_API_KEY": "12345678",
        "B_TOKEN": "abcdefgh",
        "KEYBOARD": "qwertzuiop",
        "C_KEY": "short",
        "HOME": "/home/me",
    }
    assert secrets_in(environment) == ("12345678", "abcdefgh")


@pytest.mark.parametrize("text", ["sk-", "://", "a://a:", "bearer ", "authorization", "&a", "?key", "api-key "])
def test_a_long_text_takes_no_quadratic_time(text):
    # Megabytes take a blink where each character is looked at a few times, and hours where it is not.
    redact(text * (2_000_000 // len(text)))
