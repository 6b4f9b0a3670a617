"""A driver killed with SIGKILL in the middle of a revision: the next one finishes what was asked."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from test_resume import environment
from test_revising import check_schedule

from automl_gpt_ray.book import Book
from automl_gpt_ray.journal import read_journal
from automl_gpt_ray.lineage import RevisionApplied, RevisionAsked
from automl_gpt_ray.records import TrialState

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined")]
DRIVER = """
import json, os, signal, sys
from ray import tune
from trainables import revisable
from test_revising import DEFAULT, RULE, SPACE, STEPS, Asks
from automl_gpt_ray.ray_tune.scheduler import ReviewScheduler
from automl_gpt_ray.ray_tune.searcher import LLMSearch
from automl_gpt_ray.steering_rule import SteeringRule

folder, mode = sys.argv[1:3]
kill_at, changes, options = map(json.loads, sys.argv[3:])
samples = 2 if "batch" in changes else 1

class Killed(Asks):
    def on_trial_result(self, iteration, trials, trial, result, **info):
        super().on_trial_result(iteration, trials, trial, result, **info)
        if result["step"] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

search = LLMSearch(default=DEFAULT, metric="score", mode="max", max_steps=STEPS, step_key="step",
    journal=folder + "/journal")
scheduler = ReviewScheduler(search, slots=1, rule=SteeringRule(audit=0.0, revise=RULE, grace=STEPS), time_attr="step")
tune.run(revisable, config={**SPACE, "pause": 0.3}, name="mine", storage_path=folder, resume=mode == "resume",
    num_samples=samples, search_alg=search, scheduler=scheduler, verbose=0, metric="score", mode="max",
    callbacks=[Killed(search, 4, changes, **options)] if mode == "fit" else [])
"""


def drive(folder, mode, kill_at, changes, options):
    script = folder / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, script, folder, mode, *map(json.dumps, (kill_at, changes, options))]
    return subprocess.run([*map(str, command)], env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kill_at", "changes", "options", "applied"),
    [
        (4, {"opt/lr": 0.4}, {}, 0),  # asked for
        (7, {"opt/lr": 0.4}, {}, 1),  # in force
        (5, {"opt/lr": 0.4}, {"back_to": 2}, 1),  # about to be sent back
        (5, {"batch": 32}, {}, 0),  # about to be cloned
    ],
    ids=["asked", "in_force", "sent_back", "cloned"],
)
def test_a_killed_run_finishes_its_revisions(tmp_path, kill_at, changes, options, applied):
    killed = drive(tmp_path, "fit", kill_at, changes, options)
    assert killed.returncode == -9, killed.stderr[-3000:]
    journal = tmp_path / "journal" / "journal.jsonl"
    before = [entry.event for entry in read_journal(journal)]
    assert sum(isinstance(event, RevisionAsked) for event in before) == 1
    assert sum(isinstance(event, RevisionApplied) for event in before) == applied
    resumed = drive(tmp_path, "resume", 0, changes, options)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    after = [entry.event for entry in read_journal(journal)]
    trials = Book().replay(after).history().trials
    assert len({trial.id for trial in Book().replay(before).history().trials} & {trial.id for trial in trials}) == 1
    for trial in trials:
        check_schedule(trial)
        assert trial.state.ended
    last = trials[-1]
    assert last.state is TrialState.COMPLETED
    assert last.last_step == 12
    assert {name: last.config[name] for name in changes} == changes
    if "batch" in changes:
        first, child = trials
        assert first.state is TrialState.STOPPED
        assert {o.metrics["began"] for o in child.observations} == {first.last_step}
    elif options:
        assert next(o for o in last.observations if o.step == 3).metrics["began"] == 2
        assert last.lineage.schedule == ((3, changes),)
    assert sum(isinstance(event, RevisionAsked) for event in after) == 1
