"""The team: which advisors a run has, put together from its brief.

A language model where there is one, the classical optimiser always, and local moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.classical import ClassicalAdvisor, SamplerName
from automl_gpt_ray.advisors.freeze_thaw import FreezeThawAdvisor
from automl_gpt_ray.advisors.insight import insight_of
from automl_gpt_ray.advisors.language import LanguageAdvisor
from automl_gpt_ray.advisors.local import LocalAdvisor
from automl_gpt_ray.advisors.mixture import PRIORS, Mixture
from automl_gpt_ray.advisors.recipe import apart
from automl_gpt_ray.brief import Brief
from automl_gpt_ray.curves.competitors import preferred
from automl_gpt_ray.events import Event
from automl_gpt_ray.llm.client import LLMClient


def assemble(
    brief: Brief,
    llm: LLMClient | None = None,
    sampler: SamplerName = "tpe",
    seed: int = 0,
    record: Callable[[Event], object] = lambda event: None,
    max_prompt_tokens: int | None = None,
    priors: Mapping[str, float] = PRIORS,
    elsewhere: bool = False,
    by_curves: bool = False,
) -> Mixture:
    """Return the mixture of a run's advisors.

    Args:
        brief: What is to be tuned.
        llm: The language model; without one the classical optimiser and local moves remain.
        sampler: The classical optimiser's sampler.
        seed: Of the run.
        record: Where the language model's prompts and replies are written down.
        max_prompt_tokens: Most tokens of a prompt, estimated; None for no limit.
        priors: Source to its share of the trials before any earned or lost trust.
        elsewhere: Whether the classical optimiser gets a process of its own once the history is long.
        by_curves: Whether it learns from unfinished curves too (`FreezeThawAdvisor`, which makes local moves
            of its own); else `sampler`.
    """
    team: dict[str, Advisor] = {}
    if llm is not None:
        team["language"] = LanguageAdvisor(llm, brief, record, insight_of(brief.space, seed), max_prompt_tokens)
    classical: Advisor = ClassicalAdvisor(brief.space, seed, sampler, limits=brief.request.constraints.limits())
    if by_curves:
        classical = FreezeThawAdvisor(brief.space, seed, curves=preferred())
    else:
        team["local"] = LocalAdvisor(brief.space, seed)
    team["classical"] = apart(classical, brief) if elsewhere else classical
    return Mixture(team, priors)
