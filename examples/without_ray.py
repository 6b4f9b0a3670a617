"""The loop without Ray: ask for a configuration, train it as you like, tell what came of it.

pip install automl-gpt-ray && python examples/without_ray.py
"""

import sys

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.parameters import ChoiceParameter, FloatParameter
from automl_gpt_ray.records import Objective
from automl_gpt_ray.space import SearchSpace

x, x_val, y, y_val = train_test_split(*load_digits(return_X_y=True), random_state=0)

space = SearchSpace(
    {
        "alpha": FloatParameter(low=1e-6, high=1e-1, log=True, default=1e-4),
        "loss": ChoiceParameter(choices=["hinge", "log_loss", "modified_huber"], default="hinge"),
    }
)
brief = Brief(space, Objective("accuracy", "max"), max_steps=5)
loop = AskTell(brief, assemble(brief))  # assemble(brief, OpenAIClient("gpt-5")) puts a model in charge
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
    trial = loop.ask()
    model = SGDClassifier(**trial.config, random_state=0)
    for step in range(1, brief.max_steps + 1):
        model.partial_fit(x, y, classes=range(10))
        loop.tell(trial.id, step, {"accuracy": model.score(x_val, y_val)})
    loop.end(trial.id)
    print(trial.id, trial.proposal.source, loop.history.trials[-1].value(brief.objective))
print("best:", dict(loop.history.best.config))
