"""A run whose learning rate is ten times too high, with and without somebody who revises it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from automl_gpt_ray import reviewing
from automl_gpt_ray.book import Book
from automl_gpt_ray.config import load_job
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.lineage import RevisionApplied, RevisionAsked
from automl_gpt_ray.outcome import load_outcome
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.records import Completion
from automl_gpt_ray.replay import replay

pytestmark = pytest.mark.ray
JOB = Path(__file__).resolve().parents[2] / "configs" / "digits_revision.yaml"


def outcome_of(folder, overrides=None, model=None, tell=None):
    return run(load_job(JOB, overrides), model, folder, tell)


class Model:
    """Proposes nothing, and in every review lowers a rate that is above 0.01 to a tenth."""

    def complete(self, prompt, schema=None):
        text = prompt.messages[-1].content
        if "<in_training>" not in text:
            return Completion("{}", "m")
        final = {"value": 0.9, "low": 0.8, "high": 0.95}
        said = {"action": "revise", "reason": "its loss does not fall", "predicted_final": final}
        names = [json.loads(found) for found in re.findall(r'^trial ("[^"]*"): at step', text, re.MULTILINE)]
        changes = {"learning_rate": 0.003, "weight_decay": None}
        return Completion(json.dumps({"reviews": [{"trial": n, **said, "changes": changes} for n in names]}), "m")


def test_revision_rescues_a_learning_rate_ten_times_too_high(local_ray, tmp_path):
    lost = outcome_of(tmp_path / "lost", {"scheduler.revise": "none"})
    assert lost.validation["accuracy"] < 0.15, "the network is dead"
    lines = []
    outcome = outcome_of(tmp_path / "cured", tell=lines.append)
    assert any("trial 1/1 revised from step 1 on: learning_rate 0.03 -> 0.003" in line for line in lines)
    journal = [entry.event for entry in read_journal(outcome.journal)]
    asked = [event.revision for event in journal if isinstance(event, RevisionAsked)]
    applied = [event for event in journal if isinstance(event, RevisionApplied)]
    assert asked[0].by == "rules"
    assert asked[0].changes == {"learning_rate": pytest.approx(0.003)}
    assert "no better than a guess" in asked[0].reason
    assert applied[0].config["learning_rate"] == pytest.approx(0.003)
    assert outcome.validation["accuracy"] > 0.8
    assert outcome.test["accuracy"] > 0.8
    assert outcome.best_config["learning_rate"] == pytest.approx(0.003)
    (trial,) = Book().replay(journal).history().trials
    assert trial.proposal.config["learning_rate"] == 0.03
    assert trial.last_step == 10
    assert outcome.steps == 10 + trial.lineage.redone
    assert outcome.revisions == trial.lineage.applied
    assert load_outcome(tmp_path / "cured") == outcome
    assert replay(tmp_path / "cured").different == 0


def test_a_language_model_that_reviews_rescues_it_too(local_ray, tmp_path, monkeypatch):
    monkeypatch.setattr(reviewing, "GATHER_S", 0.0)
    told = {"llm": {"model": "m"}, "scheduler": {"type": "freeze_thaw", "review_every": 3, "grace": 10}}
    outcome = outcome_of(tmp_path / "run", told, Model())
    (first, *_) = outcome.revisions
    assert (first.revision.by, first.revision.predicted) == ("language", 0.9)
    assert first.revision.changes == {"learning_rate": 0.003}
    assert first.revision.back_to == 0, "what is dead goes back, though the model says nothing of it"
    assert outcome.validation["accuracy"] > 0.8
    decisions = [e.event for e in read_journal(outcome.journal) if e.event.kind == "decision"]
    assert [d.reason for d in decisions if d.action == "revise"] == ["its loss does not fall"]
    assert replay(tmp_path / "run").different == 0
