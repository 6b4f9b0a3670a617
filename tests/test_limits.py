"""Limits: feasible goes first, what is not measured stands between, and everybody who chooses is told."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from small_runs import MAXIMISE, PLAIN, full_brief

from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.local import best_trials
from automl_gpt_ray.advisors.recipe import rebuild, recipe_of
from automl_gpt_ray.advisors.trust import accounts
from automl_gpt_ray.book import Book
from automl_gpt_ray.cards import parse_request
from automl_gpt_ray.errors import CardError
from automl_gpt_ray.events import ResultReported, RunStarted, TrialEnded, TrialStarted
from automl_gpt_ray.limits import BROKEN, UNKNOWN, WITHIN, Limit, Limits, measured, ranked
from automl_gpt_ray.outcome import summarise
from automl_gpt_ray.pareto import MOST, check_limits, pareto_front
from automl_gpt_ray.prompts.history_text import history_lines
from automl_gpt_ray.records import History, Observation, Proposal, TrialRecord, TrialState

SMALL = Limits((Limit("size", high=10.0),))
REQUEST = {"metrics": ["accuracy"], "constraints": {"metrics": {"size": {"max": 10}}}}


def trial(number, value, config=None, state=TrialState.COMPLETED, **more):
    """A trial that reported `value` at step 2, after less at step 1, with `more` beside it."""
    metrics = {name: cost for name, cost in more.items() if cost is not None}
    seen = (
        Observation(1, {"accuracy": value - 1, **metrics}, 1.0),
        Observation(2, {"accuracy": value, **metrics}, 2.0),
    )
    made = Proposal(f"p{number}", config or {**PLAIN.default, "depth": number % 12 + 1}, "a test", "classical")
    return TrialRecord(f"t{number}", made, seen, state)


def history(*trials, limits=SMALL):
    return History(MAXIMISE, tuple(trials), limits=limits, version=50, max_step=2)


@pytest.mark.parametrize(
    ("limit", "value", "excess"),
    [
        (Limit("a", high=10), 10, 0),
        (Limit("a", high=10), 15, 0.5),
        (Limit("a", low=0.8), 0.9, 0),
        (Limit("a", low=0.8), 0.4, 0.5),
        (Limit("a", low=-1, high=1), 0, 0),
        (Limit("a", low=-1, high=1), -3, 2),
        (Limit("a", high=0), 1, 1e12),
        (Limit("a", high=10), math.nan, math.inf),
        (Limit("a", high=10), math.inf, math.inf),
    ],
)
def test_excess_is_a_share_of_the_limit(limit, value, excess):
    assert limit.excess(value) == pytest.approx(excess)


def test_within_before_unmeasured_before_broken_and_less_broken_before_more():
    trials = (trial(1, 0.9, size=30), trial(2, 0.8, size=None), trial(3, 0.5, size=9), trial(4, 0.95, size=20))
    order = ranked(trials, MAXIMISE, SMALL)
    assert [t.id for t in order] == ["t3", "t2", "t4", "t1"]
    assert history(*trials).best.id == "t3"
    assert history(*trials, limits=Limits()).best.id == "t4"
    assert [t.id for t in best_trials(history(*trials), 2)] == ["t3", "t2"]
    standings = [SMALL.rank(t.observations, "accuracy", t.value(MAXIMISE))[0] for t in trials]
    assert standings == [BROKEN, UNKNOWN, WITHIN, BROKEN]


def test_without_a_feasible_trial_the_least_broken_is_best_and_said(tmp_path):
    assert history(trial(1, 0.9, size=30), trial(2, 0.8, size=11)).best.id == "t2"
    assert history(trial(1, 0.9, size=math.nan), trial(2, 0.1, size=1e9)).best.id == "t2"
    assert history().best is None


def test_a_trial_is_judged_by_the_step_whose_checkpoint_is_kept():
    seen = (Observation(1, {"accuracy": 0.9, "size": 9.0}, 1.0), Observation(2, {"accuracy": 0.8, "size": 11.0}, 5.0))
    found = measured(seen, "accuracy", 0.9)
    assert (found["size"], found["training_seconds"]) == (9.0, 1.0)
    assert SMALL.rank(seen, "accuracy", 0.9) == (WITHIN, 0.0)
    assert measured(seen, "accuracy", None) == {}


def test_latency_is_the_median_of_its_steps():
    seen = [Observation(i, {"accuracy": i, "latency_ms": ms}, 1.0) for i, ms in enumerate((1.0, 2.0, 90.0), 1)]
    assert measured(seen, "accuracy", 3)["latency_ms"] == 2.0


def test_the_front_holds_what_no_other_beats_in_everything():
    trials = [trial(1, 0.9, size=30), trial(2, 0.8, size=8), trial(3, 0.7, size=9), trial(4, 0.95, size=None)]
    front = pareto_front(history(*trials))
    assert [(row.trial, row.standing, dict(row.measured)) for row in front] == [
        ("t2", "within", {"size": 8}),
        ("t1", "breaks", {"size": 30}),
    ]
    assert pareto_front(history(*trials, limits=Limits())) == ()
    many = [trial(i, 0.1 * i, size=100 + i) for i in range(40)]
    assert len(pareto_front(history(*many))) == MOST
    floor = Limits((Limit("recall", low=0.8),))
    front = pareto_front(
        history(trial(1, 0.9, recall=0.5), trial(2, 0.8, recall=0.9), trial(3, 0.7, recall=0.6), limits=floor)
    )
    assert [row.trial for row in front] == ["t2", "t1"]


def test_how_the_best_stands_against_each_limit():
    limits = Limits((Limit("size", high=10), Limit("latency_ms", high=1)))
    (size, latency) = check_limits(history(trial(1, 0.9, size=30), limits=limits))
    assert (size.measured, size.kept) == (30, False)
    assert (latency.measured, latency.kept) == (None, None)
    assert check_limits(history(limits=limits)) == ()


def booked(request):
    brief = full_brief(request=request)
    book = Book()
    book.record(RunStarted("accuracy", "max", 2, 0, brief.space.default, brief.to_dict()))
    return book


def test_the_book_reads_them_from_the_request_and_the_outcome_tells(tmp_path):
    book = booked(REQUEST)
    for made in (trial(1, 0.9, size=30), trial(2, 0.8, size=20)):
        book.record(TrialStarted(made.id, made.proposal))
        for seen in made.observations:
            book.record(ResultReported(made.id, seen))
        book.record(TrialEnded(made.id, TrialState.COMPLETED))
    assert str(book.history().limits.limits[0]) == "size <= 10"
    outcome = summarise(book, name="x", run_dir=tmp_path, wall_seconds=1.0, ended_by="", journal=tmp_path)
    assert outcome.best_trial == "t2"
    assert "the best of them breaks `size <= 10` (20)" in outcome.warnings[0]
    assert [row.trial for row in outcome.pareto] == ["t2", "t1"]


def test_the_prompt_tells_what_broke_which_limit():
    brief = full_brief(request=REQUEST)
    default = dict(brief.space.default)
    trials = (trial(1, 0.9, default, size=30), trial(2, 0.8, default, size=9), trial(3, 0.7, default, size=None))
    lines = history_lines(brief, history(*trials))
    assert 'best "accuracy" so far: 0.8' in lines
    assert '0.9 | completed at 2 | breaks "size \\u003c= 10": 30 |' in lines
    assert "0.8 | completed at 2 | within all limits |" in lines
    assert '0.7 | completed at 2 | "size" not measured |' in lines
    assert "limits" not in history_lines(brief, history(*trials, limits=Limits()))


def test_the_sampler_stays_where_the_limits_are_kept():
    """Accuracy and size both grow with depth: told of the limit, TPE asks for small depths more often."""

    def depths(limits):
        trials = tuple(
            trial(i, 0.05 * depth, {**PLAIN.default, "depth": depth, "eta": 0.01 * (i + 1)}, size=3.0 * depth)
            for i, depth in enumerate([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] * 2)
        )
        advisor = ClassicalAdvisor(PLAIN, 0, "tpe", limits=limits)
        return [p.config["depth"] for p in advisor.propose(history(*trials, limits=limits), 12)]

    limited, free = depths(SMALL), depths(Limits())
    assert sum(limited) / 12 < sum(free) / 12 - 2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_every_sampler_takes_limits_that_were_broken_unmeasured_or_nan(sampler):
    if sampler == "gp":
        pytest.importorskip("torch")
    costs = [30, 9, None, math.nan, math.inf, 8, 7]
    trials = tuple(trial(i, 0.1 * i, {**PLAIN.default, "eta": 0.01 * (i + 1)}, size=c) for i, c in enumerate(costs))
    failed = replace(trial(9, 0.1), observations=(), state=TrialState.FAILED, failure="oom")
    assert len(ClassicalAdvisor(PLAIN, 0, sampler, limits=SMALL).propose(history(*trials, failed), 2)) == 2


def test_a_team_is_rebuilt_with_the_limits_of_its_brief():
    brief = full_brief(request=REQUEST)
    made = rebuild(recipe_of(ClassicalAdvisor(brief.space, 3)), brief, None)
    assert made._limits == SMALL


def test_trust_is_not_earned_by_breaking_limits():
    trials = [trial(i, 0.1 + 0.01 * i, size=5) for i in range(8)] + [trial(9, 5.0, size=50)]
    assert accounts(history(*trials))["classical"].gain < accounts(history(*trials, limits=Limits()))["classical"].gain


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ({"latency_ms": 0}, "greater than 0"),
        ({"metrics": {"gap": {}}}, "needs a finite"),
        ({"metrics": {"gap": {"min": 2, "max": 1}}}, "needs a finite"),
        ({"metrics": {"gap": {"max": math.nan}}}, "needs a finite"),
        ({"metrics": {"latency_ms": {"max": 1}}}, "key of its own"),
        ({"metrics": {"a\x1b[31m": {"max": 1}}}, "printable"),
        ({"metrics": {f"m{i}": {"max": 1} for i in range(30)}}, "at most 20"),
        ({"speed": 3}, "unknown key|Extra|extra"),
    ],
)
def test_bad_limits_are_one_clear_error(constraints, said):
    with pytest.raises(CardError, match=said):
        parse_request({"constraints": constraints})
