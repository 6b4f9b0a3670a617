"""Your own training: an ordinary Ray Tune function, and (if you like) `evaluate` for test data.

A second parameter `task` is given the Data Card, the objective and the seed. `live` lets a running trial be revised
(`hot` in the Model Card); leave it out, and `config` is all there is.
"""

import tempfile
from pathlib import Path

import joblib
from ray import tune
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from automl_gpt_ray.live import live


def split(seed):
    x, x_test, y, y_test = train_test_split(*load_digits(return_X_y=True), test_size=0.2, random_state=seed)
    return train_test_split(x / 16, y, test_size=0.2, random_state=seed), (x_test / 16, y_test)


def train(config, task):
    (x, x_val, y, y_val), _ = split(task.seed)
    hp = live(config)
    model, first = MLPClassifier((config["width"],), batch_size=32, random_state=task.seed), 1
    if checkpoint := hp.checkpoint():
        with checkpoint.as_directory() as folder:
            model, first = joblib.load(Path(folder) / "model.joblib")
    for epoch in range(first, task.max_steps + 1):
        model.set_params(learning_rate_init=hp["lr"], alpha=hp["alpha"])
        model.partial_fit(x, y, classes=range(10))
        with tempfile.TemporaryDirectory() as folder:
            joblib.dump((model, epoch + 1), Path(folder) / "model.joblib")
            report = {"step": epoch, "train_loss": model.loss_, **scores(model, x_val, y_val)}
            tune.report(report, checkpoint=tune.Checkpoint.from_directory(folder))


def evaluate(config, task, checkpoint_dir):
    """Score the best checkpoint on test data; called once, after the search."""
    model, _ = joblib.load(checkpoint_dir / "model.joblib")
    return scores(model, *split(task.seed)[1])


def scores(model, x, y):
    return {"accuracy": model.score(x, y), "log_loss": log_loss(y, model.predict_proba(x), labels=range(10))}
