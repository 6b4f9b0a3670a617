"""The plan of a job: what would be asked and tried, before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from automl_gpt_ray.advisors.advisor import Advisor
from automl_gpt_ray.advisors.classical import ClassicalAdvisor
from automl_gpt_ray.advisors.default_first import the_default
from automl_gpt_ray.advisors.language import LanguageAdvisor
from automl_gpt_ray.advisors.recalled import recalled_proposals
from automl_gpt_ray.book import Book
from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.errors import AdviceError
from automl_gpt_ray.events import RunStarted
from automl_gpt_ray.llm.client import LLMClient
from automl_gpt_ray.prompts.paragraph import proposal_prompt
from automl_gpt_ray.prompts.tokens import estimated_tokens
from automl_gpt_ray.records import Prompt, Proposal, Usage


@dataclass(frozen=True)
class Plan:
    """What a run would begin with.

    Attributes:
        prompt: The prompt paragraph.
        proposals: The default configuration and the advisor's first proposals.
        problem: Why the language model proposed nothing; empty when it did or there is none.
        usage: Tokens that this plan cost; estimated from the prompt's length without a model.
        trials: Trials of a run.
        steps: Training steps of a run at most.
    """

    prompt: Prompt
    proposals: tuple[Proposal, ...]
    problem: str
    usage: Usage
    trials: int
    steps: int


def make_plan(loaded: LoadedJob, llm: LLMClient | None, wanted: int = 3) -> Plan:
    """Ask for the first proposals of a job and train nothing.

    Args:
        loaded: The job.
        llm: The language model, asked once; None shows what it would be asked, and the classical
            advisor's proposals.
        wanted: Proposals besides the default.
    """
    brief, job = loaded.brief, loaded.job
    book = Book()
    objective = brief.objective
    book.record(RunStarted(objective.metric, objective.mode, brief.max_steps, job.seed, brief.space.default))
    classical = ClassicalAdvisor(brief.space, job.seed, job.classical, limits=brief.request.constraints.limits())
    limit = job.llm.max_prompt_tokens if job.llm else None
    advisor: Advisor = LanguageAdvisor(llm, brief, book.record, max_prompt_tokens=limit) if llm else classical
    problem = ""
    first = the_default(brief.space, book.history())
    earlier = recalled_proposals(brief, book.history())
    try:
        others = advisor.propose(book.history(), wanted)
    except AdviceError as error:
        problem = str(error)
        others = classical.propose(book.history(), wanted)
    prompt = proposal_prompt(brief, book.history(), wanted, max_tokens=limit)
    return Plan(
        prompt=prompt,
        proposals=(first, *earlier, *(p for p in others if p.key not in {first.key, *(e.key for e in earlier)})),
        problem=problem,
        usage=book.spending.usage if book.spending.calls else Usage(estimated_tokens(prompt)),
        trials=job.trials,
        steps=job.trials * brief.max_steps,
    )
