"""A Ray Tune script as you may have one, with another searcher and another scheduler: two lines more.

pip install automl-gpt-ray && python examples/ray_tune_script.py
"""

import sys
import tempfile
from pathlib import Path

import joblib
from ray import tune
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.ray_tune.searcher import LLMSearch


def train(config):
    """An ordinary Tune function: it reports, saves a checkpoint with each report, and goes on from one."""
    x, x_val, y, y_val = train_test_split(*load_digits(return_X_y=True), random_state=0)
    model, first = MLPClassifier((config["width"],), learning_rate_init=config["lr"], batch_size=32), 1
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            model, first = joblib.load(Path(folder) / "model.joblib")
    for epoch in range(first, 11):
        model.partial_fit(x / 16, y, classes=range(10))
        with tempfile.TemporaryDirectory() as folder:
            joblib.dump((model, epoch + 1), Path(folder) / "model.joblib")
            score = {"accuracy": model.score(x_val / 16, y_val)}
            tune.report(score, checkpoint=tune.Checkpoint.from_directory(folder))


trials = int(sys.argv[1]) if len(sys.argv) > 1 else 20
# LLMSearch(OpenAIClient("gpt-5"), ...) puts a language model in charge; without one: Optuna and local moves.
search = LLMSearch(default={"lr": 1e-3, "width": 32}, max_steps=10)
tuner = tune.Tuner(
    train,
    param_space={"lr": tune.loguniform(1e-5, 1e-1), "width": tune.randint(8, 129)},
    tune_config=tune.TuneConfig(
        metric="accuracy", mode="max", num_samples=trials, search_alg=search, scheduler=ReviewScheduler(search)
    ),
)
best = tuner.fit().get_best_result(scope="all")
print(best.config, max(best.metrics_dataframe["accuracy"]))
