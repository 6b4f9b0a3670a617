"""The loop without Ray: ask, tell, end, and go on after an interruption."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_runs import MINIMISE, PLAIN, TINY, bare_brief

from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.local import LocalAdvisor
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.asktell import AskTell
from automl_gpt_ray.book import Book
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.records import TrialState

BRIEF = bare_brief(PLAIN, MINIMISE)


def team(space=PLAIN):
    return Mixture({"classical": ClassicalAdvisor(space), "local": LocalAdvisor(space)})


def quadratic(config):
    return (math.log10(config["eta"]) + 2) ** 2 + ((config["depth"] - 9) / 6) ** 2


def train(loop, count):
    while len(loop.history.trials) < count:
        trial = loop.ask()
        value = quadratic(trial.config)
        for step in range(1, 5):
            loop.tell(trial.id, step, {"log_loss": value + 1.0 / step - 0.25}, seconds=0.1 * step)
        loop.end(trial.id)


def test_forty_trials_find_the_bottom_of_a_bowl(tmp_path):
    book = Book(Journal(tmp_path / "j"))
    loop = AskTell(BRIEF, team(), book, seed=3)
    train(loop, 40)
    history = loop.history
    assert [t.id for t in history.trials] == [f"t{i}" for i in range(1, 41)]
    assert history.trials[0].config == PLAIN.default
    assert history.best.value(MINIMISE) < 0.05 < 0.9 < quadratic(PLAIN.default)
    assert len({PLAIN.key(t.config) for t in history.trials}) == 40
    assert {t.proposal.source for t in history.trials} == {"default", "classical", "local"}
    assert all(t.state is TrialState.COMPLETED and t.last_step == 4 for t in history.trials)
    book.close()
    assert Book(Journal(tmp_path / "j")).history() == history


def test_it_goes_on_from_the_journal(tmp_path):
    whole = AskTell(BRIEF, team())
    train(whole, 12)
    first = AskTell(BRIEF, team(), Book(Journal(tmp_path / "j")))
    train(first, 7)
    left = first.ask()  # the driver dies here, one trial half way
    first.tell(left.id, 1, {"log_loss": 1.0})
    first.book.close()
    second = AskTell(BRIEF, team(), Book(Journal(tmp_path / "j")))
    assert second.history == first.history
    assert second.book.started.seed == 0
    for step in range(1, 5):
        second.tell(left.id, step, {"log_loss": quadratic(left.config) + 1.0 / step - 0.25}, seconds=0.1 * step)
    second.end(left.id)
    train(second, 12)
    assert [t.config for t in second.history.trials[:8]] == [t.config for t in whole.history.trials[:8]]
    assert len(second.history.trials) == 12
    second.book.close()
    seqs = [e.seq for e in read_journal(tmp_path / "j")]
    assert seqs == list(range(1, len(seqs) + 1))


def test_states_and_failures():
    loop = AskTell(BRIEF, team())
    for arguments, state in (({}, "completed"), ({"stopped": True}, "stopped"), ({"failure": "oom"}, "failed")):
        trial = loop.ask()
        loop.end(trial.id, **arguments)
        assert loop.history.trials[-1].state == state
    assert loop.history.trials[-1].failure == "oom"
    assert loop.history.best is None


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1), np.array(0.5), 1, True])
def test_numbers_of_any_library_can_be_told(tmp_path, value):
    loop = AskTell(BRIEF, team(), Book(Journal(tmp_path / "j")))
    trial = loop.ask()
    loop.tell(trial.id, 1, {"log_loss": value})
    loop.book.close()
    (_, told) = read_journal(tmp_path / "j")[-1].event.observation.metrics, loop.history.trials[0]
    assert type(told.observations[0].metrics["log_loss"]) is float
    assert Book(Journal(tmp_path / "j")).history() == loop.history


def test_nan_is_told_as_nan():
    loop = AskTell(BRIEF, team())
    trial = loop.ask()
    loop.tell(trial.id, 1, {"log_loss": math.nan})
    assert math.isnan(loop.history.trials[0].observations[0].metrics["log_loss"])
    assert loop.history.best is None


def test_an_exhausted_space_is_an_advice_error():
    for advisor in (team(TINY), ClassicalAdvisor(TINY)):
        loop = AskTell(bare_brief(TINY), advisor)

        def seven_more(loop=loop):
            for _ in range(7):
                trial = loop.ask()
                loop.tell(trial.id, 1, {"accuracy": 0.5})
                loop.end(trial.id)

        with pytest.raises(AdviceError, match="nothing"):
            seven_more()
        assert 3 <= len(loop.history.trials) <= 6


def test_steps_of_any_library_are_whole_numbers_from_one(tmp_path):
    loop = AskTell(BRIEF, team(), Book(Journal(tmp_path / "j")))
    trial = loop.ask()
    for step in np.arange(1, 3):
        loop.tell(trial.id, step, {"log_loss": 0.5})
    loop.tell(trial.id, 3.0, {"log_loss": 0.5})
    for step in (0, 1.5, math.nan):
        with pytest.raises(ValueError, match="whole number from 1"):
            loop.tell(trial.id, step, {"log_loss": 0.5})
    loop.book.close()
    assert [o.step for o in loop.history.trials[0].observations] == [1, 2, 3]
    for word in (lambda: loop.tell("ghost", 1, {"log_loss": 0.5}), lambda: loop.end("ghost")):
        with pytest.raises(ValueError, match="'ghost'"):
            word()


def test_seconds_are_measured_where_they_are_not_given():
    loop = AskTell(BRIEF, team())
    trial = loop.ask()
    loop.tell(trial.id, 1, {"log_loss": 0.5})
    assert 0 <= loop.history.trials[0].seconds < 60
