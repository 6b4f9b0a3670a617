"""The arguments of `LLMSearch`: what cannot be used is refused before anything runs, by name and at once."""

from __future__ import annotations

import numpy as np
import pytest

from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.errors import JobError, LLMUnavailable
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.ray_tune.searcher import LLMSearch


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("llm", "gpt-5", "write `OpenAIClient('gpt-5')`, for example"),
        ("llm", Scripted, "give an instance of one"),
        ("mode", "minimize", "write `min` where less is better"),
        ("mode", ["max"], "write `min` where less is better"),
        ("metric", ["a", "b"], "name the key to optimise; others can be constraints"),
        ("metric", "", "name the key to optimise; others can be constraints"),
        ("metric", "time_total_s", "report the value under a name of your own and optimise that"),
        ("metric", "seconds", "report the value under a name of your own and optimise that"),
        ("max_steps", -5, "leave it out or correct it"),
        ("max_steps", 0, "leave it out or correct it"),
        ("max_steps", 2.5, "leave it out or correct it"),
        ("max_steps", "10", "leave it out or correct it"),
        ("max_prompt_tokens", True, "leave it out or correct it"),
        ("seed", 1.5, "write None for any seed"),
        ("seed", -1, "write None for any seed"),
        ("budget", {"steps": 3}, "write `Budget(steps=500)`, for example"),
        ("request", {"metrics": ["accuracy"]}, "write `parse_request({...})`"),
        ("outages", "wait", "write `OutagePolicy('wait')`, for example"),
        ("gpus", "1", "write the GPUs of each trial, such as 0.5"),
        ("gpus", None, "write the GPUs of each trial, such as 0.5"),
        ("gpus", float("nan"), "write the GPUs of each trial, such as 0.5"),
        ("default", [1], "write `{'lr': 1e-2}`, for example"),
        ("data_card", "x.yaml", "read the file with `load_data_card`"),
        ("model_card", "x.yaml", "read the file with `load_model_card`"),
        ("mixture", {"mine": 1}, "write `Mixture({'mine': advisor})`, for example"),
        ("sampler", "bayes", "known: `tpe`, `gp`, `random`"),
        ("priors", 0.5, "such as `{'language': 0.4, 'classical': 0.4, 'local': 0.2}`"),
        ("step_key", 3, "name one key of what the trainable reports"),
        ("journal", 3, "name a folder"),
        ("about", "mine", "write `{'note': ...}`, for example"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(field, value, remedy):
    with pytest.raises(JobError) as caught:
        LLMSearch(**{field: value})
    assert [(p.field, p.remedy) for p in caught.value.problems] == [(field, remedy)]
    assert caught.value.problems[0].got


def test_all_problems_are_told_at_once():
    with pytest.raises(JobError) as caught:
        LLMSearch("gpt-5", mode="maximum", max_steps="10", priors={"optuna": 1, "local": -1})
    assert [p.field for p in caught.value.problems] == ["llm", "mode", "max_steps", "priors.optuna", "priors.local"]
    assert str(caught.value).startswith("LLMSearch: 5 problems in the job\n  - `llm`: must be a client with")


def test_what_is_right_passes(tmp_path):
    class Client:
        def complete(self, prompt, schema=None):
            raise LLMUnavailable("no answer")

    class Own(LLMSearch):
        pass

    numbers = {"max_steps": np.int64(5), "seed": np.uint32(7), "max_prompt_tokens": 1e4, "gpus": np.float32(0.5)}
    search = Own(Client(), default={}, metric="loss", mode="min", journal=str(tmp_path), **numbers)
    # The journal is JSON, which holds no NumPy.
    assert (type(search._max_steps), type(search._seed), type(search._limit)) == (int, int, int)
    LLMSearch(priors={"classical": 0.5, "language": 0})
    LLMSearch(mixture=Mixture({"mine": object()}), priors={"mine": 1.0})


def test_without_a_seed_each_search_has_one_of_its_own():
    seeds = {LLMSearch(seed=None)._seed for _ in range(4)}
    assert len(seeds) > 1
    assert all(isinstance(seed, int) and seed >= 0 for seed in seeds)
