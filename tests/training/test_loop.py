import pytest

from automl_gpt_ray.training.tabular import evaluate, train
from training.small import task_of


@pytest.mark.ray
def test_a_ray_tune_trial_reports_every_step_and_goes_on_from_its_checkpoint(local_ray, table_card, tmp_path):
    from ray import tune

    short, whole = task_of(table_card, max_steps=2), task_of(table_card, max_steps=4)
    config = {"rounds_per_step": 2, "subsample": 0.7}

    def interrupted(config):
        # The first attempt dies after two steps; Ray restarts the trial from its checkpoint.
        if tune.get_checkpoint() is None:
            train(config, short)
            raise RuntimeError("killed")
        train(config, whole)

    tuner = tune.Tuner(
        interrupted,
        param_space=config,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), verbose=0, failure_config=tune.FailureConfig(max_failures=1)
        ),
    )
    result = tuner.fit()[0]
    assert result.error is None
    assert result.metrics["step"] == 4
    assert result.metrics_dataframe["step"].tolist() == [1, 2, 3, 4]
    with result.checkpoint.as_directory() as folder:
        assert evaluate(config, whole, folder, "validation")["accuracy"] == result.metrics["accuracy"]


@pytest.mark.ray
def test_a_transformer_does_the_same(local_ray, tmp_path):
    from ray import tune

    from automl_gpt_ray.training.text_classification import evaluate, train
    from training.test_text_classification import TINY, sentences, text_card

    card = text_card(tmp_path, sentences())
    short, whole = task_of(card, max_steps=1), task_of(card, max_steps=3)

    def interrupted(config):
        if tune.get_checkpoint() is None:
            train(config, short)
            raise RuntimeError("killed")
        train(config, whole)

    run = tune.RunConfig(storage_path=str(tmp_path), verbose=0, failure_config=tune.FailureConfig(max_failures=1))
    result = tune.Tuner(interrupted, param_space=TINY, run_config=run).fit()[0]
    assert result.error is None
    assert result.metrics_dataframe["step"].tolist() == [1, 2, 3]
    with result.checkpoint.as_directory() as folder:
        assert evaluate(TINY, whole, folder, "validation")["accuracy"] == result.metrics["accuracy"]
