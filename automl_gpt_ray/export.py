"""A trial as something to paste: YAML, JSON, `transformers.TrainingArguments`, parameters of XGBoost.

What is written as Python holds nothing but literals and names of ours: whatever a card or a model called something
stays a text in quotes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.journal import json_values
from automl_gpt_ray.outcome import best_step
from automl_gpt_ray.records import Config, TrialRecord
from automl_gpt_ray.report.story import Story, read_story
from automl_gpt_ray.training.network_defaults import DEFAULTS
from automl_gpt_ray.training.xgboost_names import DEFAULT_ROUNDS, PARAMETERS
from automl_gpt_ray.yaml_file import dump_yaml

Format = Literal["hf", "xgboost", "yaml", "json"]

# Ours -> that of `TrainingArguments`.
_ARGUMENTS = {
    "learning_rate": "learning_rate",
    "weight_decay": "weight_decay",
    "batch_size": "per_device_train_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "gradient_clip": "max_grad_norm",
    "label_smoothing": "label_smoothing_factor",
    "schedule": "lr_scheduler_type",
    "warmup": "warmup_steps",  # below 1 it is a share of all steps
    "optimizer": "optim",
}
_OPTIMISERS = {"adamw": "adamw_torch", "sgd": "sgd"}
# Other names of XGBoost's parameters, which somebody's own trainable may use.
_ALIASES = frozenset({"learning_rate", "reg_alpha", "reg_lambda", "min_split_loss"})
_ROUNDS = ("num_boost_round", "n_estimators")
_OWN, _OWN_XGBOOST = "automl_gpt_ray.training.", "automl_gpt_ray.training.tabular:"
# Of these trainers of tables `learning_rate` and `max_depth` are another library's.
_NO_NETWORKS = tuple(f"{_OWN}{name}:" for name in ("tabular", "lightgbm_trees", "sklearn_models"))


_UNCLIPPED = f"{_OWN}image_classification:"


@dataclass(frozen=True)
class Exported:
    """A trial at its best step.

    Attributes:
        number: Of the trial.
        trial: The trial.
        step: Its best step.
        config: What was in force at that step.
        story: Of its run.
    """

    number: int
    trial: TrialRecord
    step: int
    config: Config
    story: Story


def export(folder: str | Path, form: Format, trial: str | None = None) -> str:
    """Return a trial of a run as text to paste.

    Args:
        folder: The run folder.
        form: `hf` and `xgboost` are Python, `yaml` and `json` hold everything as data.
        trial: Its number or its id; by default the best.

    Raises:
        JobError: The folder holds no run, the run no such trial with a value, or the trial nothing of that form.
        JournalError: The journal cannot be read.
    """
    story = read_story(folder)
    found = _chosen(story, trial)
    step = best_step(found, story.objective)
    config = found.lineage.config(found.proposal.config, step)
    return _FORMS[form](Exported(story.numbers[found.id], found, step, config, story))


def _chosen(story: Story, trial: str | None) -> TrialRecord:
    if trial is None:
        found = story.best
    else:
        found = next((t for t in story.history.trials if trial in (t.id, str(story.numbers[t.id]))), None)
    if found is None or found.value(story.objective) is None:
        rule = "must be the number or id of a trial that reported a value"
        raise JobError("export", [Problem("--trial", rule, trial or "no trial", "see `automl-gpt-ray trials RUN_DIR`")])
    return found


def _told(it: Exported) -> dict[str, Any]:
    tested = it.story.book.tested
    seen = next(o.metrics for o in it.trial.observations if o.step == it.step)
    return {
        "run": it.story.name,
        "trial": it.number,
        "id": it.trial.id,
        "source": it.trial.proposal.source,
        "metric": it.story.objective.metric,
        "mode": it.story.objective.mode,
        "step": it.step,
        "of_steps": it.story.history.max_step,
        "seed": it.story.started.seed,
        "config": dict(it.config),
        "validation": dict(seen),
        "test": dict(tested.metrics) if tested and tested.trial == it.trial.id else None,
    }


def _json(it: Exported) -> str:
    return json.dumps(json_values(_told(it), str), indent=2, ensure_ascii=False) + "\n"


def _yaml(it: Exported) -> str:
    return dump_yaml(json_values(_told(it), str))


def _hf(it: Exported) -> str:
    if "learning_rate" not in it.config or _trainable(it).startswith(_NO_NETWORKS):
        _refuse("hf", "a network's `learning_rate`", it)
    arguments = _training_arguments(it)
    epochs = float(it.config.get("epochs_per_step") or 1) * it.story.history.max_step
    arguments |= {"num_train_epochs": epochs, "seed": it.story.started.seed}
    others = {name: value for name, value in it.config.items() if name not in _ARGUMENTS}
    return "\n".join(
        [
            *_heading(it),
            f"# The best value came at step {it.step} of {it.story.history.max_step}, on a schedule for all of them:",
            "# keep the checkpoint from there (`load_best_model_at_end`).",
            "from transformers import TrainingArguments",
            "",
            "training_arguments = TrainingArguments(",
            '    output_dir="best-trial",',
            *(f"    {name}={value!r}," for name, value in arguments.items()),
            ")",
            "# What TrainingArguments does not hold: the model, its dropout, how the data is processed; and the",
            "# momentum of `sgd`, which is 0 there: pass an optimiser to the Trainer.",
            *_assigned("others", others),
        ]
    )


def _training_arguments(it: Exported) -> dict[str, Any]:
    """Return what TrainingArguments holds of a trial, our defaults where ours trained it: transformers has others."""
    ours = _trainable(it).startswith(_OWN)
    config = {**(DEFAULTS if ours else {}), **it.config}
    found = {_ARGUMENTS[name]: value for name, value in config.items() if name in _ARGUMENTS}
    if "optim" in found:
        found["optim"] = _OPTIMISERS.get(str(found["optim"]), found["optim"])
    if found.get("lr_scheduler_type") == "constant" and found.get("warmup_steps"):
        found["lr_scheduler_type"] = "constant_with_warmup"  # the plain one ignores the warm-up
    if _trainable(it).startswith(_UNCLIPPED):
        found["max_grad_norm"] = 0.0
    return found


def _xgboost(it: Exported) -> str:
    names = PARAMETERS | _ALIASES
    parameters = {name: value for name, value in it.config.items() if name in names}
    another = _trainable(it).startswith(_OWN) and not _trainable(it).startswith(_OWN_XGBOOST)
    if another or not {"eta", "max_depth", "learning_rate"} & set(parameters):
        _refuse("xgboost", "parameters of XGBoost", it)
    others = {n: v for n, v in it.config.items() if n not in names and n not in (*_ROUNDS, "rounds_per_step")}
    return "\n".join(
        [
            *_heading(it),
            "# booster = xgboost.train(params, xgboost.DMatrix(features, label), num_boost_round)",
            *_scaled(it),
            *_assigned("params", {**_objective(it.story.brief), "tree_method": "hist", **parameters}),
            f"num_boost_round = {_rounds(it)}",
            "# What XGBoost does not hold: how the data is processed.",
            *_assigned("others", others),
        ]
    )


def _scaled(it: Exported) -> list[str]:
    data = it.story.brief.data if it.story.brief else None
    ours = _trainable(it).startswith(_OWN_XGBOOST) and data is not None and data.task == "regression"
    return ["# label: the targets less their mean, divided by their standard deviation."] if ours else []


def _rounds(it: Exported) -> int:
    whole = {name: value for name, value in it.config.items() if isinstance(value, int)}
    for name in _ROUNDS:
        if name in whole:
            return whole[name]
    ours = _trainable(it).startswith(_OWN)
    return it.step * whole.get("rounds_per_step", DEFAULT_ROUNDS if ours else 1)


def _trainable(it: Exported) -> str:
    """Return what the Model Card names; empty without a card."""
    return it.story.brief.model.trainable if it.story.brief and it.story.brief.model else ""


def _objective(brief: Brief | None) -> dict[str, Any]:
    if brief is None or brief.data is None:
        return {}
    classes = len(brief.data.label_space.classes)
    if brief.data.task == "regression":
        return {"objective": "reg:squarederror"}
    return {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": classes}


def _heading(it: Exported) -> list[str]:
    value = it.trial.value(it.story.objective)
    told = (
        f"Trial {it.number} of {it.story.name}, by {it.trial.proposal.source}: {it.story.objective.metric} {value:.6g}"
    )
    revised = (
        ["# It was revised as it trained; these values were in force at its best step."]
        if it.trial.lineage.applied
        else []
    )
    # A name may hold a line break, and what follows one would be code.
    return [f"# {_one_line(told)}", *revised]


def _assigned(name: str, values: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {{", *(f"    {key!r}: {value!r}," for key, value in values.items()), "}"]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _refuse(form: str, lacks: str, it: Exported) -> None:
    got = ", ".join(it.config) or "nothing"
    remedy = "choose another --format: yaml and json hold any trial"
    raise JobError("export", [Problem("--format", f"`{form}` needs {lacks} in the configuration", got, remedy)])


_FORMS: Mapping[str, Callable[[Exported], str]] = {"hf": _hf, "xgboost": _xgboost, "yaml": _yaml, "json": _json}
