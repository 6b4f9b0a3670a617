from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import pytest

from automl_gpt_ray.errors import JournalError, LLMRejected, LLMUnavailable
from automl_gpt_ray.llm.recorded import Recorded, request_key
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.records import Completion, Message, Prompt, Usage

PLANTED = "sk-planted-123456"


def files(folder):
    return sorted(folder.iterdir())


def test_an_answer_is_replayed_whole(tmp_path, prompt, schema):
    told = Completion("text \udcff ü", "model-1", Usage(3, 4), 1.5, "length")
    Recorded(Scripted([told]), tmp_path).complete(prompt, schema)
    assert Recorded(None, tmp_path, "replay").complete(prompt, schema) == told
    assert [path.name for path in files(tmp_path)] == [f"{request_key(prompt, schema)}-0001.json"]


def test_the_same_prompt_twice_has_two_answers(tmp_path, prompt):
    recorder = Recorded(Scripted(["first", "second"]), tmp_path)
    assert [recorder.complete(prompt).text for _ in range(2)] == ["first", "second"]
    player = Recorded(None, tmp_path, "replay")
    assert [player.complete(prompt).text for _ in range(2)] == ["first", "second"]
    with pytest.raises(LLMRejected, match=r"\(time 3\) is not in the recording"):
        player.complete(prompt)


def test_a_failed_call_leaves_no_hole(tmp_path, prompt):
    recorder = Recorded(Scripted([LLMUnavailable("down"), "yes"]), tmp_path)
    with pytest.raises(LLMUnavailable):
        recorder.complete(prompt)
    recorder.complete(prompt)
    assert Recorded(None, tmp_path, "replay").complete(prompt).text == "yes"


def test_replay_never_asks_and_names_the_remedy(tmp_path, prompt):
    script = Scripted(["never"])
    with pytest.raises(LLMRejected, match="record again with mode `record` or `auto`"):
        Recorded(script, tmp_path / "absent", "replay").complete(prompt)
    assert script.prompts == ()
    assert not (tmp_path / "absent").exists()


def test_auto_asks_only_for_what_is_missing(tmp_path, prompt):
    Recorded(Scripted(["old"]), tmp_path).complete(prompt)
    script = Scripted(["new"])
    client = Recorded(script, tmp_path, "auto")
    assert [client.complete(prompt).text for _ in range(2)] == ["old", "new"]
    assert len(script.prompts) == 1
    player = Recorded(None, tmp_path, "replay")
    assert [player.complete(prompt).text for _ in range(2)] == ["old", "new"]


def test_record_asks_and_writes_over(tmp_path, prompt):
    for text in ("old", "new"):
        assert Recorded(Scripted([text]), tmp_path, "record").complete(prompt).text == text
    assert Recorded(None, tmp_path, "replay").complete(prompt).text == "new"
    assert len(files(tmp_path)) == 1


def test_keys_distinguish_requests_and_nothing_else(prompt, schema):
    reordered = MappingProxyType(dict(reversed(schema.items())))
    assert request_key(prompt, schema) == request_key(prompt, reordered)
    assert request_key(prompt, {"required": ("a",)}) == request_key(prompt, {"required": ["a"]})
    other_role = Prompt((Message("user", prompt.messages[0].content), prompt.messages[1]))
    joined = Prompt((Message("system", "".join(m.content for m in prompt.messages)),))
    keys = {request_key(p, s) for p in (prompt, other_role, joined) for s in (None, {}, schema)}
    assert len(keys) == 9


def test_keys_are_not_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_GATEWAY_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("QUOTED_PASSWORD", 'back\\slash"quote')
    leaky = Prompt((Message("user", f"my key is {PLANTED}, or correct-horse-battery"),))
    reply = Completion('Authorization: Bearer abcdef123456 and back\\slash"quote', f"model {PLANTED}")
    Recorded(Scripted([reply]), tmp_path).complete(leaky, {"title": PLANTED})
    stored = files(tmp_path)[0].read_text()
    for secret in (PLANTED, "correct-horse-battery", "abcdef123456", "slash"):
        assert secret not in stored
    assert stored.count("[redacted]") == 6
    assert Recorded(None, tmp_path, "replay").complete(leaky, {"title": PLANTED}).model == "model [redacted]"


WHOLE = {"text": "a", "model": "m", "usage": {}, "seconds": 0, "finish": "stop"}


def altered(**fields):
    return json.dumps({"format": 1, "completion": {**WHOLE, **fields}})


DAMAGED = {
    "empty": "",
    "cut": altered()[:-20],
    "not an object": "[]",
    "other format": '{"format": 99}',
    "no completion": '{"format": 1}',
    "text is a number": altered(text=1),
    "usage is text": altered(usage="b"),
    "tokens are text": altered(usage={"prompt_tokens": "9"}),
    "seconds are text": altered(seconds="2"),
    "unknown field": altered(mood="good"),
    "nested too deep": "[" * 100_000,
}


def test_the_file_that_the_damage_starts_from_is_good(tmp_path, prompt):
    (tmp_path / f"{request_key(prompt)}-0001.json").write_text(altered())
    assert Recorded(None, tmp_path, "replay").complete(prompt) == Completion("a", "m")


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("mode", ["replay", "auto"])
def test_a_damaged_file_is_named(content, mode, tmp_path, prompt):
    path = tmp_path / f"{request_key(prompt)}-0001.json"
    path.write_text(content)
    with pytest.raises(LLMRejected, match="is damaged") as caught:
        Recorded(Scripted(["no"]), tmp_path, mode).complete(prompt)
    assert str(path) in str(caught.value)
    assert "Remove the file" in str(caught.value)


def test_a_folder_that_cannot_be_written_stops_the_run(tmp_path, prompt):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match="cannot be recorded"):
        Recorded(Scripted(["paid for"]), tmp_path / "file").complete(prompt)


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path, prompt, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("automl_gpt_ray.llm.recorded.os.fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        Recorded(Scripted(["paid for"]), tmp_path).complete(prompt)
    assert files(tmp_path) == []


@pytest.mark.parametrize("mode", ["record", "auto"])
def test_threads_with_one_prompt_lose_no_answer(mode, tmp_path, prompt):
    client = Recorded(Scripted([str(n) for n in range(40)]), tmp_path, mode)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.complete(prompt), range(40)))
    told = [json.loads(path.read_text())["completion"]["text"] for path in files(tmp_path)]
    assert sorted(told, key=int) == [str(n) for n in range(40)]


def test_a_client_is_needed_to_record(tmp_path):
    with pytest.raises(ValueError, match="needs a client"):
        Recorded(None, tmp_path, "auto")
    with pytest.raises(ValueError, match="must be record, replay or auto"):
        Recorded(None, tmp_path, "play")
