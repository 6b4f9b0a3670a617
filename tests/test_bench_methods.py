"""Every method and control that needs no server runs, starts from the default and repeats itself."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter, IntParameter
from automl_gpt_ray.prompts.schema import reply_schema
from automl_gpt_ray.records import Completion, Message, Objective, Prompt, Usage
from automl_gpt_ray.replies import Drafts, parse_proposals
from automl_gpt_ray.space import SearchSpace
from benchmarks.controls import ALL
from benchmarks.language import Metered, RandomModel
from benchmarks.methods import Setting
from benchmarks.one_run import simulate
from benchmarks.problems import Table
from benchmarks.raw import RunKey, read
from benchmarks.replay import Replay

SPACE = SearchSpace(
    {
        "optimizer": ChoiceParameter(choices=["adam", "sgd"], default="adam"),
        "lr": FloatParameter(low=1e-4, high=1.0, log=True, default=0.1),
        "layers": IntParameter(low=1, high=6, default=2),
        "momentum": FloatParameter(low=0.0, high=0.9, default=0.5, when={"optimizer": ["sgd"]}),
    }
)
STEPS = 9


def table(name, shift):
    """Sixty configurations whose best learning rate is 10^-2+shift; large ones diverge."""
    rng = np.random.default_rng(0)
    configs = [SPACE.default, *(SPACE.sample(rng) for _ in range(59))]
    tops = np.array([-((np.log10(c["lr"]) + 2 - shift) ** 2) for c in configs])
    values = tops[:, None] - 2.0 / np.arange(1, STEPS + 1)
    failed = np.array([c["lr"] > 0.5 for c in configs])
    values[failed, 2:] = np.nan
    return Table(
        name=name,
        suite="made",
        brief=Brief(SPACE, Objective("score", "max"), STEPS),
        configs=configs,
        values=values,
        step_seconds=np.ones_like(values),
        tests=np.where(failed, np.nan, tops),
        lengths=np.where(failed, 3, STEPS),
        failed=failed,
        numbers=(100.0 * 10**shift, 5.0, 2.0),
    )


TABLES = [table("near", 0.1), table("mine", 0.0), table("far", -1.5)]
SLOW = {"gp", "gp+asha"}
NAMES = [n for n, m in ALL.items() if not m.needs_llm and not m.missing and n not in SLOW]


def run(name, folder, seed=0, trainings=4):
    simulate(RunKey("made", "mine", name, seed), TABLES[1], TABLES, trainings, 2, folder)
    (raw,) = (r for r in read(folder) if (r.key.method, r.key.seed) == (name, seed))
    return raw


@pytest.mark.parametrize("name", NAMES)
def test_it_spends_its_budget_and_starts_from_the_default(name, tmp_path):
    raw = run(name, tmp_path)
    values = raw.columns["value"]
    assert raw.about.epochs == 4 * STEPS
    assert 1 <= len(values) <= 4 * STEPS
    if name != "default":
        assert len(values) == 4 * STEPS
        assert raw.about.trials > 1
    assert raw.columns["curve"][raw.columns["trial"] == 0][0] == TABLES[1].open(SPACE.default)
    assert np.isfinite(values).any()


@pytest.mark.parametrize("name", ["random+asha", "tpe+asha", "ours-mixture+asha", "control-random-model"])
def test_the_same_seed_gives_the_same_run_and_another_does_not(name, tmp_path):
    first, again = run(name, tmp_path / "a"), run(name, tmp_path / "b")
    other = run(name, tmp_path / "c", seed=1)
    assert first.columns["curve"].tolist() == again.columns["curve"].tolist()
    assert first.columns["seconds"].tolist() == again.columns["seconds"].tolist()
    assert first.columns["curve"].tolist() != other.columns["curve"].tolist()


def test_every_method_says_its_settings():
    assert all(method.settings and method.name == name for name, method in ALL.items())


def test_copying_takes_from_the_like_task_and_never_from_itself(tmp_path):
    raw = run("control-copy", tmp_path)
    near = TABLES[0]
    best = int(np.nanargmax(np.where(near.failed, np.nan, near.values[:, -1])))
    second = raw.columns["curve"][raw.columns["trial"] == 1][0]
    assert second == best


def test_a_random_model_fits_the_schema_and_knows_nothing():
    brief = TABLES[0].brief
    schema = reply_schema(brief, 4, [3, 9])
    model = RandomModel(0)
    texts = [model.complete(Prompt((Message("user", "?"),)), schema).text for _ in range(5)]
    drafts = [parse_proposals(text, brief, frozenset()) for text in texts]
    assert all(isinstance(d, Drafts) for d in drafts)
    rates = [draft.config["lr"] for d in drafts for draft in d.drafts]
    assert len(set(rates)) > 10
    assert min(rates) < 1e-3 < 1e-1 < max(rates)


def test_a_meter_counts_calls_tokens_and_the_seconds_since_it_was_asked():
    meter = Metered(Scripted([Completion("{}", "m", Usage(10, 5))], repeat_last=True))
    ask = partial(meter.complete, Prompt((Message("user", "?"),)))
    ask(), ask()
    assert meter.calls == 2
    assert meter.spent == Usage(20, 10)
    assert meter.latency() > 0
    assert meter.latency() == 0


@pytest.mark.parametrize("name", ["ours-llm+asha", "ours-llm-masked+asha"])
def test_rows_with_a_model_ask_it_and_masked_ones_name_nothing(name, tmp_path):
    seen = []

    class Watching:
        def __init__(self):
            self.inner = RandomModel(3)

        def complete(self, prompt, schema=None):
            seen.append(" ".join(m.content for m in prompt.messages))
            return self.inner.complete(prompt, schema)

    from benchmarks.replay import Limits
    from benchmarks.simulator import Simulator

    client = Metered(Watching())
    pair = ALL[name].make(Setting(TABLES[1], 0, 2, 36, client, TABLES))
    replay = Simulator(TABLES[1], pair.searcher, pair.scheduler, 2, Limits(epochs=60)).run()
    assert isinstance(replay, Replay)
    assert client.calls >= 1
    assert any(t.curve == TABLES[1].open(SPACE.default) for t in replay.trials[:1])
    masked = "masked" in name
    assert all(("momentum" in text) != masked and ("optimizer" in text) != masked for text in seen)
    # The model's own seconds, short as they are, were charged to the virtual clock.
    assert replay.evaluations[0].seconds >= 1.0
