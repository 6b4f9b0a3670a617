"""A run whose learning rate is ten times too high, with and without somebody who revises it."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_gpt_ray.book import Book
from automl_gpt_ray.config import load_job
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.lineage import RevisionApplied, RevisionAsked
from automl_gpt_ray.ray_tune.run import run
from automl_gpt_ray.replay import replay

pytestmark = pytest.mark.ray
JOB = Path(__file__).resolve().parents[2] / "configs" / "digits_revision.yaml"


def outcome_of(folder, **overrides):
    return run(load_job(JOB, overrides), None, folder)


def test_revision_rescues_a_learning_rate_ten_times_too_high(local_ray, tmp_path):
    lost = outcome_of(tmp_path / "lost", **{"scheduler.revise": "none"})
    assert lost.validation["accuracy"] < 0.15, "the network is dead"
    outcome = outcome_of(tmp_path / "cured")
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
    assert replay(tmp_path / "cured").different == 0
