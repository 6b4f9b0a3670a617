"""Feedback on a real local Ray: said while the run goes on, told to the model, bound on trials, replayed."""

from __future__ import annotations

import time

import pytest
from llm_server import LLMServer
from tuning_answer import TuningAnswer

from automl_gpt_ray.config import read_job
from automl_gpt_ray.events import PromptSent, TrialStarted
from automl_gpt_ray.feedback import Feedback
from automl_gpt_ray.feedback_file import give
from automl_gpt_ray.job_events import FeedbackGiven
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.ray_tune.run import resume, run
from automl_gpt_ray.replay import replay

pytestmark = pytest.mark.ray


def test_what_a_person_says_reaches_the_model_and_the_trials(local_ray, iris_job, tmp_path):
    folder, answer, given = tmp_path / "run", TuningAnswer(), []

    def is_heard():
        return any(isinstance(e.event, FeedbackGiven) for e in read_journal(folder / "journal.jsonl"))

    def speaking(body):
        if not given:
            given.append(give(folder, Feedback("", "Shallow trees, please.", {"max_depth": 3})))
            deadline = time.monotonic() + 30
            while not is_heard() and time.monotonic() < deadline:
                time.sleep(0.05)
        return answer(body)

    lines = []
    with LLMServer(speaking) as server:
        loaded = read_job({**iris_job, "trials": 14, "llm": {"model": "m", "base_url": server.url}})
        outcome = run(loaded, OpenAIClient("m", server.url), folder, lines.append)
    entries = read_journal(folder / "journal.jsonl")
    said = next(e for e in entries if isinstance(e.event, FeedbackGiven))
    assert said.event.feedback.id == given[0].id
    assert any(f"feedback {given[0].id}: a person says: Shallow trees, please.; fixes max_depth" in x for x in lines)
    prompts = [e.event for e in entries if isinstance(e.event, PromptSent) and e.event.history_version > said.seq]
    assert prompts
    assert all("Shallow trees, please." in p.messages[1].content for p in prompts)
    later = [e.event.proposal for e in entries if isinstance(e.event, TrialStarted) and e.seq > said.seq]
    assert {p.config["max_depth"] for p in later} == {3}
    told = [p for p in later if p.source == "language" and p.history_version > said.seq]
    assert all(f"told of feedback {given[0].id}" in p.notes for p in told)
    assert outcome.trials["total"] == 14
    assert replay(folder).different == 0, replay(folder).differences

    give(folder, Feedback("", "And quickly."))
    more = resume(read_job({**iris_job, "trials": 20}), folder)
    assert more.trials["total"] == 20
    heard = [e.event for e in read_journal(folder / "journal.jsonl") if isinstance(e.event, FeedbackGiven)]
    assert [event.feedback.text for event in heard] == ["Shallow trees, please.", "And quickly."]
    assert replay(folder).different == 0
