"""What a person sees in the terminal: a plan and an outcome, as tables and short lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from automl_gpt_ray.budget import KINDS, amount
from automl_gpt_ray.config import LoadedJob
from automl_gpt_ray.limits_view import show_limits
from automl_gpt_ray.lineage import told
from automl_gpt_ray.outcome import Outcome
from automl_gpt_ray.plan import Plan
from automl_gpt_ray.records import Config, PredictedLog, Proposal
from automl_gpt_ray.replay.report import Report

HOW_TO_PUT_A_MODEL_IN_CHARGE = (
    "No language model is configured: the classical advisor (Optuna) is in charge. To put a model in charge, set "
    "`llm.model` (and `llm.base_url` for a server of your own) in the job, or pass --llm-model and --llm-url."
)


_PLAIN: Mapping[str, Any] = {"markup": False, "soft_wrap": True}


def show_start(console: Console, loaded: LoadedJob) -> None:
    """Say who is in charge and what is about to run."""
    job, brief = loaded.job, loaded.brief
    if job.llm is None:
        console.print(HOW_TO_PUT_A_MODEL_IN_CHARGE, style="yellow", markup=False)
    else:
        where = job.llm.base_url or "OpenAI"
        line = f"Language model in charge: {job.llm.model} at {where}, with Optuna beside it."
        console.print(line, style="green", markup=False)
    goal = f"{loaded.model.name} on {loaded.data.name}: {job.trials} trials of up to {brief.max_steps} steps"
    verb = "maximising" if brief.objective.mode == "max" else "minimising"
    console.print(f"{goal}, {verb} {brief.objective.metric}.", markup=False)
    if job.max_steps and job.max_steps != brief.max_steps:
        console.print(f"`max_steps: {job.max_steps}` is not needed: a step is a {brief.step}.", markup=False)
    limits = {kind: limit for kind, limit in job.limits.limits.items() if kind != "trials"}
    if limits:
        shown = ", ".join(f"{amount(limit)} {KINDS[kind]}" for kind, limit in limits.items())
        console.print(f"It ends earlier once it has used {shown}.", markup=False)


def show_plan(console: Console, plan: Plan) -> None:
    """Print the prompt paragraph, the proposals with their predicted logs, and the expected cost."""
    console.rule("prompt paragraph")
    console.print(plan.prompt.messages[-1].content, markup=False, highlight=False, soft_wrap=True)
    console.rule("proposals")
    if plan.problem:
        console.print(f"The language model proposed nothing: {plan.problem}", style="red", markup=False)
        console.print("These are the classical advisor's:", markup=False)
    for number, proposal in enumerate(plan.proposals, 1):
        _show_proposal(console, number, proposal)
    console.rule("expected cost")
    console.print(f"up to {plan.trials} trials and {plan.steps} training steps", markup=False)
    tokens, out = f"{plan.usage.prompt_tokens} tokens in", plan.usage.completion_tokens
    asked = (
        f"{tokens}, {out} out, for one call of the language model" if out else f"{tokens}, were a language model asked"
    )
    console.print(f"about {asked}", markup=False)


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Print the best configuration, its metrics on test data, predicted against real log, and the cost."""
    if outcome.best_config is None:
        console.print(f"No trial reported a value ({_counts(outcome.trials)}).", style="red", markup=False)
    else:
        _show_best(console, outcome)
    failures = f"; failures: {_counts(outcome.failures)}" if outcome.failures else ""
    console.print(f"trials: {_counts(outcome.trials)}; proposed by: {_counts(outcome.sources)}{failures}", markup=False)
    console.print(
        f"cost: {outcome.wall_seconds:.0f} s in all, {outcome.train_seconds:.0f} s of training in {outcome.steps} "
        f"steps; {outcome.llm_calls} model calls ({outcome.llm_failures} failed), {outcome.prompt_tokens} tokens in, "
        f"{outcome.completion_tokens} out",
        markup=False,
    )
    show_limits(console, outcome)
    _show_pauses(console, outcome)
    for applied in outcome.revisions:
        line = f"trial {applied.revision.trial} {told(applied)} ({applied.outcome.replace('_', ' ')})"
        console.print(line, markup=False)
    for kind, limit in outcome.budget.items():
        if kind in outcome.used:
            line = f"budget: {amount(outcome.used[kind])} of {amount(limit)} {KINDS.get(kind, kind)}"
            console.print(line, markup=False)
    for warning in outcome.warnings:
        console.print(f"WARNING: {warning}", style="yellow", markup=False)
    console.print(f"ended because {outcome.ended_by}", markup=False)
    console.print(f"run folder: {outcome.run_dir}", markup=False, soft_wrap=True)
    verb = "fetch" if "://" in outcome.run_dir else "report"
    console.print(f"see it all: automl-gpt-ray {verb} {quote(outcome.run_dir)}", markup=False, soft_wrap=True)
    if outcome.trials.get("running") or outcome.trials.get("paused"):
        console.print(f"go on: automl-gpt-ray run --resume {quote(outcome.run_dir)}", markup=False, soft_wrap=True)
    if outcome.checkpoint:
        what = "refitted on training and validation data" if outcome.refitted else "best checkpoint"
        console.print(f"{what}: {outcome.checkpoint}", markup=False, soft_wrap=True)


def _show_pauses(console: Console, outcome: Outcome) -> None:
    """Print what pausing saved and how often it was wrong, and how good the forecasts behind it were."""
    found = outcome.audit
    if found is None:
        return
    short = "" if found.shortfall is None else f"; {found.shortfall:.3g} short of the best on average"
    console.print(
        f"pausing: {found.paused} trials paused or stopped, {found.steps_saved} steps saved; "
        f"{found.audited} more ran on to check, {found.wrong} of them came out best "
        f"({found.low:.0%} to {found.high:.0%} wrong){short}",
        markup=False,
    )
    if found.by:
        console.print("paused by: " + ", ".join(f"{who} {count}" for who, count in found.by.items()), markup=False)
    for score in outcome.forecasts:
        naive = ", ".join(f"{name} {loss:.3f}" for name, loss in score.naive.items())
        console.print(
            f"forecasts of {score.source} at {score.observed} observed: loss {score.pinball:.3f} ({naive}), "
            f"{score.coverage:.0%} within the 80 % interval, {score.questions} questions on {score.trials} trials",
            markup=False,
        )


def show_replay(console: Console, report: Report) -> None:
    """Print how many decisions of each kind came out the same, and the first that did not."""
    table = Table("decisions", "same", "different", "not derivable", title=f"replay of {escape(report.journal)}")
    for kind, tally in report.tallies.items():
        table.add_row(escape(kind), *(str(count) for count in (tally.same, tally.different, tally.not_derivable)))
    console.print(table)
    for difference in report.differences:
        console.print(f"event {difference.seq}, {difference.kind} ({difference.subject}): {difference.where}", **_PLAIN)
        console.print(f"  journal: {difference.recorded}", style="red", **_PLAIN)
        console.print(f"  derived: {difference.derived}", style="red", **_PLAIN)
    if report.different > len(report.differences):
        console.print(f"and {report.different - len(report.differences)} more differences", markup=False)
    for kind, tally in report.tallies.items():
        for reason, count in tally.reasons.items():
            console.print(f"not derivable: {count} × {kind}: {reason}", style="yellow", **_PLAIN)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow", **_PLAIN)
    total = report.same + report.different + report.not_derivable
    verdict = f"{report.different} decisions differ" if report.different else "no decision differs"
    console.print(f"{verdict}: {report.same} of {total} came out the same, with no call of any model", markup=False)


def _show_best(console: Console, outcome: Outcome) -> None:
    title = f"best trial {outcome.best_trial}, proposed by {outcome.best_source}: {outcome.best_reason}"
    console.rule("outcome")
    console.print(title, markup=False)
    console.print(_config_table("best configuration", outcome.best_config or {}))
    table = Table("metric", "validation", "test", title=f"metrics at step {outcome.best_step}")
    validation, test = outcome.validation or {}, outcome.test or {}
    for name in sorted({*validation, *test}, key=lambda n: (n != outcome.metric, n.startswith("train_"), n)):
        table.add_row(escape(name), _number(validation.get(name)), _number(test.get(name)))
    console.print(table)
    if outcome.test is None:
        console.print(f"not scored on test data: {outcome.test_note}", style="yellow", markup=False)
    _show_log(console, outcome)


def _show_log(console: Console, outcome: Outcome) -> None:
    log = outcome.predicted_log
    if log is None:
        console.print("no log had been predicted for this trial: nothing was known to predict from", markup=False)
        return
    table = Table("step", "predicted", "80 % interval", "real", title=f"predicted ({log.source}) against real log")
    real = dict(outcome.real_log)
    for point in log.points:
        value = real.get(point.step)
        inside = "" if value is None else (" inside" if point.low <= value <= point.high else " outside")
        interval = f"{point.low:.4g} to {point.high:.4g}"
        table.add_row(str(point.step), _number(point.value), interval, _number(value) + inside)
    console.print(table)


def _show_proposal(console: Console, number: int, proposal: Proposal) -> None:
    console.print(f"{number}. {proposal.source}: {proposal.reason}", markup=False)
    console.print("   " + ", ".join(f"{k}={_value(v)}" for k, v in proposal.config.items()), markup=False)
    console.print(f"   predicted log: {_log_line(proposal.predicted_log)}", markup=False)
    for note in proposal.notes:
        console.print(f"   note: {note}", markup=False)


def _log_line(log: PredictedLog | None) -> str:
    if log is None:
        return "none"
    return ", ".join(f"step {p.step}: {p.value:.4g} ({p.low:.4g} to {p.high:.4g})" for p in log.points)


def _config_table(title: str, config: Config) -> Table:
    table = Table("name", "value", title=title)
    for name, value in config.items():
        table.add_row(escape(name), escape(_value(value)))
    return table


def _value(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _counts(counts: Mapping[str, int]) -> str:
    parts: Iterable[str] = (f"{count} {name}" for name, count in counts.items() if count)
    return ", ".join(parts) or "none"
