"""An advisor of your own beside Optuna: anything with a method `propose`. It earns its share of the trials.

pip install automl-gpt-ray && python examples/own_advisor.py
"""

import sys

from ray import tune

from automl_gpt_ray.advisors.advisor import proposal, taken
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.cards import parse_model_card
from automl_gpt_ray.ray_tune.searcher import LLMSearch

CARD = parse_model_card(
    {
        "name": "bowl",
        "structure": "a function with one minimum",
        "tasks": ["regression"],
        "input_types": ["tabular"],
        "trainable": "own_advisor:train",
        "max_steps": 5,
        "hyperparameters": {
            "x": {"type": "float", "low": -1, "high": 1, "default": 0.9},
            "y": {"type": "float", "low": -1, "high": 1, "default": 0.9},
        },
    }
)


def train(config):
    for step in range(1, 6):
        tune.report({"loss": (config["x"] - 0.3) ** 2 + (config["y"] + 0.1) ** 2 + 1 / step})


class Halfway:
    """Proposes the middle between the two best trials so far."""

    def propose(self, history, n):
        losses = [(trial.value(history.objective), trial) for trial in history.trials]
        ranked = sorted((pair for pair in losses if pair[0] is not None), key=lambda pair: pair[0])
        if len(ranked) < 2:
            return []  # no idea yet: the others are asked
        (_, first), (_, second) = ranked[:2]
        middle = {name: (first.config[name] + second.config[name]) / 2 for name in first.config}
        if CARD.space.key(middle) in taken(history):
            return []
        return [proposal("halfway", history, 0, middle, f"between {first.id} and {second.id}")]


team = Mixture({"classical": ClassicalAdvisor(CARD.space), "halfway": Halfway()})
search = LLMSearch(model_card=CARD, mixture=team, metric="loss", mode="min")
tuner = tune.Tuner(
    train,
    tune_config=tune.TuneConfig(
        metric="loss",
        mode="min",
        num_samples=int(sys.argv[1]) if len(sys.argv) > 1 else 20,
        search_alg=search,
    ),
)
best = tuner.fit().get_best_result()
print(best.config, best.metrics["loss"])
for trial in search.book.history().trials:
    print(trial.id, trial.proposal.source, trial.proposal.reason)
