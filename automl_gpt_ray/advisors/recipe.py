"""The recipe of an advisor: JSON values from which an equal one is put together again.

A run writes down the recipe of whoever advises it, and a replay rebuilds the team. Advisors of somebody
else's have no recipe: what they proposed cannot be derived again.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, final

from automl_gpt_ray import __version__
from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.apart import Apart
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.advisors.language import LanguageAdvisor
from automl_gpt_ray.advisors.local import LocalAdvisor
from automl_gpt_ray.advisors.mixture import Mixture
from automl_gpt_ray.advisors.questions import Opening
from automl_gpt_ray.book import Book
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.curves.freeze_thaw import FreezeThaw
from automl_gpt_ray.curves.learned import weights
from automl_gpt_ray.events import TeamFormed
from automl_gpt_ray.prompts.paragraph import VERSION
from automl_gpt_ray.records import History, Proposal

LIBRARIES = ("numpy", "optuna", "scikit-learn", "scipy", "torch")


class NotDerivable(Exception):
    """Something cannot be derived again; the message says why."""


@final
class Stranger:
    """Stands for an advisor without a recipe; asked anything, it says that it cannot be derived."""

    def __init__(self, name: str) -> None:
        self._name = name

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Raise `NotDerivable`."""
        raise NotDerivable(f"the advisor `{self._name}` is not one of this package's")


def form_team(book: Book, advisor: Advisor, loop: Literal["prefetch", "ask_tell"], seed: int) -> None:
    """Write down who advises from here on, where that is news."""
    team = TeamFormed(recipe_of(advisor), loop, seed, versions())
    if team != book.team:
        book.record(team)


def versions() -> dict[str, str]:
    """Return the versions of what decides: this package, its prompts and the libraries below it."""
    own = {"automl-gpt-ray": __version__, "prompt": VERSION, "curve network": weights.fingerprint()}
    return own | {name: _version(name) for name in LIBRARIES}


def recipe_of(advisor: Advisor) -> dict[str, Any]:
    """Return the recipe of `advisor`; of an unknown one no more than its name."""
    if isinstance(advisor, Apart):
        return recipe_of(advisor.advisor)
    if isinstance(advisor, Mixture):
        team = {source: recipe_of(member) for source, member in advisor.advisors.items()}
        return {"type": "mixture", "priors": advisor.priors, "floors": advisor.floors, "advisors": team}
    if isinstance(advisor, ClassicalAdvisor):
        return {
            "type": "classical",
            "seed": advisor.seed,
            "sampler": advisor.sampler,
            "startup": advisor.startup,
        }
    if isinstance(advisor, LocalAdvisor):
        return {"type": "local", "seed": advisor.seed, "scales": list(advisor.scales)}
    if isinstance(advisor, FreezeThawAdvisor):
        return {"type": "freeze_thaw", "seed": advisor.seed, "source": advisor.source, "curves": advisor.curves}
    if isinstance(advisor, LanguageAdvisor):
        return {"type": "language"}  # each prompt tells what else it was composed from
    return {"type": "unknown", "name": type(advisor).__name__}


def apart(advisor: Advisor, brief: Brief) -> Apart:
    """Return `advisor`, one that has a recipe, in a process of its own."""
    return Apart(advisor, Opening(recipe_of(advisor), brief.to_dict()))


def rebuild(recipe: Mapping[str, Any], brief: Brief, language: Advisor) -> Advisor:
    """Return the advisor of `recipe`.

    Args:
        recipe: What `recipe_of` returned.
        brief: What is tuned.
        language: Takes the place of the language model's advisor.
    """
    match recipe:
        case {"type": "mixture", "priors": priors, "floors": floors, "advisors": team}:
            members = {source: rebuild(member, brief, language) for source, member in team.items()}
            return Mixture(members, priors, floors)
        case {"type": "classical", "seed": seed, "sampler": sampler, "startup": startup}:
            return ClassicalAdvisor(brief.space, seed, sampler, startup, brief.request.constraints.limits())
        case {"type": "local", "seed": seed, "scales": scales}:
            return LocalAdvisor(brief.space, seed, scales)
        case {"type": "freeze_thaw", "seed": seed, "source": source}:
            curves = recipe.get("curves", FreezeThaw.name)
            if curves != FreezeThaw.name and weights.unavailable():
                return Stranger(f"freeze_thaw by the {curves}: {weights.unavailable()}")
            return FreezeThawAdvisor(brief.space, seed, source, curves=curves)
        case {"type": "language"}:
            return language
    return Stranger(str(recipe.get("name", "unknown")))


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"
