"""The mixture and the trust it follows: shares are earned, and never below their floors."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import MAXIMISE, MINIMISE, PLAIN, made_history, proposed, trial

from automl_gpt_ray.advisors.mixture import FLOORS, PRIORS, Mixture
from automl_gpt_ray.advisors.trust import accounts, earned_shares
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.records import History, TrialState

SOURCES = ("language", "classical", "local")


class Named:
    """Proposes depth 1, 2, ... under its own name, or fails."""

    def __init__(self, source, failure=None, most=99):
        self.source, self.failure, self.most, self.asked = source, failure, most, 0

    def propose(self, history, n):
        self.asked += 1
        if self.failure:
            raise self.failure
        if self.asked > self.most:
            return []
        return [proposed({**PLAIN.default, "depth": self.asked}, self.asked, self.source, history.version)]


def mixture(**failures):
    return Mixture({source: Named(source, failures.get(source)) for source in SOURCES})


def run_of(*kinds, objective=MAXIMISE):
    """A history of (source, value or failure) pairs."""
    trials = []
    for number, (source, value) in enumerate(kinds):
        failed = isinstance(value, str)
        state = TrialState.FAILED if failed else TrialState.COMPLETED
        values = [] if failed else [value]
        made = trial(number, PLAIN.default, values, state, value if failed else None, objective.metric, source)
        trials.append(made)
    return History(objective, tuple(trials), (), len(trials), 0, 4)


def shares(history, floors=FLOORS, priors=PRIORS):
    return earned_shares(history, priors, floors)


def test_shares_begin_as_the_priors():
    assert shares(run_of()) == pytest.approx(dict(PRIORS))


value = st.floats(-10, 10) | st.sampled_from(["oom", 0.0, 1.0])
kinds = st.lists(st.tuples(st.sampled_from(SOURCES), value), max_size=60)


@settings(max_examples=80, deadline=None)
@given(kinds, st.sampled_from([MAXIMISE, MINIMISE]))
def test_shares_sum_to_one_and_keep_their_floors(kinds, objective):
    found = shares(run_of(*kinds, objective=objective))
    assert sum(found.values()) == pytest.approx(1.0)
    assert all(found[source] >= floor - 1e-9 for source, floor in FLOORS.items())


weights = st.lists(st.floats(0.001, 1.0), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(weights, st.data())
def test_floors_hold_for_any_priors(priors, data):
    names = [f"s{i}" for i in range(len(priors))]
    floors = {n: data.draw(st.floats(0.0, 0.95 / len(names))) for n in names}
    found = shares(run_of(), floors, dict(zip(names, priors, strict=True)))
    assert sum(found.values()) == pytest.approx(1.0)
    assert all(found[n] >= floors[n] - 1e-9 for n in names)


def test_raising_one_share_does_not_push_another_below_its_floor():
    priors = {"language": 0.02, "classical": 0.26, "local": 0.72}
    found = shares(run_of(), FLOORS, priors)
    assert found == pytest.approx({"language": 0.1, "classical": 0.25, "local": 0.65})


@pytest.mark.parametrize(("objective", "sign"), [(MAXIMISE, 1), (MINIMISE, -1)])
def test_who_improves_gets_more(objective, sign):
    kinds = []
    for turn in range(10):
        kinds += [("language", sign * 0.1 * turn), ("classical", sign * -1.0), ("local", sign * -2.0)]
    found = shares(run_of(*kinds, objective=objective))
    assert found["language"] > PRIORS["language"] + 0.1
    assert found["local"] < PRIORS["local"]


def test_who_only_fails_gets_less():
    kinds = [pair for turn in range(12) for pair in (("language", "oom"), ("classical", 0.05 * turn))]
    found = shares(run_of(*kinds))
    assert found["language"] < 0.5 * PRIORS["language"]
    assert found["classical"] > PRIORS["classical"]


def test_who_costs_more_gets_less():
    def priced(seconds):
        history = run_of(*[pair for _ in range(8) for pair in (("language", 0.5), ("classical", 0.5))])
        dear = [
            replace(t, observations=(replace(t.observations[0], seconds=seconds),))
            if t.proposal.source == "language"
            else t
            for t in history.trials
        ]
        return shares(replace(history, trials=tuple(dear)))["language"]

    assert priced(20.0) < priced(1.0)


def test_old_credit_fades():
    lucky = [("language", 0.0), ("language", 0.1), ("language", 5.0)]
    later = [("classical", 0.0)] * 120
    assert shares(run_of(*lucky))["language"] > shares(run_of(*lucky, *later[:1]))["language"] - 0.2
    early, late = accounts(run_of(*lucky)), accounts(run_of(*lucky, *later))
    assert late["language"].gain < 0.1 * early["language"].gain


def test_unknown_sources_have_no_share():
    found = shares(run_of(("default", 0.5), ("random", 0.9), ("random", 1.5)))
    assert set(found) == set(PRIORS)


def test_order_follows_the_shares_in_the_long_run():
    team, trials, served = mixture(), [], Counter()
    for number in range(200):
        history = History(MAXIMISE, tuple(trials), (), number, 0, 4)
        source = team.choose(history, SOURCES)
        served[source] += 1
        trials.append(trial(number, PLAIN.default, [], TrialState.RUNNING, source=source))
    assert {s: served[s] / 200 for s in SOURCES} == pytest.approx(dict(PRIORS), abs=0.03)


def test_only_those_who_are_ready_are_chosen():
    team, history = mixture(), run_of()
    assert team.choose(history, ["local"]) == "local"
    assert team.choose(history, []) is None
    assert team.choose(history, ["default"]) is None
    assert set(team.order(history)) == set(SOURCES)


def test_one_that_fails_falls_through():
    team = mixture(language=AdviceError("down", outage=True))
    made = team.propose(run_of(), 5)
    assert len(made) == 5
    assert {p.source for p in made} == {"classical", "local"}
    assert team.advisors["language"].asked == 1
    assert len({p.id for p in made}) == 5


def test_all_that_fail_are_one_error_with_every_reason():
    for outage in (True, False):
        team = mixture(
            language=AdviceError("no model", outage=outage), classical=AdviceError("b"), local=AdviceError("c")
        )
        with pytest.raises(AdviceError, match="language: no model; ") as caught:
            team.propose(run_of(), 2)
        assert caught.value.outage is outage


def test_one_that_has_nothing_new_falls_through():
    team = Mixture({"classical": Named("classical", most=1), "local": Named("local", most=1)})
    assert [p.source for p in team.propose(run_of(), 6)] == ["classical", "local"]
    with pytest.raises(AdviceError, match="nothing new"):
        team.propose(run_of(), 1)


def test_shares_are_those_of_the_history_asked_about():
    good, bad = (run_of(*[("language", v * t) for t in range(6)], ("classical", 0.0)) for v in (1.0, -1.0))
    team = mixture()
    first = team.shares(good)
    assert team.shares(bad) == mixture().shares(bad) != first
    assert team.shares(good) == first
    assert team.shares(good) is team.shares(replace(good, version=99))


def test_a_mixture_of_nobody_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Mixture({})


def test_shares_of_a_real_history():
    found = mixture().shares(made_history(PLAIN, 40))
    assert sum(found.values()) == pytest.approx(1.0)
