"""Running trials reviewed by a language model, in real Ray."""

from __future__ import annotations

import json
import re

import pytest
from test_freeze_thaw import STEPS, tuner
from tuning_answer import TuningAnswer

from automl_gpt_ray import reviewing
from automl_gpt_ray.events import PromptSent
from automl_gpt_ray.journal import FILE_NAME, read_journal
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import Completion, TrialState
from automl_gpt_ray.replay import replay
from automl_gpt_ray.review import ReviewsRead
from automl_gpt_ray.steering_rule import SteeringRule

pytestmark = pytest.mark.ray
FINAL = {"value": -1.0, "low": -2.0, "high": 0.0}


class Model:
    """Proposes what differs a little from what was best, and would stop every trial it is asked about."""

    def complete(self, prompt, schema=None):
        text = prompt.messages[-1].content
        if "<in_training>" not in text:
            body = {"messages": [{"role": "user", "content": text}]}
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
            return Completion(TuningAnswer()(body), "m")
        names = [json.loads(found) for found in re.findall(r'^trial ("[^"]*"): at step', text, re.MULTILINE)]
        said = {"action": "stop", "reason": "others are far ahead", "predicted_final": FINAL}
        return Completion(json.dumps({"reviews": [{"trial": name, **said} for name in names]}), "m")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(reviewing, "GATHER_S", 0.0)


@pytest.mark.usefixtures("quick")
def test_a_review_stops_trials_that_run(local_ray, tmp_path):
    search = LLMSearch(Model(), max_steps=STEPS, journal=tmp_path / "run")
    rule = SteeringRule(grace=8, audit=0.0, forecasts="trusted", review_every=2)
    grid = tuner(tmp_path, search, ReviewScheduler(search, rule=rule, time_attr="step")).fit()
    search.close()
    assert not grid.errors
    events = [entry.event for entry in read_journal(tmp_path / "run" / FILE_NAME)]
    asked = [e for e in events if isinstance(e, PromptSent) and e.purpose == "review"]
    read = [review for e in events if isinstance(e, ReviewsRead) for review in e.reviews]
    assert asked
    assert read
    history, decisions = search.book.history(), search.book.decisions
    by_model = [d for d in decisions if d.by == "language"]
    assert {d.subject for d in by_model} <= {review.trial for review in read}
    stopped = {d.subject for d in by_model if d.action == "stop"}
    assert stopped
    for trial in history.trials:
        if trial.id in stopped:
            assert trial.state is TrialState.STOPPED
            assert trial.last_step < STEPS
    assert history.best.id not in stopped
    assert all(d.reason for d in by_model)
    search.close()
    report = replay(tmp_path / "run")
    assert (report.different, report.differences) == (0, ())
    assert report.tallies["prompts"].same >= len(asked)


@pytest.mark.usefixtures("quick")
def test_a_model_that_has_earned_nothing_stops_nobody(local_ray, tmp_path):
    search = LLMSearch(Model(), max_steps=STEPS, journal=tmp_path / "run")
    rule = SteeringRule(grace=8, audit=0.0, review_every=2)
    tuner(tmp_path, search, ReviewScheduler(search, rule=rule, time_attr="step")).fit()
    by_model = [d for d in search.book.decisions if d.by == "language"]
    assert by_model
    assert {d.action for d in by_model} <= {"advised", "discarded"}
    search.close()


def test_without_a_model_nobody_reviews(local_ray, tmp_path):
    search = LLMSearch(max_steps=STEPS, journal=tmp_path / "run")
    tuner(tmp_path, search, ReviewScheduler(search, rule=SteeringRule(review_every=2), time_attr="step")).fit()
    search.close()
    events = [entry.event for entry in read_journal(tmp_path / "run" / FILE_NAME)]
    assert not [e for e in events if isinstance(e, PromptSent)]
