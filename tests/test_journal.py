"""The journal: every event comes back, and no damage to the file costs more than what was damaged."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from automl_gpt_ray.errors import JournalError
from automl_gpt_ray.events import (
    ADAPTER,
    AdviceGiven,
    CallFailed,
    CheckpointSaved,
    Decision,
    Event,
    ForecastMade,
    PromptSent,
    ProposalDropped,
    ReplyRead,
    ReplyReceived,
    ResultReported,
    RunEnded,
    RunResumed,
    RunStarted,
    TeamFormed,
    TrialEnded,
    TrialRequeued,
    TrialResumed,
    TrialStarted,
)
from automl_gpt_ray.events import Tested as Scored  # pytest would collect the name
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.job_events import FeedbackGiven, ModelAssigned, Refitted
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.lineage import (
    Origin,
    Revision,
    RevisionApplied,
    RevisionAsked,
    RevisionJudged,
    RevisionRolledBack,
)
from automl_gpt_ray.records import LogPoint, Message, Observation, PredictedLog, Proposal, TrialState, Usage
from automl_gpt_ray.review import Review, ReviewsRead

CONFIG = {"eta": 0.1, "depth": 3, "big": 3.0, "flag": True, "one": 1, "none": None, "text": 'a"b\\\n\u2028é😀'}
LOG = PredictedLog("accuracy", (LogPoint(1, 0.5, -math.inf, math.inf), LogPoint(4, 0.7, 0.6, 0.8)), "language")
PROPOSAL = Proposal("p1", CONFIG, "because", "language", LOG, 3, ("clipped",))
METRICS = {"accuracy": 0.5, "loss": math.inf, "train_loss": -math.inf, "zero": 0.0}
EVENTS = (
    RunStarted("accuracy", "max", 4, 11, CONFIG, {"version": "1", "nested": {"a": [1, 2.5, None]}}),
    RunResumed("2 damaged lines"),
    PromptSent("c1", "propose", 3, (Message("system", "s\n"), Message("user", '{"a": "}"}')), 2),
    ReplyReceived("c1", 'text "},"event":{"', "m", Usage(3, 4), 0.25, "stop"),
    CallFailed("c2", "LLMUnavailable", "down", 1.5),
    AdviceGiven("language", 3, (PROPOSAL, replace(PROPOSAL, id="p2", predicted_log=None)), ("twice",)),
    ProposalDropped("p2", "stale"),
    TrialStarted("t1", PROPOSAL),
    ResultReported("t1", Observation(1, METRICS, 0.5)),
    TrialEnded("t1", TrialState.FAILED, "oom", "out of memory"),
    Decision("run", "outage", "down", "prefetch"),
    Scored("t1", {"accuracy": 0.75, "loss": math.inf}),
    CheckpointSaved("t1", 1, "/somewhere/trial_t1/checkpoint_000000"),
    TrialRequeued("t2", "Ray did not know of it"),
    TrialResumed("t2", "it promises most"),
    ReplyRead("c1", 2, ("proposals[1]: twice",)),
    TeamFormed({"type": "classical", "seed": 3}, "ask_tell", 3, {"optuna": "5"}),
    RunEnded("12 trials were trained"),
    ForecastMade("t1", 1, LOG),
    RevisionAsked("t1", Revision("t1", 2, {"eta": 0.01}, "it diverges", "rules", 0.7, back_to=1)),
    RevisionApplied("t1", 2, {**CONFIG, "eta": 0.01}, Origin("t1", 1, "/somewhere/checkpoint_000000")),
    RevisionJudged("t1", 4, "no worse than before"),
    RevisionRolledBack("t1", 4, 2, CONFIG, "worse than before", Origin("t1", 1)),
    ReviewsRead("c1", (Review("t1", 2, "revise", "it explodes", LogPoint(4, 0.5, 0.4, 0.6), {"eta": 0.01}),), ("odd",)),
    FeedbackGiven(Feedback("f1", 'a "word"', {"eta": 0.1, "none": None}, {"depth": (1.0, 3.0)}, ("one",)), ("odd",)),
    ModelAssigned("iris", "trees", "small table", "rules", {"forest": "second"}, {"bert": "takes text"}),
    Refitted("t1", 3, "runs/refit/checkpoint_000002"),
)


def write(path, events=EVENTS):
    journal = Journal(path)
    entries = [journal.append(event) for event in events]
    journal.close()
    return entries


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "journal.jsonl"


def test_every_event_type_comes_back(path):
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    write(path)
    entries = read_journal(path)
    assert tuple(entry.event for entry in entries) == EVENTS
    assert [entry.seq for entry in entries] == list(range(1, len(EVENTS) + 1))
    config = entries[7].event.proposal.config
    assert {name: type(value) for name, value in config.items()} == {n: type(v) for n, v in CONFIG.items()}


def test_nan_stays_nan(path):
    write(
        path,
        (
            ResultReported("t1", Observation(1, {"accuracy": math.nan}, 0.0)),
            Scored("t1", {"accuracy": math.nan}),
            AdviceGiven(
                "x", 1, (replace(PROPOSAL, predicted_log=replace(LOG, points=(LogPoint(1, *[math.nan] * 3),))),)
            ),
        ),
    )
    result, tested, advice = (entry.event for entry in read_journal(path))
    assert math.isnan(result.observation.metrics["accuracy"])
    assert math.isnan(tested.metrics["accuracy"])
    assert math.isnan(advice.proposals[0].predicted_log.final.low)


def test_lines_are_json_with_a_checksum_of_what_follows_it(path):
    write(path)
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        value = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert list(value) == ["crc", "seq", "time", "event"]
        assert value["seq"] == number
        body = line.partition(b'",')[2].removesuffix(b"\n")
        assert value["crc"] == f"{zlib.crc32(body):08x}"


@pytest.mark.parametrize("event", [EVENTS[3], EVENTS[8]])
def test_truncation_at_every_byte_of_the_last_line(tmp_path, event):
    path = tmp_path / "j"
    write(path, (EVENTS[0], EVENTS[1]))
    kept = path.read_bytes()
    write(path, (event,))
    whole = path.read_bytes()
    for size in range(len(kept), len(whole)):
        for old in tmp_path.iterdir():
            old.unlink()
        path.write_bytes(whole[:size])
        journal = Journal(path)
        assert tuple(e.event for e in journal.entries) == EVENTS[:2]
        assert bool(journal.damage) == (size > len(kept))
        assert journal.append(event).seq == 3
        journal.close()
        assert path.read_bytes().startswith(kept)
        assert [e.event for e in read_journal(path)] == [*EVENTS[:2], event]
        tails = [p.read_bytes() for p in tmp_path.glob("*.tail-*")]
        assert tails == ([whole[len(kept) : size]] if size > len(kept) else [])


def damage_line(path, number, line):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = line(lines[number]) if callable(line) else line
    path.write_bytes(b"".join(lines))


def unknown_kind(line):
    body = line.decode().partition('",')[2].replace('"kind":"decision"', '"kind":"prophecy"').rstrip("\n")
    return f'{{"crc":"{zlib.crc32(body.encode()):08x}",{body}\n'.encode()


@pytest.mark.parametrize(
    "line",
    [
        b"garbage\n",
        b"\n",
        b"\xff\xfe\x00\n",
        b'{"crc":"00000000","seq":1}\n',
        b"{}\n",
        b"[" * 50_000 + b"\n",
        lambda line: line.replace(b"outage", b"0utage"),
        lambda line: line[:-9] + b"\n",
        unknown_kind,
    ],
)
def test_garbage_in_the_middle_is_skipped_and_reported(path, line):
    write(path)
    damage_line(path, 10, line)
    journal = Journal(path)
    assert tuple(e.event for e in journal.entries) == EVENTS[:10] + EVENTS[11:]
    assert journal.damage == "1 damaged or unknown lines were skipped"
    assert journal.append(EVENTS[0]).seq == len(EVENTS) + 1
    journal.close()


def test_a_changed_number_is_noticed(path):
    write(path)
    damage_line(path, 8, lambda line: line.replace(b'"accuracy":0.5', b'"accuracy":0.9'))
    assert len(read_journal(path)) == len(EVENTS) - 1


def test_an_unknown_line_at_the_end_is_kept_aside(path):
    write(path, EVENTS[:11])
    damage_line(path, 10, unknown_kind)
    journal = Journal(path)
    journal.close()
    assert len(journal.entries) == 10
    (aside,) = path.parent.glob("*.tail-*")
    assert b"prophecy" in aside.read_bytes()


def test_a_file_of_nothing_but_garbage(path):
    path.parent.mkdir()
    garbage = os.urandom(3000) + b"\n" + os.urandom(30)
    path.write_bytes(garbage)
    for _ in range(2):  # a run that was there is not begun anew
        with pytest.raises(JournalError, match="none of its lines is whole"):
            Journal(path)
    assert path.read_bytes() == garbage
    assert not list(path.parent.glob("*.tail-*"))


def test_line_ends_of_another_system_are_no_damage(path):
    write(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    journal = Journal(path)
    journal.close()
    assert (len(journal.entries), journal.damage) == (len(EVENTS), "")


def test_a_full_disk_at_the_end_is_one_error_and_the_file_is_closed(path, monkeypatch):
    journal = Journal(path)
    journal.append(EVENTS[0])

    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        journal.close()
    journal.close()
    monkeypatch.undo()
    again = Journal(path)  # nothing holds it any more
    again.close()
    assert [e.event for e in again.entries] == [EVENTS[0]]


def test_reading_changes_nothing(path):
    write(path)
    path.write_bytes(path.read_bytes()[:-5])
    before = path.read_bytes()
    assert len(read_journal(path)) == len(EVENTS) - 1
    assert path.read_bytes() == before


def test_it_goes_on_where_it_ended(path):
    write(path, EVENTS[:3])
    journal = Journal(path)
    assert journal.damage == ""
    assert journal.append(EVENTS[3]).seq == 4
    journal.close()
    assert [e.seq for e in read_journal(path)] == [1, 2, 3, 4]


def test_errors_of_the_disk_are_journal_errors(tmp_path):
    with pytest.raises(JournalError, match="cannot read"):
        read_journal(tmp_path / "absent")
    with pytest.raises(JournalError, match="cannot open"):
        Journal(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot open"):
        Journal(tmp_path / "file" / "journal")
    closed = Journal(tmp_path / "closed")
    closed.close()
    closed.close()
    with pytest.raises(JournalError, match="cannot write"):
        closed.append(EVENTS[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_journal_error(path):
    journal = Journal(path)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    os.close(full)
    for _ in range(2):
        with pytest.raises(JournalError, match="No space left"):
            journal.append(EVENTS[0])


def test_half_a_line_does_not_take_the_next_one_with_it(path, monkeypatch):
    journal = Journal(path)
    journal.append(EVENTS[0])
    write_once = os.write

    def half(file, data):
        monkeypatch.setattr(os, "write", refuse)
        return write_once(file, data[: len(data) // 2])

    def refuse(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(JournalError, match="No space left"):
        journal.append(EVENTS[1])
    monkeypatch.setattr(os, "write", write_once)
    assert journal.append(EVENTS[2]).seq == 2
    journal.append(EVENTS[3])
    journal.close()
    assert [e.event for e in read_journal(path)] == [EVENTS[0], EVENTS[2], EVENTS[3]]


def test_short_writes_are_completed(path, monkeypatch):
    write_once = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write_once(file, data[:7]))
    write(path)
    assert tuple(e.event for e in read_journal(path)) == EVENTS


def test_what_was_paid_for_is_on_the_disk_before_append_returns(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(threading.current_thread()))
    journal = Journal(path)
    for at_once in (EVENTS[0], EVENTS[2], EVENTS[3], EVENTS[17]):
        synced.clear()
        journal.append(at_once)
        assert threading.current_thread() in synced


def test_what_trials_do_is_flushed_without_the_callers_waiting(path, monkeypatch):
    flushed, synced = threading.Event(), []

    def sync(file):
        synced.append(threading.current_thread())
        flushed.set()

    monkeypatch.setattr(os, "fsync", sync)
    journal = Journal(path)
    for event in (EVENTS[7], EVENTS[8], EVENTS[9]):
        journal.append(event)
    assert flushed.wait(10)
    assert threading.current_thread() not in synced
    journal.close()
    assert synced[-1] is threading.current_thread()


def test_a_disk_that_failed_in_the_background_stops_the_run_at_the_next_event(path, monkeypatch):
    failed = threading.Event()

    def full(file):
        failed.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal = Journal(path)
    journal.append(EVENTS[8])
    assert failed.wait(10)
    while not journal._flusher._error:  # it is noted a moment after the disk's refusal
        threading.Event().wait(0.01)
    with pytest.raises(JournalError, match="No space left"):
        journal.append(EVENTS[8])


def test_texts_are_redacted_one_by_one_and_lines_stay_json(path):
    secret = 'sk-"quoted\\key'

    def redact(text):
        return text.replace(secret, "[key]")

    journal = Journal(path, redact)
    journal.append(replace(EVENTS[0], about={"deep": [{"key": f"a {secret} b"}]}))
    journal.append(PromptSent("c", "propose", 1, (Message("user", f"{secret}\n{secret}"),)))
    journal.append(ReplyReceived("c", f'{{"key": "{secret}"}}', "m", Usage(), 0.0, "stop"))
    journal.append(CallFailed("c", "LLMRejected", f"bad key {secret}"))
    journal.close()
    content = path.read_text()
    assert "sk-" not in content
    assert [json.loads(line)["seq"] for line in content.removesuffix("\n").split("\n")] == [1, 2, 3, 4]
    events = [e.event for e in read_journal(path)]
    assert events[0].about == {"deep": [{"key": "a [key] b"}]}
    assert events[1].messages[0].content == "[key]\n[key]"
    assert events[2].text == '{"key": "[key]"}'


def test_a_lone_surrogate_is_written_all_the_same(path):
    text = json.loads('"a \\ud800 b"')
    write(path, (ReplyReceived("c", text, "m", Usage(), math.nan, "stop"), CallFailed("c", "x", text)))
    reply, failed = (e.event for e in read_journal(path))
    assert reply.text == failed.message == "a ? b"
    assert math.isnan(reply.seconds)


def test_eight_threads_write_whole_lines_in_order(path):
    journal = Journal(path)
    returned = [[] for _ in range(8)]

    def work(mine, number):
        for turn in range(25):
            event = Decision(f"w{number}", str(turn), "x" * 500, "y") if turn % 5 else EVENTS[8]
            mine.append(journal.append(event).seq)

    threads = [threading.Thread(target=work, args=(mine, n)) for n, mine in enumerate(returned)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    entries = read_journal(path)
    assert [e.seq for e in entries] == list(range(1, 201))
    assert all(mine == sorted(mine) for mine in returned)
    turns = [e.event.action for e in entries if isinstance(e.event, Decision) and e.event.subject == "w3"]
    assert turns == [str(t) for t in range(25) if t % 5]


def test_the_clock_is_the_one_given(path):
    journal = Journal(path, clock=lambda: 12.5)
    assert journal.append(EVENTS[0]).time == 12.5
    journal.close()
    assert read_journal(path)[0].time == 12.5


def test_kinds_are_distinct():
    kinds = [event.kind for event in EVENTS]
    assert len(set(kinds)) == len(kinds)
    assert all(ADAPTER.validate_json(ADAPTER.dump_json(event)) == event for event in EVENTS)
