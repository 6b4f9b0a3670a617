"""Small briefs, trials and histories that several tests share."""

from __future__ import annotations

import math

import numpy as np

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import parse_data_card, parse_model_card, parse_request
from automl_gpt_ray.parameters import ChoiceParameter, ConstantParameter, FloatParameter, IntParameter
from automl_gpt_ray.records import History, Objective, Observation, Proposal, TrialRecord, TrialState
from automl_gpt_ray.space import SearchSpace

MAXIMISE = Objective("accuracy", "max")
MINIMISE = Objective("log_loss", "min")

PLAIN = SearchSpace(
    {
        "eta": FloatParameter(low=0.001, high=0.5, log=True, default=0.1),
        "depth": IntParameter(low=1, high=12, default=6),
        "shape": ChoiceParameter(choices=["oblivious", "leafwise", None], default="leafwise"),
    }
)
CONDITIONAL = SearchSpace(
    {
        "booster": ChoiceParameter(choices=["gbtree", "dart"], default="gbtree"),
        "eta": FloatParameter(low=0.01, high=0.5, log=True, default=0.3),
        "rate_drop": FloatParameter(low=0.0, high=0.5, step=0.1, default=0.1, when={"booster": ["dart"]}),
        "skip": ChoiceParameter(choices=[True, False], default=True, when={"rate_drop": [0.1, 0.2]}),
        "seed": ConstantParameter(value=7),
    }
)
TINY = SearchSpace(
    {"a": ChoiceParameter(choices=[1, True], default=1), "b": IntParameter(low=1, high=3, default=2)},
)
CONSTANT = SearchSpace({"seed": ConstantParameter(value=7), "kind": ConstantParameter(value="x")})
SPACES = {"plain": PLAIN, "conditional": CONDITIONAL, "tiny": TINY, "constant": CONSTANT}

DATA_CARD = {
    "name": "leaves",
    "task": "classification",
    "input_type": "tabular",
    "label_space": {"column": "species", "classes": ["oak", "elm", "ash"]},
    "metric": "accuracy",
    "size": {"train": 800, "test": 200},
    "description": "Measured leaves of three trees.",
    "columns": [
        {"name": "length", "type": "number", "missing": 0.125},
        {"name": "edge", "type": "category", "distinct": 4},
    ],
    "label_balance": {"oak": 0.5, "elm": 0.3, "ash": 0.2},
}
MODEL_CARD = {
    "name": "trees",
    "structure": "gradient-boosted trees",
    "description": "Good at tables.",
    "tasks": ["classification"],
    "input_types": ["tabular"],
    "data_processing": {"encode": {"type": "choice", "choices": ["one-hot", "ordinal"], "default": "ordinal"}},
    "architecture": {"depth": {"type": "int", "low": 1, "high": 12, "default": 6, "description": "of each tree"}},
    "hyperparameters": {
        "booster": {"type": "choice", "choices": ["gbtree", "dart"], "default": "gbtree"},
        "eta": {"type": "float", "low": 0.01, "high": 0.5, "log": True, "default": 0.3},
        "rate_drop": {"type": "float", "low": 0.0, "high": 0.5, "default": 0.1, "when": {"booster": ["dart"]}},
        "seed": {"type": "constant", "value": 7},
    },
    "hot": ["eta"],
    "trainable": "somewhere.trainers:train",
    "step": "10 rounds",
    "max_steps": 8,
}
REQUEST = {
    "metrics": ["accuracy", "log_loss"],
    "constraints": {"latency_ms": 20},
    "additional": "Prefer shallow trees.",
}


def full_brief(data=None, model=None, request=None):
    """A brief with both cards; arguments replace keys of the cards."""
    cards = parse_model_card({**MODEL_CARD, **(model or {})}), parse_data_card({**DATA_CARD, **(data or {})})
    return Brief.of(*cards, parse_request({**REQUEST, **(request or {})}))


def bare_brief(space=PLAIN, objective=MAXIMISE, max_steps=4):
    """A brief of a search space and nothing else."""
    return Brief(space, objective, max_steps)


def proposed(config, number=0, source="classical", version=0, log=None):
    return Proposal(f"{source}-{number}", config, f"a test of {source}", source, log, version)


def trial(number, config, values=(), state=TrialState.COMPLETED, failure=None, metric="accuracy", source="classical"):
    """A trial that reported `values` at steps 1, 2, ..., a second each."""
    seen = tuple(Observation(step, {metric: value}, float(step)) for step, value in enumerate(values, 1))
    return TrialRecord(f"t{number}", proposed(config, number, source), seen, state, failure)


def made_history(space, count=12, objective=MAXIMISE, seed=0, states=True, version=None):
    """A history of `count` trials of different configurations in every state, with NaN among the values."""
    rng, known, trials = np.random.default_rng(seed), set(), []
    kinds = list(TrialState) if states else [TrialState.COMPLETED]
    for _ in range(60 * count):
        config = space.sample(rng)
        if len(trials) == count or space.key(config) in known:
            continue
        known.add(space.key(config))
        number = len(trials)
        state = kinds[number % len(kinds)]
        values = [0.3 + 0.6 * float(rng.random()) for _ in range(4 if state is TrialState.COMPLETED else 2)]
        if number % 7 == 3:
            values[-1] = math.nan
        if state is TrialState.FAILED:
            values = []
        failure = "oom" if state is TrialState.FAILED else None
        source = ("classical", "local", "language")[number % 3]
        trials.append(trial(number, config, values, state, failure, objective.metric, source))
    return History(objective, tuple(trials), (), 100 + count if version is None else version, 0, 4)


def valid_item(config, brief, steps=(1, 2, 3, 4)):
    """One proposal of a reply in which `config` stands in the groups of `brief`."""
    groups = {group: {n: config.get(n) for n in names} for group, names in brief.groups.items()}
    for names in groups.values():
        for name in [n for n in names if n in brief.space and n not in brief.space.searched]:
            del names[name]
    log = [{"step": step, "value": 0.5, "low": 0.25, "high": 0.75} for step in steps]
    return {"reason": "to see", **groups, "predicted_log": log}


def gated_card(trainable, steps, gate, lr=0.02, **constants):
    """The Model Card of a trainable that waits while its file `gate` says so; values of a job file."""
    fixed = {"gate": str(gate), **constants}
    return {
        "name": "unhurried",
        "structure": "none",
        "tasks": ["classification"],
        "input_types": ["tabular"],
        "hyperparameters": {
            "lr": {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "default": lr},
            **{name: {"type": "constant", "value": value} for name, value in fixed.items()},
        },
        "trainable": trainable,
        "max_steps": steps,
    }
