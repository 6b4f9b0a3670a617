"""The trainer of texts, noting in each worker what a step was trained with and the weights it came to."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

from automl_gpt_ray.training import fine_tuning, loop, ranks, text_classification


def train(config, task):
    loop.learn(learn, config, task)


def learn(config, task, report, resume_from=None):
    notes = Path(task.data.load.path).with_name(f"worker-{0 if ranks.first() else 1}.jsonl")
    teach, models = fine_tuning.teach, []

    def watched(lesson, *rest):
        models.append(lesson.model)
        teach(lesson, *rest)

    def told(metrics, folder):
        weights = [float(parameter.detach().double().sum()) for parameter in models[0].parameters()]
        note = {"step": metrics["step"], "rate": config["learning_rate"], "of": ranks.count(), "weights": weights}
        with notes.open("a") as file:
            file.write(json.dumps(note) + "\n")
        report(metrics, folder)

    with patch.object(fine_tuning, "teach", watched):
        text_classification.learn(config, task, told, resume_from)
