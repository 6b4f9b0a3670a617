"""`LLMSearch` inside somebody's plain `tune.Tuner`, on a real local Ray."""

from __future__ import annotations

import pytest
from llm_server import LLMServer
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from trainables import quadratic
from tuning_answer import TuningAnswer

from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.llm.openai_client import OpenAIClient
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.records import TrialState

pytestmark = pytest.mark.ray


def tuner(search, tmp_path, samples=12, **options):
    return tune.Tuner(
        quadratic,
        param_space={"lr": tune.loguniform(1e-5, 1.0), "layers": tune.randint(1, 4)},
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=samples,
            max_concurrent_trials=2,
            search_alg=search,
            reuse_actors=True,
            **options,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="exp", verbose=0),
    )


def test_a_model_behind_a_socket_and_rays_asha(local_ray, tmp_path):
    with LLMServer(TuningAnswer()) as server:
        search = LLMSearch(
            OpenAIClient("test-model", server.url),
            default={"lr": 0.3, "layers": 2},
            max_steps=10,
            journal=tmp_path / "journal",
        )
        asha = ASHAScheduler(max_t=10, grace_period=2, reduction_factor=2)
        grid = tuner(search, tmp_path, scheduler=asha).fit()
        asked = len(server.requests)
    assert len(grid) == 12
    assert not grid.errors
    trials = search.book.history().trials
    assert trials[0].config["lr"] == 0.3
    assert trials[0].proposal.source == "default"
    sources = {t.proposal.source for t in trials}
    assert {"language", "classical"} <= sources
    assert asked >= 1
    assert TrialState.STOPPED in {t.state for t in trials}
    assert all(t.state.ended for t in trials)
    # Every value Ray knows of is in the journal, the one at which ASHA stopped a trial included.
    known = {result.metrics["trial_id"]: result.metrics["score"] for result in map(grid.__getitem__, range(12))}
    assert {t.id: t.curve("score")[-1][1] for t in trials} == pytest.approx(known)
    kinds = [entry.event.kind for entry in read_journal(search.book_path)]
    assert kinds.count("trial_started") == kinds.count("trial_ended") == 12
    assert grid.get_best_result().metrics["score"] > -2.4
    search.close()


def test_without_a_model_the_classical_team_finds_the_optimum(local_ray, tmp_path):
    search = LLMSearch(default={"lr": 1.0, "layers": 1}, max_steps=10)
    grid = tuner(search, tmp_path, samples=16).fit()
    assert grid.get_best_result().metrics["score"] > -0.6
    search.close()
