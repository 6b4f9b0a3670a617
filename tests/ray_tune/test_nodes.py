"""Nodes that are killed as machines die, under a run on a real head: nothing is lost, nothing counts twice."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError
from ray.tune.experiment import Trial

from automl_gpt_ray.ray_tune.enduring import MAX_DEATHS, Enduring, EnduringTrial, node_died
from benchmarks import nodes  # found beside `tests`, see conftest

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with nodes.own_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


# The third scenario, a death during start, is the benchmark's alone: each takes the better part of a minute.
@pytest.mark.parametrize(
    "scenario", [nodes.mid_trial, nodes.while_paused, nodes.while_cloning], ids=lambda scenario: scenario.__name__
)
def test_a_node_dies_and_nothing_is_lost(scenario, cluster, tmp_path):
    found = scenario(cluster, tmp_path / "run")
    assert found.exit_code == 0, found.output
    trials = nodes.CLONING_TRIALS if scenario is nodes.while_cloning else nodes.TRIALS
    assert (found.trials, found.completed, found.failures) == (trials, trials, {}), found.output
    assert found.duplicates == 0
    if scenario is nodes.while_cloning:
        # What the clone begins with is told by an actor, which must not have died with the node.
        assert found.clones == 1, "it went on from the last step of its parent"
        return
    assert found.recovery_s == found.recovery_s, "no trial of the dead node reported again"
    if scenario is nodes.mid_trial:
        assert found.nodes == 3, "the node that came later was used"
        # Its trial went on from its checkpoint: the one step that was under way at most is trained again.
        assert found.repeated_steps <= 1
        assert "begins again at its last checkpoint (lost)" in found.output.replace("\n", " ")


def test_a_cluster_without_tokens_takes_jobs(cluster, tmp_path):
    cluster.add_node(1)
    job = nodes.job_file(tmp_path, freeze=False)
    told = ["--set", f"storage_path={tmp_path}/runs", "--set", "trials=1", "--follow", "--address", cluster.url]
    command = [sys.executable, "-m", "automl_gpt_ray.cli", "submit", str(job), *told]
    environment = {**cluster.environment, "RAY_ADDRESS": "10.1.2.3:1"}  # what was given goes before it
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"note: storage_path {tmp_path}/runs is a path" in done.stdout
    # A node that was killed a moment ago may still count.
    assert re.search(r"WARNING: the cluster has \d nodes and storage_path is a path", done.stdout)
    cluster.end_nodes()


@pytest.fixture
def trial():
    made = Trial("__fake", stub=True)
    made.storage = SimpleNamespace(trial_driver_staging_path="")
    Enduring().on_step_begin(1, [made])
    return made


def test_only_the_deaths_of_nodes_are_excused(trial):
    lost = ActorUnavailableError("connection reset", None)
    assert isinstance(trial, EnduringTrial)
    assert node_died(lost)
    assert not node_died(ActorDiedError())
    assert not node_died(OutOfMemoryError("task was killed due to the node running low on memory"))
    assert not node_died(None)
    trial.handle_error(lost)
    assert trial.should_recover()
    trial.handle_error(MemoryError("CUDA out of memory"))
    assert not trial.should_recover()


def test_a_trial_that_kills_node_after_node_ends(trial):
    lost = ActorUnavailableError("connection reset", None)
    for _ in range(MAX_DEATHS):
        trial.handle_error(lost)
        assert trial.should_recover()
    trial.handle_error(lost)
    assert not trial.should_recover()
