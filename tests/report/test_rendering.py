"""A report in a real browser: its script runs to its end, draws, and runs nobody else's."""

from __future__ import annotations

import re
import struct

from automl_gpt_ray.report.page import write_report

HOSTILE = (
    "</script><script>document.documentElement.dataset.hacked=1</script>"
    '<img src=x onerror="document.documentElement.dataset.hacked=2">\'"'
)


def test_everything_is_drawn(made, browser):
    page = browser(write_report(made(30, forecast_every=10)))
    assert 'data-ready="yes"' in page
    for place in ("anytime", "calibration", "parallel", "shares"):
        assert re.search(rf'id="{place}"[^>]*>\s*(<div class="scroll">)?<svg', page), place
    assert page.count('class="card') == 24
    assert page.count('class="curve real"') == 24
    assert 'class="bar"' in page
    assert "Show 6 more of 30" in page


def test_minimising_with_nan_and_one_trial(made, browser):
    for trials in (1, 12):
        page = browser(write_report(made(trials, metric="log_loss", mode="min")))
        assert 'data-ready="yes"' in page
        assert "NaN " not in " ".join(re.findall(r' d="([^"]*)"', page))


def test_a_run_without_results_is_drawn_too(made, browser, tmp_path):
    from automl_gpt_ray.journal import FILE_NAME, Journal
    from automl_gpt_ray.report.story import read_story

    journal = Journal(tmp_path / "none" / FILE_NAME)
    journal.append(read_story(made(1)).started)
    journal.close()
    page = browser(write_report(tmp_path / "none"))
    assert 'data-ready="yes"' in page
    assert "No such trial." in page


def test_a_trial_opens_with_its_prompt_and_reply(made, browser):
    folder = made(12)
    page = browser(write_report(folder), anchor="#trial-2")
    opened = page[page.index("<dialog") :]
    assert "Trial 2" in opened
    assert "history of 1 trials" in opened
    assert "made-model" in opened


def test_hostile_text_runs_nowhere(made, browser):
    path = write_report(made(12, text=HOSTILE))
    for anchor in ("", "#trial-12", "#trial-7"):
        page = browser(path, anchor=anchor)
        assert 'data-ready="yes"' in page
        assert "data-hacked" not in page
        assert "<img" not in page


def test_nothing_sticks_out_on_a_phone(made, browser, tmp_path):
    path = write_report(made(30))
    shot = tmp_path / "phone.png"
    browser(path, width=390, screenshot=shot)
    assert struct.unpack(">II", shot.read_bytes()[16:24]) == (390, 1600)
    probe = path.with_name("probe.html")
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    wide = "document.documentElement.dataset.wide = document.documentElement.scrollWidth > innerWidth;"
    probe.write_text(text.replace("</body>", f"<script>{wide}</script></body>"), encoding="utf-8")
    assert 'data-wide="false"' in browser(probe, width=500)
