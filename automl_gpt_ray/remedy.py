"""Remedies: what deterministic rules revise about a trial that goes wrong, without a language model.

One rule, for the commonest mistake: a learning rate that is far too high. A trial diverges where its objective or
its training loss is not finite, or where both have become much worse than they were; it is stuck where its loss
stays as it is and it is no better than a guess, or far worse than predicted or than its peers. Its learning rate is
then lowered as far as is allowed at once, and it goes back to before the damage. Nothing is revised on a plateau: a
schedule or a pause serves that better. Pure.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import FloatParameter
from automl_gpt_ray.records import Config, History, Scalar, TrialRecord
from automl_gpt_ray.revision import RevisionRule, bounded
from automl_gpt_ray.space import SearchSpace

RATES = ("learning_rate", "lr", "eta", "learning_rate_init")
"""What learning rates are called; also at the end of a longer name (`backbone_learning_rate`)."""
LOSSES = ("train_loss", "train_log_loss", "train_rmse", "loss")
"""Metrics that fall as a trial learns, first that which is best known."""
BLOWN = 2.0
"""A loss that has become so many times its least has blown up."""
LEARNED = 0.02
"""A loss that has fallen by a smaller share has taught the trial nothing."""
PEERS = 3
"""Other trials at the same step that a comparison needs."""
GUESSED = 0.25
"""A value that is by this share better than a guess is none."""
PATIENCE = 3
"""Steps without learning that are enough."""


@dataclass(frozen=True)
class Remedy:
    """What a rule wants revised.

    Attributes:
        changes: Hyperparameter to its new value.
        reason: Why, in a sentence.
        back_to: Step of the checkpoint to go on from; 0 begins anew.
    """

    changes: Config
    reason: str
    back_to: int


def guess_of(brief: Brief) -> float | None:
    """Return what the objective is for who knows nothing but how frequent the classes are; None where unknown."""
    data, metric = brief.data, brief.objective.metric
    classes = len(data.label_space.classes) if data is not None and data.task == "classification" else 0
    if data is None or classes < 2:
        return None
    most = max((data.label_balance or {}).values(), default=1.0 / classes)
    known = {"accuracy": most, "balanced_accuracy": 1.0 / classes, "log_loss": math.log(classes)}
    return known.get(metric)


def remedy(
    trial: TrialRecord, history: History, space: SearchSpace, rule: RevisionRule, guess: float | None = None
) -> Remedy | None:
    """Return what to revise about `trial`, None where nothing is wrong with it or nothing can be done.

    Args:
        trial: Has reported at least once.
        history: With its peers.
        space: The search space.
        rule: What may be changed, and how far.
        guess: See `guess_of`.
    """
    changes = _lower_rates(trial.config, space, rule)
    reason = fault_of(trial, history, guess)
    if not changes or not reason:
        return None
    told = ", ".join(f"{name} {trial.config[name]:.4g} -> {value:.4g}" for name, value in changes.items())
    return Remedy(changes, f"{reason}: {told}", sound_step(trial, history))


def fault_of(trial: TrialRecord, history: History, guess: float | None = None) -> str:
    """Return why `trial` counts as one that diverges or learns nothing; an empty string where it does not."""
    return _diverged(trial, history) or _stuck(trial, history, guess)


def sound_step(trial: TrialRecord, history: History) -> int:
    """Return the last step before the damage: that of the best value if the trial had learned by then, else 0."""
    best = trial.value(history.objective)
    values = [(s, v) for s, v in trial.curve(history.objective.metric) if math.isfinite(v)]
    if best is None or len(values) < 2 or not _diverged(trial, history):
        return 0  # what is stuck has never learned
    step = next(s for s, v in values if v == best)
    # What was never better than at first was damaged from the first.
    return 0 if step == values[0][0] else step


def _lower_rates(config: Config, space: SearchSpace, rule: RevisionRule) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, value in config.items():
        parameter = space.parameters.get(name)
        rate = name.split("/")[-1] in RATES or name.endswith(("_learning_rate", "_lr"))
        if rate and name in rule.hot and isinstance(parameter, FloatParameter) and isinstance(value, int | float):
            lowest = bounded(name, parameter.low, space, rule, config)
            if isinstance(lowest, int | float) and lowest < value:
                found[name] = lowest
    return found


def _diverged(trial: TrialRecord, history: History) -> str:
    values, losses = trial.curve(history.objective.metric), _losses(trial)
    name, curve = losses
    if values and not math.isfinite(values[-1][1]):
        return f"{history.objective.metric} is {values[-1][1]}"
    if curve and not math.isfinite(curve[-1]):
        return f"{name} is {curve[-1]}"
    best, last = trial.value(history.objective), values[-1][1] if values else None
    if len(curve) < 2 or last is None or not history.objective.better(best, last):
        return ""
    least = min(v for v in curve if math.isfinite(v))
    rising = curve[-1] > curve[-2] and curve[-1] > BLOWN * max(least, 0.0) and curve[-1] > least
    return f"{name} has risen from {least:.4g} to {curve[-1]:.4g}" if rising else ""


def _stuck(trial: TrialRecord, history: History, guess: float | None) -> str:
    """Return why a trial counts as one that learns nothing, though it could."""
    name, curve = _losses(trial)
    value = dict(trial.curve(history.objective.metric)).get(trial.last_step)
    if len(curve) < PATIENCE or not all(map(math.isfinite, curve)) or value is None:
        return ""
    # The first epoch of a rate that is too high may be very bad: what counts is whether it learns since.
    learned = (curve[-PATIENCE + 1] - curve[-1]) / max(abs(curve[-PATIENCE + 1]), 1e-12)
    worse = _behind(trial, history, guess, value)
    if learned > LEARNED or not worse:
        return ""
    return f"{name} stays at {curve[-1]:.4g}, and {history.objective.metric} {value:.4g} is {worse}"


def _behind(trial: TrialRecord, history: History, guess: float | None, value: float) -> str:
    """Return what `value` is far worse than: a guess, what was predicted, or the peers at this step."""
    objective, step = history.objective, trial.last_step
    if guess is not None and not objective.better(value, guess + objective.sign * GUESSED * abs(guess)):
        return f"no better than a guess ({guess:.4g})"
    log = trial.proposal.predicted_log
    if log is not None and log.metric == objective.metric:
        point = log.at(step)
        floor = point.low if objective.mode == "max" else point.high
        if objective.better(floor, value):
            return f"worse than the {floor:.4g} predicted at worst"
    peers = [dict(t.curve(objective.metric)).get(step) for t in history.trials if t.id != trial.id]
    known = [v for v in peers if v is not None and math.isfinite(v)]
    if len(known) < PEERS:
        return ""
    middle, spread = statistics.median(known), max(known) - min(known)
    far = objective.better(middle, value) and abs(middle - value) >= spread / 2
    return f"far from its peers' {middle:.4g}" if far else ""


def _losses(trial: TrialRecord) -> tuple[str, list[float]]:
    for name in LOSSES:
        curve = [value for _, value in trial.curve(name)]
        if curve:
            return name, curve
    return "", []
