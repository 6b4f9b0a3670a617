"""Recalling: which earlier runs are told to a new one, and what of them."""

from __future__ import annotations

from collections.abc import Sequence

from automl_gpt_ray.brief import Brief
from automl_gpt_ray.cards import DataCard
from automl_gpt_ray.experience.run_record import Experience
from automl_gpt_ray.experience.similarity import Encoder, TextModel, TfIdf, similarities
from automl_gpt_ray.experience.store import ExperienceStore
from automl_gpt_ray.experience_options import ExperienceOptions
from automl_gpt_ray.recollection import RecalledRun, RecalledSetting, Recollection
from automl_gpt_ray.records import TrialRecord

LEAST = 0.05
"""Data sets less alike than this are not recalled."""

SETTINGS = 3
"""Best settings of a run that are recalled."""

POINTS = 5
MAX_DESCRIPTION, MAX_PROBLEMS = 400, 5


def recall(store: ExperienceStore, brief: Brief, options: ExperienceOptions) -> Recollection:
    """Return what the store holds on data like the brief's; equal stores give an equal answer.

    Raises:
        ExperienceError: The store cannot be read.
    """
    runs, problems = store.all()
    encoder: Encoder = TextModel(options.encoder) if options.encoder else TfIdf()
    found = most_similar(brief, runs, options.recall, encoder)
    return Recollection(found, options.seeds, store.place, len(runs), tuple(problems[:MAX_PROBLEMS]))


def most_similar(brief: Brief, runs: Sequence[Experience], count: int, encoder: Encoder) -> tuple[RecalledRun, ...]:
    """Return the `count` runs on the most similar data, most similar first.

    Of one data set and model, the run that reached most; before others as alike, one of the brief's own model.

    Args:
        brief: What is to be tuned.
        runs: Of the store.
        count: Most that come back.
        encoder: Of the cards' texts.
    """
    if brief.data is None:
        return ()
    useful = [run for run in runs if run.best]
    alike = similarities(brief.data, [run.data for run in useful], encoder)
    known: dict[tuple[str, str, str], tuple[float, Experience]] = {}
    for similarity, run in zip(alike, useful, strict=True):
        key = (run.data.name, run.model.name, run.brief.objective.metric)
        if similarity >= LEAST and (key not in known or _better(run, known[key][1])):
            known[key] = (similarity, run)
    own = brief.model.name if brief.model else ""

    def rank(found: tuple[float, Experience]) -> tuple[float, bool, bool, str]:
        similarity, run = found
        other_metric = run.brief.objective.metric != brief.objective.metric
        return (-round(similarity, 6), run.model.name != own, other_metric, run.run)

    return tuple(_recalled(run, alike) for alike, run in sorted(known.values(), key=rank)[:count])


def _better(run: Experience, other: Experience) -> bool:
    return run.brief.objective.better(run.best[0][0], other.best[0][0])


def _recalled(run: Experience, similarity: float) -> RecalledRun:
    objective, data = run.brief.objective, run.data
    default = next((t.value(objective) for t in run.trials if t.proposal.source == "default"), None)
    settings = tuple(RecalledSetting(dict(t.config), value, _curve(t, objective.metric)) for value, t in run.best)
    return RecalledRun(
        run=run.run,
        data=data.name,
        description=_about(data),
        model=run.model.name,
        similarity=round(similarity, 4),
        metric=objective.metric,
        mode=objective.mode,
        max_step=run.brief.max_steps,
        trials=len(run.trials),
        default=default,
        settings=settings[:SETTINGS],
    )


def _about(data: DataCard) -> str:
    return " ".join(data.description.split())[:MAX_DESCRIPTION]


def _curve(trial: TrialRecord, metric: str) -> tuple[tuple[int, float], ...]:
    curve = [(step, value) for step, value in trial.curve(metric) if value == value]
    if len(curve) <= POINTS:
        return tuple(curve)
    return tuple(curve[round(i * (len(curve) - 1) / (POINTS - 1))] for i in range(POINTS))
