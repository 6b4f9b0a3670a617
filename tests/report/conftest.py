"""Journals that nobody ran, and a real browser where there is one."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from benchmarks.made_run import make_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture
def made(tmp_path):
    """Write a journal; returns its folder."""
    count = iter(range(100))

    def make(trials=20, **options):
        return make_run(tmp_path / f"run{next(count)}", trials, **options)

    return make


@pytest.fixture(scope="session")
def browser():
    """Render a page in a headless Chromium; returns its document as HTML."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(BROWSERS)})")

    def render(path, width=1200, anchor="", screenshot=None):
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--hide-scrollbars"]
        flags += [f"--window-size={width},1600", f"--screenshot={screenshot}" if screenshot else "--dump-dom"]
        done = subprocess.run([program, *flags, f"file://{path}{anchor}"], capture_output=True, text=True, timeout=120)
        return done.stdout

    return render
