"""A submitted job whose node dies, told line by line: `python -m benchmarks.submitted --quick`.

Submit, follow, kill a node as a machine dies, add another, finish, fetch: what a person would see. A head without
CPUs and two nodes, on this machine; storage by URI.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from automl_gpt_ray.outcome import load_outcome
from benchmarks.nodes import ROOT, TRIALS, job_file, own_cluster


def main() -> None:
    """Print the transcript and a line of figures."""
    argparse.ArgumentParser(description=__doc__).parse_known_args()
    with tempfile.TemporaryDirectory() as name, own_cluster(Path(name) / "cluster") as cluster:
        folder, began = Path(name), time.monotonic()

        def say(line: str) -> None:
            print(f"{time.monotonic() - began:6.1f} s  {line.rstrip()}", flush=True)

        say("two nodes of one CPU")
        cluster.add_node(1)
        doomed = cluster.add_node(1)
        job = job_file(folder, freeze=False)
        command = [sys.executable, "-m", "automl_gpt_ray.cli"]
        submit = [*command, "submit", str(job), "--set", f"storage_path=file://{folder}/runs", "--follow"]
        say("$ automl-gpt-ray submit job.yaml --follow")
        watched = subprocess.Popen(  # noqa: S603 - our own command line
            [*submit, "--address", cluster.url], env=cluster.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        job_id, killed, running = "", None, 0
        for line in watched.stdout or ():
            say(line)
            job_id = job_id or (line.split()[1] if line.startswith("job ") else "")
            running += " starts (" in line
            if running == 2 and killed is None:
                killed = threading.Timer(1.5, lambda: (say("--- a node is killed ---"), doomed.kill()))  # type: ignore[func-returns-value]
                killed.start()
                threading.Timer(4.0, lambda: (say("--- another comes ---"), cluster.add_node(1, wait=False))).start()  # type: ignore[func-returns-value]
        code = watched.wait()
        say(f"exit code {code}")
        say(f"$ automl-gpt-ray fetch {job_id} back")
        fetch = [*command, "fetch", job_id, str(folder / "back"), "--address", cluster.url]
        subprocess.run(fetch, env=cluster.environment, cwd=ROOT, check=True)  # noqa: S603 - as above
        outcome = load_outcome(folder / "back")
        again = code == 0 and outcome.trials["completed"] == TRIALS
        say(f"fetched: {outcome.trials['completed']} of {TRIALS} trials completed, {outcome.trials['failed']} failed")
        print(json.dumps({"exit_code": code, "nothing_lost": again, "trials": dict(outcome.trials)}))


if __name__ == "__main__":
    main()
