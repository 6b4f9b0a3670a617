"""`automl-gpt-ray experience adopt`: what others searched before, taken into the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from automl_gpt_ray.errors import JobError, Problem
from automl_gpt_ray.experience_command import app, store_at

__all__ = ["adopt", "app"]

Card = Annotated[Path, typer.Option(help="What the data was, or what was tuned: a YAML file.", show_default=False)]


@app.command()
def adopt(
    source: Annotated[
        str, typer.Argument(help="Folder of a Tune experiment, or an Optuna storage (sqlite:///…).", show_default=False)
    ],
    data_card: Card,
    model_card: Card,
    study: Annotated[str | None, typer.Option(help="Name of the Optuna study, where the storage has several.")] = None,
    metric: Annotated[str | None, typer.Option(help="What was optimised; default: the Data Card's metric.")] = None,
    mode: Annotated[str | None, typer.Option(help="max or min, for a metric of your own.")] = None,
    store: Annotated[str | None, typer.Option(help="Folder or URI of the store, as for `import`.")] = None,
) -> None:
    """Take an Optuna study or a Ray Tune experiment into the store, as experience for later runs."""
    from automl_gpt_ray.brief import Brief
    from automl_gpt_ray.cards import load_data_card, load_model_card, parse_request
    from automl_gpt_ray.experience.adopting import of_experiment, of_study

    wanted: Any = {"name": metric, "mode": mode} if metric and mode else metric
    request = parse_request({"metrics": [wanted]} if wanted else {})
    brief = Brief.of(load_model_card(model_card), load_data_card(data_card), request)
    if Path(source).expanduser().is_dir():
        found, left = of_experiment(source, brief)
    else:
        from automl_gpt_ray.advisors.classical import stored_study

        try:
            found, left = of_study(stored_study(source, study), brief)
        except (KeyError, ValueError, OSError, ImportError) as error:
            rule = "must be the folder of a Tune experiment, or an Optuna storage with that study"
            remedy = "name it as Optuna does: sqlite:///study.db"
            raise JobError("experience adopt", [Problem("SOURCE", rule, f"{source} ({error})", remedy)]) from None
    target = store_at(store)
    target.append(found)
    for line in left:
        sys.stderr.write(f"left out: {line}\n")
    sys.stdout.write(f"{found.run}: {len(found.trials)} trials taken into {target.place}\n")
