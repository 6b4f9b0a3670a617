"""What every advisor keeps to, whoever it is."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from small_runs import (
    CONDITIONAL,
    CONSTANT,
    MAXIMISE,
    MINIMISE,
    PLAIN,
    SPACES,
    TINY,
    bare_brief,
    made_history,
    proposed,
    trial,
    valid_item,
)

from automl_gpt_ray.advisors.advisor import Advisor, taken
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.default_first import DefaultFirst
from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.advisors.language import LanguageAdvisor
from automl_gpt_ray.advisors.local import LocalAdvisor
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.advisors.team import assemble
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.llm.scripted import Scripted
from automl_gpt_ray.records import History, TrialState


def talkative(space, seed=0):
    """A language model that always answers with six valid settings, some of them tried before."""
    import numpy as np

    rng, brief = np.random.default_rng(seed), bare_brief(space)

    def answer(prompt):
        return json.dumps({"proposals": [valid_item(space.sample(rng), brief) for _ in range(6)]})

    return Scripted([answer], repeat_last=True)


def language(space, seed=0):
    return LanguageAdvisor(talkative(space, seed), bare_brief(space))


def classical(sampler):
    return lambda space, seed=0: DefaultFirst(ClassicalAdvisor(space, seed, sampler, startup=4), space)


def freeze_thaw(space, seed=0):
    return DefaultFirst(FreezeThawAdvisor(space, seed), space)


MAKERS = {
    "freeze-thaw": freeze_thaw,
    "tpe": classical("tpe"),
    "gp": classical("gp"),
    "random": classical("random"),
    "local": LocalAdvisor,
    "default, local": lambda space, seed=0: DefaultFirst(LocalAdvisor(space, seed), space),
    "language": language,
    "mixture": lambda space, seed=0: Mixture(
        {"classical": ClassicalAdvisor(space, seed), "local": LocalAdvisor(space)}
    ),
    "team": lambda space, seed=0: assemble(bare_brief(space), talkative(space, seed), seed=seed),
}
ALL = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())
SPACED = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
# One count, one space size: the Gaussian process takes long over each.
COUNT = 10


def asked(advisor, history, n):
    """The proposals, or none where the advisor says that it has none."""
    try:
        return advisor.propose(history, n)
    except AdviceError:
        return []


def check(space, history, made, n):
    keys = [space.key(p.config) for p in made]
    assert len(made) <= n
    assert len(set(keys)) == len(keys)
    assert not set(keys) & taken(history)
    for p in made:
        assert space.validate(p.config) == p.config
        assert p.reason.strip()
        assert p.source
        assert p.history_version == history.version
    assert len({p.id for p in made}) == len(made)


@ALL
@SPACED
def test_proposals_are_valid_new_and_few_enough(maker, space):
    history = made_history(space, COUNT)
    for n in (1, 4):
        made = asked(maker(space), history, n)
        check(space, history, made, n)
        if space in (PLAIN, CONDITIONAL):
            assert made


@ALL
@pytest.mark.parametrize("objective", [MAXIMISE, MINIMISE], ids=["max", "min"])
def test_both_directions(maker, objective):
    history = made_history(PLAIN, COUNT, objective)
    made = asked(maker(PLAIN), history, 3)
    assert made
    check(PLAIN, history, made, 3)


@ALL
def test_waiting_proposals_are_not_proposed_again(maker):
    history = made_history(TINY, 2, states=False)
    for _ in range(8):
        made = asked(maker(TINY), history, 1)
        check(TINY, history, made, 1)
        history = replace(history, pending=(*history.pending, *made), version=history.version + 1)
    assert len(taken(history)) <= 6


@ALL
def test_equal_histories_give_equal_proposals(maker):
    history = made_history(CONDITIONAL, COUNT)
    again = pickle.loads(pickle.dumps(history))
    first, second = ([(p.config, p.reason) for p in maker(CONDITIONAL).propose(h, 3)] for h in (history, again))
    assert first == second


@ALL
def test_one_advisor_serves_several_histories(maker):
    # Nothing of an earlier history may be left behind: replay asks about any of them.
    one, two = made_history(PLAIN, COUNT, seed=1), made_history(PLAIN, COUNT, seed=2)
    used = maker(PLAIN)
    first = used.propose(one, 2)
    if maker is not MAKERS["language"] and maker is not MAKERS["team"]:
        assert [p.config for p in maker(PLAIN).propose(two, 2)] == [p.config for p in used.propose(two, 2)]
        assert [p.config for p in used.propose(one, 2)] == [p.config for p in first]
    check(PLAIN, two, used.propose(two, 2), 2)


@ALL
def test_ids_are_unique_across_calls(maker):
    advisor, history, ids = maker(PLAIN), made_history(PLAIN, COUNT), []
    for _ in range(3):
        made = asked(advisor, history, 2)
        ids += [p.id for p in made]
        history = replace(history, pending=(*history.pending, *made), version=history.version + 1)
    assert len(ids) == len(set(ids)) >= 3


@ALL
def test_the_seed_matters(maker):
    history = made_history(PLAIN, COUNT)
    assert len({json.dumps([p.config for p in maker(PLAIN, seed).propose(history, 2)]) for seed in range(4)}) > 1


@ALL
@pytest.mark.parametrize("state", list(TrialState))
def test_a_history_of_one_kind_of_trials(maker, state):
    failure = "oom" if state is TrialState.FAILED else None
    values = [] if state is TrialState.FAILED else [float("nan")]
    trials = tuple(trial(i, {**PLAIN.default, "depth": i + 1}, values, state, failure) for i in range(8))
    history = History(MAXIMISE, trials, (), 8, 0, 4)
    check(PLAIN, history, asked(maker(PLAIN), history, 2), 2)


@ALL
def test_an_empty_history(maker):
    history = History(MAXIMISE, (), (), 1, 0, 4)
    check(PLAIN, history, asked(maker(PLAIN), history, 3), 3)


@pytest.mark.parametrize("maker", [m for name, m in MAKERS.items() if name != "gp"])  # gp: as tpe, but seconds a try
def test_a_nearly_exhausted_space_ends(maker):
    configs = [{"a": a, "b": b} for a in (1, True) for b in (1, 2, 3)]
    for left in (1, 0):
        tried = configs[: len(configs) - left]
        trials = tuple(trial(i, config, [0.1 * i]) for i, config in enumerate(tried))
        history = History(MAXIMISE, trials, (), 20, 0, 4)
        made = asked(maker(TINY), history, 4)
        assert len(made) <= left
        check(TINY, history, made, 4)


@ALL
def test_a_space_with_nothing_to_choose(maker):
    tried = History(MAXIMISE, (trial(1, CONSTANT.default, [0.5]),), (), 5, 0, 4)
    assert asked(maker(CONSTANT), tried, 2) == []
    check(CONSTANT, History(MAXIMISE), asked(maker(CONSTANT), History(MAXIMISE), 2), 2)


@ALL
def test_it_is_an_advisor(maker):
    assert isinstance(maker(PLAIN), Advisor)


def test_the_default_comes_first_and_once():
    wanted = {TINY.key({"a": a, "b": b}) for a in (1, True) for b in (1, 2, 3)}
    for seed in range(10):
        advisor = MAKERS["random"](TINY, seed)
        made = advisor.propose(History(MAXIMISE), 6)
        assert made[0].config == TINY.default
        assert made[0].source == "default"
        assert len({TINY.key(p.config) for p in made}) == len(made)
        assert {TINY.key(p.config) for p in made} <= wanted
        assert advisor.propose(History(MAXIMISE), 1)[0].config == TINY.default
        waiting = History(MAXIMISE, (), (proposed(TINY.default),))
        assert advisor.propose(waiting, 1)[0].source == "classical"


def test_local_moves_start_from_the_best():
    trials = tuple(trial(i, {**PLAIN.default, "depth": i + 1}, [0.1 * i]) for i in range(8))
    history = History(MAXIMISE, trials, (), 20, 0, 4)
    made = LocalAdvisor(PLAIN).propose(history, 6)
    parents = {p.reason.rpartition("trial ")[2].split()[0] for p in made}
    assert parents <= {"t7", "t6", "t5"}
    assert "t7" in parents
    lowest = LocalAdvisor(PLAIN).propose(replace(history, objective=replace(MAXIMISE, mode="min")), 6)
    assert {p.reason.rpartition("trial ")[2].split()[0] for p in lowest} <= {"t0", "t1", "t2"}


def test_local_moves_need_a_value():
    with pytest.raises(AdviceError, match="value"):
        LocalAdvisor(PLAIN).propose(History(MAXIMISE), 1)


class Mute:
    def propose(self, history, n):
        raise AdviceError("nothing to say")


def test_the_default_is_not_lost_with_a_silent_advisor():
    advisor = DefaultFirst(Mute(), PLAIN)
    empty = History(MAXIMISE)
    assert [p.config for p in advisor.propose(empty, 3)] == [PLAIN.default]
    with pytest.raises(AdviceError, match="nothing to say"):
        advisor.propose(replace(empty, trials=(trial(1, PLAIN.default, [0.5]),)), 3)


def test_what_was_tried_is_told_of_any_history_in_any_order():
    long = made_history(PLAIN, 30)
    parts = [
        long.trials[:10],
        long.trials,
        long.trials[:3],
        (),
        (*long.trials[:5], *long.trials[6:]),
        long.trials[::-1],
    ]
    for trials in [*parts, *parts[::-1]]:
        history = replace(long, trials=trials, pending=(proposed(PLAIN.default, 99),))
        assert taken(history) == {PLAIN.key(c) for c in [*(t.config for t in trials), PLAIN.default]}
