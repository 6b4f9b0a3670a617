"""A run in virtual time by the parts of a real driver: nothing is lost, and the model's limit holds."""

from __future__ import annotations

import json

import pytest

from benchmarks.big_run import LATENCY_S, BigRun
from benchmarks.scale import HEAD, line, main


@pytest.fixture
def made(tmp_path):
    run = BigRun(workers=4, trials=16, per_minute=2, folder=tmp_path, known=30)
    run.run()
    return run


def test_every_trial_is_run_and_the_workers_do_not_wait(made):
    found = made.figures()
    assert (found["ended"], found["trials"], found["known"]) == ("finished", 16, 30)
    assert found["utilisation"] > 0.9
    assert {"language", "classical"} & set(found["shares"])
    assert sum(found["shares"].values()) == pytest.approx(1.0, abs=0.01)
    minutes = found["virtual_h"] * 60 + 1 + LATENCY_S / 60
    assert found["prompts_per_trial"] * 16 <= 2 * (minutes + 1)
    row = line({**found, "rss_mb": 1, "optuna_mb": 2})
    assert row.count("|") == HEAD.splitlines()[0].count("|") == HEAD.splitlines()[1].count("|")


def test_pictures_are_drawn_from_the_rows_that_are_printed(made, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    more = {"rss_mb": 200, "optuna_mb": 100, "journal_mb": 1}
    (tmp_path / "rows.json").write_text(json.dumps({"rows": [{**made.figures(), **more}]}))
    main(["--rows", str(tmp_path / "rows.json"), "--pictures", str(tmp_path / "pictures")])
    names = ["scaling.json", "scaling_memory.png", "scaling_shares.png", "scaling_times.png"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == names
    kept = json.loads((tmp_path / "pictures" / "scaling.json").read_text())
    assert kept == json.loads(capsys.readouterr().out.splitlines()[-1])
    assert kept["rows"] == [json.loads(json.dumps({**made.figures(), **more}))]
