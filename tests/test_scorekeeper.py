"""The scorekeeper: the same ledger from a run and from its journal, and a gate that opens when it should."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import MAXIMISE, PLAIN, proposed

from automl_gpt_ray.book import Book
from automl_gpt_ray.events import ForecastMade, ResultReported, RunStarted, TrialStarted
from automl_gpt_ray.journal import Journal, read_journal
from automl_gpt_ray.records import LogPoint, Observation, PredictedLog
from automl_gpt_ray.scorekeeper import Scorekeeper

STEPS = 8


def curve(number):
    rng = np.random.default_rng(number)
    top, rate = 0.6 + 0.3 * rng.random(), 0.2 + 0.4 * rng.random()
    return [float(top * (1 - np.exp(-rate * step))) for step in range(1, STEPS + 1)]


def log(values, source, width=0.01):
    points = (LogPoint(s, v, v - width, v + width) for s, v in enumerate(values, 1) if s in (4, 8))
    return PredictedLog("accuracy", tuple(points), source)


def play(book, trials, forecast):
    """Each trial is forecast after its second step, and by its proposer before the first."""
    book.record(RunStarted("accuracy", "max", STEPS, 0, PLAIN.default))
    for number in range(trials):
        values = curve(number)
        config = {**PLAIN.default, "eta": 0.01 + number / 1000}
        made = proposed(config, number, "language", log=log([0.5] * STEPS, "language", 0.3))
        book.record(TrialStarted(f"t{number}", made))
        for step, value in enumerate(values, 1):
            book.record(ResultReported(f"t{number}", Observation(step, {"accuracy": value}, float(step))))
            if step == 2:
                book.record(ForecastMade(f"t{number}", 2, log(forecast(number), "gp")))


def test_a_run_and_its_journal_give_the_same_scores(tmp_path):
    keeper = Scorekeeper(MAXIMISE, STEPS)
    book = Book(Journal(tmp_path / "journal.jsonl"), also=keeper.note)
    play(book, 12, curve)
    live = keeper.scores()
    book.close()
    events = [entry.event for entry in read_journal(tmp_path / "journal.jsonl")]
    assert Scorekeeper.of(events, MAXIMISE, STEPS).scores() == live
    again = Scorekeeper(MAXIMISE, STEPS)
    Book(Journal(tmp_path / "journal.jsonl"), also=again.note)
    assert again.scores() == live
    assert {score.source for score in live} == {"gp", "language"}


@pytest.mark.parametrize(("forecast", "opens"), [(curve, True), (lambda number: [0.1] * STEPS, False)])
def test_who_knows_what_comes_may_stop_and_who_does_not_may_not(forecast, opens):
    keeper = Scorekeeper(MAXIMISE, STEPS)
    play(Book(also=keeper.note), 12, forecast)
    assert keeper.may_stop("gp") is opens
    assert not keeper.may_stop("language")  # it said nothing after a trial had begun
    assert keeper.gates()["gp"].open is opens
    assert not keeper.may_stop("nobody")
