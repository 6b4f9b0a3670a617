"""The rules of the queue: what enters it, what leaves it, and which proposal is next.

Functions of the book and of what is asked of them: they read no clock, call nobody and write nothing,
so the prefetcher that acts on them and a replay that checks its acts come to the same. When somebody
is asked is the prefetcher's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from automl_gpt_ray.advisors.advisor import generator, proposal, taken, untried
from automl_gpt_ray.book import Book
from automl_gpt_ray.feedback import told_at
from automl_gpt_ray.hints import hints_of
from automl_gpt_ray.lanes import LaneRule
from automl_gpt_ray.records import History, Proposal
from automl_gpt_ray.replies import SOURCE as LANGUAGE
from automl_gpt_ray.space import SearchSpace

Chooser = Callable[[History, Collection[str]], str | None]
FIRST = ("default", "recalled")
"""Sources that go before all others, in this order."""

START = "start"
"""Source of the advice that holds the first proposals."""

EMERGENCY = "random"
OUTDATED = "too much has been learned since it was made"
REPLACED = "replaced by one that knows the latest results"
HINTED = "it does not follow what a person has asked for since"
DRAWS = 200


@dataclass(frozen=True)
class Admission:
    """What becomes of an advisor's proposals.

    Attributes:
        dropped: Ids of the queued proposals that the new ones replace.
        new: Those that enter the queue.
        problems: What was wrong with the others.
    """

    dropped: tuple[str, ...]
    new: tuple[Proposal, ...]
    problems: tuple[str, ...]


def admit(
    book: Book, source: str, made: Sequence[Proposal], rule: LaneRule, stock: int = 0, space: SearchSpace | None = None
) -> Admission:
    """Return which of `made` are new and which stale proposals of the same source they replace.

    Args:
        book: The run so far.
        source: Who made them.
        made: Its proposals.
        rule: Of its queue.
        stock: Proposals to have ready, fresh or not: stale ones below it stay.
        space: People's hints are applied in it; None applies none.
    """
    history = book.history()
    made = [heeding(p, history, space) for p in made] if space else made
    known = taken(history)
    stale = [p for p in book.queued(source) if not is_fresh(book, p, rule)]
    known -= {p.key for p in stale}
    new, problems = list[Proposal](), list[str]()
    for p in made:
        if p.key in known:
            problems.append(f"{p.id} was proposed by somebody else meanwhile")
        else:
            known.add(p.key)
            new.append(p)
    # One that was thought of again goes first: it must not stand in the queue twice.
    again = {p.key for p in new}
    stale.sort(key=lambda p: p.key not in again)
    doubled = sum(1 for p in stale if p.key in again)
    beyond = len(book.queued(source)) + len(new) - stock
    drops = stale[: max(doubled, min(len(new), beyond))]
    return Admission(tuple(p.id for p in drops), tuple(new), tuple(problems))


def heeding(made: Proposal, history: History, space: SearchSpace) -> Proposal:
    """Return a proposal that follows the hints of people, with notes on what was changed and on what it knew."""
    notes: tuple[str, ...] = ()
    told = told_at(history.feedback, made.history_version) if made.source == LANGUAGE else ()
    if told:
        notes = (f"told of feedback {', '.join(said.id for said in told)}",)
    hints = hints_of(history.feedback)
    if not hints:
        return replace(made, notes=(*made.notes, *notes)) if notes else made
    config, changed = hints.applied(made.config, space)
    return replace(made, config=config, notes=(*made.notes, *notes, *changed)) if notes or changed else made


def unheeding(book: Book, space: SearchSpace) -> list[Proposal]:
    """Return the queued proposals that do not follow the hints of people, oldest first; those of `FIRST` may stay."""
    hints = hints_of(book.history().feedback)
    queued = [p for p in book.queued() if p.source not in FIRST]
    return [p for p in queued if hints.applied(p.config, space)[1]] if hints else []


def is_fresh(book: Book, queued: Proposal, rule: LaneRule) -> bool:
    """Return whether nothing happened since `queued` was made that makes it worth replacing."""
    if book.epochs_since(queued.history_version):
        return False
    return not (rule.fresh_ended and book.ended_version > queued.history_version)


def outdated(
    book: Book, rules: Mapping[str, LaneRule], outages: Collection[str], recent: Mapping[str, int]
) -> list[Proposal]:
    """Return the queued proposals that are too old to be served, oldest first.

    Args:
        book: The run so far.
        rules: Source to its rule; proposals of other sources stay.
        outages: Sources that cannot be asked now: what they said already is better than nothing.
        recent: Source to the new bests and failure classes of late, which none of its proposals can know yet.
    """
    judged = ((p, rules[p.source]) for p in book.queued() if p.source in rules and p.source not in outages)
    return [
        p for p, rule in judged if book.epochs_since(p.history_version) - recent.get(p.source, 0) > rule.fresh_epochs
    ]


def pick(
    history: History, choose: Chooser, outages: Mapping[str, str], waits: bool = False, urgent: Sequence[str] = ()
) -> Proposal | None:
    """Return the queued proposal that is next, None when none waits.

    Args:
        history: The run so far.
        choose: Which of the sources that are ready is due.
        outages: Source to message of those that cannot be asked now; noted on the proposal.
        waits: Whether only those may start that cannot be asked now, and those that go first.
        urgent: Sources that go before the one that is due.
    """
    queues: dict[str, Proposal] = {}
    for queued in history.pending:
        if waits and queued.source not in FIRST and queued.source not in outages:
            continue
        first = queues.get(queued.source)
        # The first of those that know most.
        if first is None or queued.history_version > first.history_version:
            queues[queued.source] = queued
    source = next((s for s in (*FIRST, *urgent) if s in queues), None)
    source = source or choose(history, queues.keys()) or next(iter(queues), None)
    return None if source is None else noted(queues[source], outages)


def draw(space: SearchSpace, seed: int, history: History, outages: Mapping[str, str]) -> Proposal | None:
    """Return an untried configuration drawn at random, None when there seems to be none."""
    rng, hints = generator(seed, history, salt=3), hints_of(history.feedback)
    config = untried(space, taken(history), lambda: hints.applied(space.sample(rng), space)[0], rng, DRAWS)
    if config is None or (hints and hints.applied(config, space)[1]):
        return None
    return noted(proposal(EMERGENCY, history, 0, config, "drawn at random: no other proposal was ready"), outages)


def noted(chosen: Proposal, outages: Mapping[str, str]) -> Proposal:
    """Return `chosen` with a note on each source that could not be asked for a better one."""
    if chosen.source in (*FIRST, *outages):
        return chosen
    notes = tuple(f"`{source}` could not be asked: {message}" for source, message in outages.items())
    return replace(chosen, notes=(*chosen.notes, *notes))
